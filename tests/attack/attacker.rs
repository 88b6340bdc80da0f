//! One attacker's process: how it is started, and what it says.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::libc;

use crate::{
    attempts::{Attempt, Entry},
    outside::{Luggage, USER},
    place::Place,
    scene::{INHERITED_ESTABLISHED, INHERITED_TCP, INHERITED_UDP, Scene},
    sys,
};

/// Longest that an attacker may take; it ends itself earlier.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// What the attacker said of its attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// Every step went through.
    Went,
    /// The step, and the error's number: zero where it has none.
    Refused { step: String, errno: i32 },
    /// It said nothing: it hung, or was killed.
    Died,
    /// The launcher did not let it begin.
    NotStarted,
    /// It is for other machines, or makes no sense in this place.
    NotTried,
}

/// Makes `command` an attacker that comes into its place with what the attempt wants it to have.
pub fn equip(
    mut command: Command,
    (attempt, place): (&Attempt, Place),
    scene: &Scene,
    luggage: &Luggage,
    captured: &Path,
) -> Result<Command> {
    command.args(["try", attempt.name]).arg(scene.to_json().to_string()).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut brought = Vec::new();
    match attempt.entry {
        Entry::WithSockets => {
            brought.push((luggage.tcp.as_raw_fd(), INHERITED_TCP));
            brought.push((luggage.udp.as_raw_fd(), INHERITED_UDP));
            brought.push((luggage.connection.as_raw_fd(), INHERITED_ESTABLISHED));
        }
        Entry::WithConnectionAsInput => drop(command.stdin(luggage.as_input()?)),
        Entry::Started | Entry::Moved | Entry::Called | Entry::Orphaned => {}
    }
    let enters = matches!(place, Place::CgroupRoot | Place::CgroupUser) && attempt.entry != Entry::Moved;
    let cgroup = match enters {
        true => Some(File::options().write(true).open(captured.join("cgroup.procs"))?),
        false => None,
    };
    let user = matches!(place, Place::FreeUser | Place::CgroupUser);
    // SAFETY: system calls only, nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in &brought {
                sys::checked(libc::dup2(*from, *to).into())?;
            }
            if let Some(mut cgroup) = cgroup.as_ref() {
                cgroup.write_all(b"0")?;
            }
            if user {
                become_nobody()?;
            }
            Ok(())
        });
    }
    Ok(command)
}

/// Waits for an attacker's last word; `prepare` is called with its number when it says that it is ready.
pub fn follow(mut child: Child, attempt: &Attempt, prepare: impl FnOnce(u32) + Send + 'static) -> Result<Said> {
    let output = BufReader::new(child.stdout.take().context("an attacker's output")?);
    let errors = child.stderr.take().context("an attacker's errors")?;
    let errors = thread::spawn(move || std::io::read_to_string(errors));
    let input = child.stdin.take();
    let pid = child.id();
    let words = thread::spawn(move || listen(output, input, move || prepare(pid)));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > ATTEMPT_MAX {
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let words = words.join().map_err(|_| anyhow::anyhow!("an attacker's listener panicked"))?;
    let errors = errors.join().map_err(|_| anyhow::anyhow!("an attacker's listener panicked"))??;
    match words.last().map(String::as_str) {
        Some("went") => Ok(Said::Went),
        Some(line) if line.starts_with("refused ") => refused(line),
        _ if status.code() == Some(126) => Ok(Said::NotStarted),
        _ if status.code().is_none() || words.iter().any(|word| word == "trying") => Ok(Said::Died),
        _ => bail!("{} said nothing ({status}): {}", attempt.name, errors.trim()),
    }
}

/// Reads an attacker's lines; one that is ready is told to go on when everything is prepared.
fn listen(
    output: BufReader<ChildStdout>,
    mut input: Option<std::process::ChildStdin>,
    prepare: impl FnOnce(),
) -> Vec<String> {
    let mut words = Vec::new();
    let mut prepare = Some(prepare);
    for line in output.lines().map_while(Result::ok) {
        if line == "ready" {
            prepare.take().into_iter().for_each(|prepare| prepare());
            if let Some(input) = &mut input {
                let _ = input.write_all(b".");
            }
        }
        words.push(line);
    }
    words
}

fn refused(line: &str) -> Result<Said> {
    let mut words = line.splitn(3, ' ').skip(1);
    let errno = words.next().and_then(|word| word.parse().ok()).with_context(|| format!("`{line}`"))?;
    Ok(Said::Refused { step: words.next().unwrap_or_default().to_owned(), errno })
}

fn become_nobody() -> std::io::Result<()> {
    // SAFETY: numbers only.
    unsafe {
        sys::checked(libc::setgroups(0, std::ptr::null()).into())?;
        sys::checked(libc::setresgid(USER, USER, USER).into())?;
        sys::checked(libc::setresuid(USER, USER, USER).into()).map(drop)
    }
}

/// The attacker's own process: makes one attempt, and says what came of it.
pub fn attack(name: &str, scene: &str) -> Result<()> {
    let attempt = crate::attempts::find(name).with_context(|| format!("there is no attempt `{name}`"))?;
    let scene = Scene::from_json(scene)?;
    println!("trying");
    std::io::stdout().flush()?;
    // SAFETY: a number; the alarm ends what hangs.
    unsafe { libc::alarm(if scene.guest { 20 } else { 4 }) };
    match (attempt.how)(&scene) {
        Ok(()) => println!("went"),
        Err(refused) => {
            println!("refused {} {}", refused.error.raw_os_error().unwrap_or_default(), refused.step);
            eprintln!("{}: {}", refused.step, refused.error);
        }
    }
    Ok(())
}
