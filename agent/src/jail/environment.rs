//! The environment of a command: the caller's, without what names things that are out of reach.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access},
};

use super::Identity;

/// Variables that name sockets and helpers outside: in the jail they are gone, and a program that finds the name waits
/// for them, or complains.
const OUTSIDE: &[&str] = &[
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "GPG_AGENT_INFO",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "ICEAUTHORITY",
    "PULSE_SERVER",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
    "CONTAINERD_ADDRESS",
    "XDG_RUNTIME_DIR",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "TMUX",
    "STY",
    "VSCODE_IPC_HOOK_CLI",
    "VSCODE_GIT_IPC_HANDLE",
    // Whom sudo was called by: not who runs.
    "SUDO_COMMAND",
    "SUDO_GID",
    "SUDO_UID",
    "SUDO_USER",
    "MAIL",
    // The way to the daemon, which answers no governed process.
    "PORTCULLIS_CONTROL",
];

/// Variables of a home that is not the workload's.
const OF_HOME: &[&str] = &["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

const PATH: &str = "PATH";

/// Changes to the caller's environment, in the order in which they are made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Environment {
    removed: Vec<&'static str>,
    set: Vec<(OsString, OsString)>,
}

impl Environment {
    /// That of a jail: what the caller gives by name comes last, and stands.
    pub fn of_jail(identity: &Identity, trusted: &[(OsString, OsString)], given: &[(OsString, OsString)]) -> Self {
        let mut environment = Self { removed: OUTSIDE.to_vec(), set: Vec::new() };
        if identity.is_own() {
            environment.removed.extend(OF_HOME);
        }
        environment.become_user(identity);
        environment.set.extend_from_slice(trusted);
        environment.set.extend_from_slice(given);
        environment
    }

    /// Whose the command is.
    pub(super) fn become_user(&mut self, identity: &Identity) {
        for (name, value) in [
            ("HOME", identity.home().as_os_str()),
            ("SHELL", identity.shell().as_os_str()),
            ("USER", OsStr::new(identity.name())),
            ("LOGNAME", OsStr::new(identity.name())),
        ] {
            self.set.push((name.into(), value.into()));
        }
    }

    /// Takes out of `PATH` what this process may not enter: with it, a program that is nowhere would be one that may
    /// not be run (execvp(3)).
    pub(super) fn without_closed_directories(&self) -> Self {
        let mut open = self.clone();
        if let Some(path) = self.value(PATH) {
            let directories =
                env::split_paths(&path).filter(|one| access(one, AccessFlags::X_OK) != Err(Errno::EACCES));
            // What was split can be joined.
            open.set.push((PATH.into(), env::join_paths(directories).unwrap_or(path)));
        }
        open
    }

    /// What a variable will be for the command; `None`: not set.
    pub(super) fn value(&self, name: &str) -> Option<OsString> {
        let set = self.set.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        set.or_else(|| env::var_os(name).filter(|_| !self.removed.contains(&name)))
    }

    pub(super) fn give(&self, command: &mut Command) {
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(environment: &Environment) -> Vec<(OsString, Option<OsString>)> {
        let mut command = Command::new("true");
        environment.give(&mut command);
        command.get_envs().map(|(name, value)| (name.into(), value.map(Into::into))).collect()
    }

    #[test]
    fn a_jail_knows_nothing_of_agents_outside() {
        let environment = Environment::of_jail(&Identity::own(1_900_000_000).unwrap(), &[], &[]);
        let given = given(&environment);
        for name in ["SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "DOCKER_HOST", "XDG_RUNTIME_DIR"] {
            assert!(given.contains(&(name.into(), None)), "{name}");
        }
        assert!(given.contains(&("HOME".into(), Some("/run/home".into()))));
    }

    #[test]
    fn what_the_caller_gives_by_name_stands() {
        let own = Identity::own(1_900_000_000).unwrap();
        let trusted = [("SSL_CERT_FILE".into(), "/run/trust".into())];
        let named = [("HOME", "/srv"), ("DISPLAY", ":9"), ("SSL_CERT_FILE", "/srv/own.pem")];
        let environment = Environment::of_jail(&own, &trusted, &named.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(environment.value("SSL_CERT_FILE"), Some("/srv/own.pem".into()));
        let given = given(&environment);
        assert!(given.contains(&("HOME".into(), Some("/srv".into()))));
        assert!(given.contains(&("DISPLAY".into(), Some(":9".into()))));
    }
}
