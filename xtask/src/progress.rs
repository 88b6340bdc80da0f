//! Work that takes a while: one line that moves, and the whole output only when the work fails.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, IsTerminal},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use console::{style, truncate_str};
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of output that are kept for the case of failure.
const KEPT_MAX: usize = 400;
/// How often a terminal-less run says that it is still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// A line on standard error that says what is being done and what the work last said.
pub struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    begun: Instant,
    spoken: Instant,
}

impl Progress {
    pub fn begin(title: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        match &bar {
            Some(bar) => {
                if let Ok(shape) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:.dim} {msg:.dim}") {
                    bar.set_style(shape);
                }
                bar.set_prefix(title.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            None => eprintln!("· {title}"),
        }
        Self { title: title.to_owned(), bar, begun: Instant::now(), spoken: Instant::now() }
    }

    /// Shows the work's latest word.
    pub fn say(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(truncate_str(line.trim(), 70, "…").into_owned()),
            None if self.spoken.elapsed() > HEARTBEAT => {
                eprintln!("· {} ({} s): {}", self.title, self.begun.elapsed().as_secs(), line.trim());
                self.spoken = Instant::now();
            }
            None => {}
        }
    }

    pub fn done(self) {
        let seconds = self.begun.elapsed().as_secs();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            eprintln!("{} {} {}", style("✓").green(), self.title, style(format!("{seconds} s")).dim());
        }
    }

    pub fn failed(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{} {}", style("✗").red(), self.title);
    }
}

/// Runs a command to its end behind a progress line; fails with its output when it fails.
pub fn run(title: &str, command: &mut Command) -> Result<()> {
    let mut kept = VecDeque::new();
    let succeeded = watch(title, command, |line| {
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    })?;
    if !succeeded {
        for line in kept {
            eprintln!("{line}");
        }
        bail!("{title}: `{}` failed", shown(command));
    }
    Ok(())
}

/// Runs a command behind a progress line and hands on each line of its output, errors among them in order.
///
/// Returns whether the command succeeded.
pub fn watch(title: &str, command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("starting `{}`", shown(command)))?;
    // The command keeps the pipe's other end until it is dropped or given others.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut progress = Progress::begin(title);
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        progress.say(&line);
        each(&line);
    }
    let succeeded = child.wait()?.success();
    if succeeded {
        progress.done()
    } else {
        progress.failed()
    }
    Ok(succeeded)
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_errors_come_in_order_and_failure_is_told() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 4"]);
        assert!(!watch("three lines", &mut command, |line| lines.push(line.to_owned())).unwrap());
        assert_eq!(lines, ["one", "two", "three"]);
        assert!(run("nothing", &mut Command::new("false")).unwrap_err().to_string().contains("`false` failed"));
    }
}
