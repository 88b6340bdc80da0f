//! What capture costs a connect: with no program in the kernel, beside captured cgroups, in one, and in a jail.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{guard::Guard, place, port, postgres::succeeded};

use super::figure::median;
use crate::progress::Progress;

/// Connects of one measurement.
const CONNECTS: usize = 2_000;
const QUICK_CONNECTS: usize = 200;

/// Who connects.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Caller {
    /// No program is attached on behalf of this daemon.
    Alone,
    /// In a cgroup that is not captured, while another is.
    Other,
    /// In a captured cgroup.
    Captured,
    /// Under `portcullis run`.
    Jailed,
}

impl Caller {
    const ALL: [Self; 4] = [Self::Alone, Self::Other, Self::Captured, Self::Jailed];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "no capture",
            Self::Other => "beside a captured cgroup",
            Self::Captured => "in a captured cgroup",
            Self::Jailed => "under `portcullis run`",
        }
    }
}

/// Microseconds: the median over all rounds of each round's percentile.
type Percentiles = BTreeMap<Caller, (Vec<f64>, Vec<f64>)>;

/// Measures all callers in turns, each round with a daemon of its own; answers a table in Markdown.
pub fn measure(portcullis: &Path, connects: &Path, rounds: usize, quick: bool) -> Result<String> {
    let mut progress = Progress::begin("connect latency");
    let service = Service::start()?;
    let place = place::temporary()?;
    let program = place.path().join("connects");
    std::fs::copy(connects, &program).context("copying the load to where every user finds it")?;
    let bench = Bench { program, service, count: if quick { QUICK_CONNECTS } else { CONNECTS } };
    let mut measured = Percentiles::new();
    for round in 1..=rounds {
        progress.say(&format!("round {round} of {rounds}"));
        note(&mut measured, Caller::Alone, bench.free()?);
        let directory = place::temporary()?;
        let name = format!("portcullis-bench-{}-{round}", std::process::id());
        let guard = Guard::start(portcullis, directory.path(), &name, port::free()?, Ipv4Addr::new(127, 0, 0, 53))?;
        note(&mut measured, Caller::Other, bench.free()?);
        note(&mut measured, Caller::Captured, bench.captured(&guard)?);
        note(&mut measured, Caller::Jailed, bench.jailed(&guard)?);
    }
    progress.done();
    Ok(markdown(&measured))
}

fn note(measured: &mut Percentiles, caller: Caller, (p50, p99): (f64, f64)) {
    let (middles, tails) = measured.entry(caller).or_default();
    middles.push(p50);
    tails.push(p99);
}

struct Bench {
    program: std::path::PathBuf,
    service: Service,
    count: usize,
}

impl Bench {
    fn free(&self) -> Result<(f64, f64)> {
        self.run(Command::new(&self.program))
    }

    fn captured(&self, guard: &Guard) -> Result<(f64, f64)> {
        let members = File::options().write(true).open(guard.captured.join("cgroup.procs"))?;
        let mut command = Command::new(&self.program);
        // SAFETY: one system call, which allocates nothing.
        unsafe {
            command.pre_exec(move || (&members).write_all(b"0"));
        }
        self.run(command)
    }

    fn jailed(&self, guard: &Guard) -> Result<(f64, f64)> {
        let mut command = guard.command(&["run", "--name", "bench", "--bind"]);
        let folder = self.program.parent().unwrap_or(Path::new("/"));
        command.arg(format!("{}:ro", folder.display())).arg("--").arg(&self.program);
        self.run(command)
    }

    /// Microseconds of the 50th and 99th percentile.
    fn run(&self, mut command: Command) -> Result<(f64, f64)> {
        command.arg(self.service.address.to_string()).arg(self.count.to_string());
        let said = succeeded("connects", command.output()?)?;
        let numbers: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        ensure!(numbers.len() == 2, "not two numbers: {said}");
        let microseconds = |at: usize| numbers.get(at).copied().unwrap_or_default() / 1000.0;
        Ok((microseconds(0), microseconds(1)))
    }
}

/// What is dialled; those who are captured get the daemon in its place.
struct Service {
    address: SocketAddr,
}

impl Service {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port::free()?))?;
        let address = listener.local_addr()?;
        thread::spawn(move || listener.incoming().for_each(drop));
        Ok(Self { address })
    }
}

fn markdown(measured: &Percentiles) -> String {
    let middle = |caller: Caller| {
        let (middles, tails) = measured.get(&caller)?;
        Some((median(middles)?, median(tails)?))
    };
    let base = middle(Caller::Alone).map_or(f64::NAN, |(p50, _)| p50);
    let mut text = String::from("\n## What capture costs a connect\n\n");
    text.push_str("`connect` over the loopback, microseconds, each caller in every round.\n\n");
    text.push_str("| caller | p50 | p99 | p50 ÷ no capture |\n|---|--:|--:|--:|\n");
    for caller in Caller::ALL {
        if let Some((p50, p99)) = middle(caller) {
            let _ = writeln!(text, "| {} | {p50:.1} | {p99:.1} | {:.2} |", caller.name(), p50 / base);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_is_compared_with_none() {
        let mut measured = Percentiles::new();
        for (caller, p50) in [(Caller::Alone, 20.0), (Caller::Captured, 25.0)] {
            note(&mut measured, caller, (p50, 100.0));
            note(&mut measured, caller, (p50, 100.0));
        }
        let text = markdown(&measured);
        assert!(text.contains("| in a captured cgroup | 25.0 | 100.0 | 1.25 |"), "{text}");
        assert!(!text.contains("portcullis run"));
    }
}
