//! As whom a command runs.

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::error::{LaunchError, system};

/// What a workload's own user is called inside of its jail.
const OWN_NAME: &str = "workload";
/// Where a workload's own user is at home: in memory, gone with the workload.
pub(super) const OWN_HOME: &str = "/run/home";
/// The group of a workload's own user has the same number and this name.
pub(super) const OWN_GROUP: &str = OWN_NAME;
const OWN_SHELL: &str = "/bin/bash";

/// As whom a command runs: never root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    home: PathBuf,
    shell: PathBuf,
    own: bool,
}

impl Identity {
    /// A user of the host, by name or number.
    pub fn find(user: &str) -> Result<Self, LaunchError> {
        let found = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(user),
        };
        Self::of(found.map_err(system("look up the user"))?.ok_or_else(|| LaunchError::UnknownUser(user.into()))?)
    }

    fn of(user: User) -> Result<Self, LaunchError> {
        if user.uid.is_root() {
            return Err(LaunchError::Root);
        }
        let name = CString::new(user.name.as_bytes()).map_err(|_| LaunchError::UnknownUser(user.name.clone()))?;
        let groups = getgrouplist(&name, user.gid).map_err(system("look up the user's groups"))?;
        let User { name, uid, gid, dir: home, shell, .. } = user;
        Ok(Self { name, uid, gid, groups, home, shell, own: false })
    }

    /// The user that belongs to one workload alone: nobody else's files, groups or processes are its own.
    pub fn own(uid: u32) -> Result<Self, LaunchError> {
        if uid == 0 {
            return Err(LaunchError::Root);
        }
        Ok(Self {
            name: OWN_NAME.into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(uid),
            groups: Vec::new(),
            home: OWN_HOME.into(),
            shell: OWN_SHELL.into(),
            own: true,
        })
    }

    /// Whether no user of the host is meant, but one of the workload's own.
    pub fn is_own(&self) -> bool {
        self.own
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uid(&self) -> Uid {
        self.uid
    }

    pub fn gid(&self) -> Gid {
        self.gid
    }

    /// Supplementary groups.
    pub fn groups(&self) -> &[Gid] {
        &self.groups
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn shell(&self) -> &Path {
        &self.shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_no_identity() {
        assert!(matches!(Identity::find("root"), Err(LaunchError::Root)));
        assert!(matches!(Identity::find("0"), Err(LaunchError::Root)));
        assert!(matches!(Identity::own(0), Err(LaunchError::Root)));
        assert!(matches!(Identity::find("no-such-user"), Err(LaunchError::UnknownUser(_))));
        assert!(Identity::find("nobody").is_ok());
    }

    #[test]
    fn a_user_of_its_own_is_in_no_group_of_the_host() {
        let own = Identity::own(1_900_000_000).unwrap();
        assert!(own.is_own() && own.groups().is_empty());
        assert_eq!(own.gid().as_raw(), own.uid().as_raw());
    }
}
