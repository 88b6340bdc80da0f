//! Why a command was not started.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::bind::BindError;

/// Why a command was not started. Nothing of it has run then.
#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("a jail is made by root alone\n  hint: `sudo portcullis run …`")]
    NotRoot,
    #[error("there is no user `{0}`")]
    UnknownUser(String),
    #[error("a workload must not run as root: root owns the cgroups, and leaves them")]
    Root,
    #[error(
        "file descriptor {descriptor} is {what}, which reaches around the gate\n  \
         hint: give files, pipes, a terminal or `/dev/null` as input and output"
    )]
    InheritedDescriptor { descriptor: i32, what: &'static str },
    #[error(
        "the daemon sent no certificate of its authority\n  hint: is it of another version? `--no-trust` goes without"
    )]
    Authority,
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(
        "the working directory {} cannot be reached by the workload\n  hint: give it to the workload with `--bind .`, \
         or start in a directory that everybody may enter",
        .0.display()
    )]
    WorkingDirectory(PathBuf),
    #[error("failed to {action}")]
    System { action: &'static str, source: io::Error },
    #[error("failed to {action} {}", .path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("failed to run `{}`", .program.display())]
    Exec { program: PathBuf, source: io::Error },
    /// What went wrong beyond the fork, as it was told from there.
    #[error("{message}")]
    Inside { message: String, status: u8 },
    #[error("the jail's first process ended without a word")]
    Vanished,
}

impl LaunchError {
    /// As shells have it: 127 when the command was not found, 126 when it could not be run.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Inside { status, .. } => *status,
            Self::NotRoot
            | Self::UnknownUser(_)
            | Self::Root
            | Self::InheritedDescriptor { .. }
            | Self::Authority
            | Self::Bind(_)
            | Self::WorkingDirectory(_)
            | Self::System { .. }
            | Self::Path { .. }
            | Self::Exec { .. }
            | Self::Vanished => 126,
        }
    }
}

/// Says what failed.
pub(super) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> LaunchError {
    move |source| LaunchError::System { action, source: source.into() }
}

/// Says what failed, and where.
pub(super) fn at<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> LaunchError {
    let path = path.into();
    move |source| LaunchError::Path { action, path, source: source.into() }
}

/// The answer of a system call that `libc` has as a number below zero with `errno`.
pub(super) fn check(answer: libc::c_long, action: &'static str) -> Result<libc::c_long, LaunchError> {
    if answer < 0 { Err(system(action)(io::Error::last_os_error())) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_a_shells() {
        let exec = |kind: io::ErrorKind| LaunchError::Exec { program: "x".into(), source: kind.into() };
        assert_eq!(exec(io::ErrorKind::NotFound).exit_status(), 127);
        assert_eq!(exec(io::ErrorKind::PermissionDenied).exit_status(), 126);
        assert_eq!(LaunchError::Root.exit_status(), 126);
        assert_eq!(LaunchError::Inside { message: String::new(), status: 127 }.exit_status(), 127);
    }
}
