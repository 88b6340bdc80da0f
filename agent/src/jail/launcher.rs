//! The last step into a command: this process becomes it.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    process::Command,
};

use nix::unistd::Uid;

use super::{confinement, descriptors, domain::Writable, environment::Environment};

pub use super::{error::LaunchError, identity::Identity};

/// Becomes the command in this process, confined but in no namespaces of its own; returns only on failure.
///
/// With a change of user, `HOME`, `USER`, `LOGNAME` and `SHELL` become the user's; the rest of the environment stays.
pub fn exec(identity: &Identity, program: &OsStr, arguments: &[OsString]) -> LaunchError {
    let changed = Uid::effective() != identity.uid() || Uid::current() != identity.uid();
    let mut environment = Environment::default();
    if changed {
        environment.become_user(identity);
    }
    let confined = descriptors::refuse_inherited()
        .and_then(|()| descriptors::close_others())
        .and_then(|()| confinement::confine(identity, &Writable::Everywhere));
    match confined {
        Ok(()) => become_command(program, arguments, &environment),
        Err(error) => error,
    }
}

/// Replaces this process; returns only on failure.
pub(super) fn become_command(program: &OsStr, arguments: &[OsString], environment: &Environment) -> LaunchError {
    let mut command = Command::new(program);
    command.args(arguments);
    environment.give(&mut command);
    let source: io::Error = command.exec();
    LaunchError::Exec { program: program.into(), source }
}
