//! One virtual machine under plain emulation, from its start to its end.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{kernel::Kernel, source::Emulation};

/// Longest that a guest may run on a machine that does much else.
const GUEST_TIMEOUT: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(200);

const MEMORY_MIB: u32 = 1024;

/// The guest's clock counts instructions, a nanosecond each, and jumps to the next timer when nothing runs. So a limit in
/// the guest is met or not however busy this machine is, and no wait costs anything.
const CLOCK: &str = "shift=0,sleep=off";

/// What an emulated processor has no use for, and pays for at each system call.
const FASTER: &str = "mitigations=off rcupdate.rcu_expedited=1";

/// Last lines that are shown of what failed.
const LINES_SHOWN_MAX: usize = 15;

/// What a guest is started with.
#[derive(Clone, Debug)]
pub struct Guest {
    pub kernel: Kernel,
    /// Whether `bpf` is among the security modules.
    pub bpf_lsm: bool,
}

/// What one step said, and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub name: String,
    pub output: String,
    pub errors: String,
    pub status: i32,
}

impl Answer {
    /// The part of a failed step's words that a person wants first.
    pub fn complaint(&self) -> String {
        let said = if self.errors.is_empty() { &self.output } else { &self.errors };
        format!("{} ended with {}\n{}", self.name, self.status, last_lines(said))
    }
}

impl Guest {
    pub fn title(&self) -> String {
        let modules = if self.bpf_lsm { "with BPF LSM" } else { "without BPF LSM" };
        format!("{} {modules}", self.kernel.source.name)
    }

    /// Boots it, waits until it is off, and reads what its steps said. The console stays in `logs`.
    pub fn run(&self, initramfs: &Path, logs: &Path) -> Result<Vec<Answer>> {
        let log = |kind: &str| logs.join(format!("{}.{kind}", self.title().replace(' ', "-")));
        let (console, said) = (log("console"), log("said"));
        let child = self.qemu(initramfs, &console, &said)?;
        let ended = wait(child)?;
        let text = read(&said);
        if ended && text.lines().any(|line| line == "@off") {
            return Ok(answers(&text));
        }
        let why = match ended {
            true => "ended before its steps did".to_owned(),
            false => format!("was not off after {} s", GUEST_TIMEOUT.as_secs()),
        };
        anyhow::bail!("the guest {why}; its console ({}) says\n{}", console.display(), last_lines(&read(&console)));
    }

    fn qemu(&self, initramfs: &Path, console: &Path, said: &Path) -> Result<Child> {
        let modules = if self.bpf_lsm { "landlock,lockdown,yama,bpf" } else { "landlock,lockdown,yama" };
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=single", "-cpu", "max"]);
        match self.kernel.source.emulation {
            Emulation::Whole => qemu.args(["-smp", "2", "-icount", CLOCK]),
            Emulation::OneProcessor => qemu.args(["-smp", "1", "-icount", CLOCK]),
            Emulation::ClockOfTheHost => qemu.args(["-smp", "2"]),
        };
        qemu.args(["-m", &MEMORY_MIB.to_string()]);
        qemu.args(["-display", "none", "-no-reboot", "-nodefaults", "-net", "none"]);
        qemu.arg("-serial").arg(format!("file:{}", console.display()));
        qemu.arg("-serial").arg(format!("file:{}", said.display()));
        qemu.arg("-kernel").arg(self.kernel.image()).arg("-initrd").arg(initramfs);
        qemu.arg("-append").arg(format!("console=ttyS0 panic=-1 quiet loglevel=4 {FASTER} lsm={modules}"));
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        qemu.spawn().context("starting qemu-system-x86_64")
    }
}

/// Whether the guest turned itself off in time; one that did not is ended.
fn wait(mut child: Child) -> Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < GUEST_TIMEOUT {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(POLL);
    }
    child.kill().context("ending a guest")?;
    child.wait()?;
    Ok(false)
}

/// Reads what init.sh writes between its marks. A step whose end is missing counts as failed.
fn answers(text: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut parts = text.split("@begin ");
    parts.next();
    for part in parts {
        let (name, rest) = part.split_once('\n').unwrap_or((part, ""));
        let (output, rest) = rest.split_once("\n@errors\n").unwrap_or((rest, ""));
        let (errors, end) = rest.rsplit_once("\n@end ").unwrap_or((rest, ""));
        let status = end.lines().next().and_then(|status| status.trim().parse().ok()).unwrap_or(-1);
        answers.push(Answer {
            name: name.trim().to_owned(),
            output: output.trim().to_owned(),
            errors: errors.trim().to_owned(),
            status,
        });
    }
    answers
}

fn read(file: &Path) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES_SHOWN_MAX)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_says_is_told_from_how_it_ends() {
        let text = "@begin doctor\n[1,\n2]\n\n@errors\nwarning\n\n@end 1\n@begin table\nhalf";
        let answer = |name: &str, output: &str, errors: &str, status| Answer {
            name: name.into(),
            output: output.into(),
            errors: errors.into(),
            status,
        };
        assert_eq!(answers(text), [answer("doctor", "[1,\n2]", "warning", 1), answer("table", "half", "", -1)]);
    }
}
