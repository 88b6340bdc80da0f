//! Who is at the other end of the control socket.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use crate::{accept::identity::cgroup_of, approval::Approver, config::Approvers};

/// What a command needs its sender to be. Ordered: an operator is an approver's superior.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    Approver,
    Operator,
}

/// The sender of a command.
#[derive(Clone, Debug)]
pub struct Peer {
    pub pid: u32,
    pub uid: u32,
    pub name: String,
    /// Path below the cgroup v2 mount; `None` when the process was gone already.
    pub cgroup: Option<PathBuf>,
}

impl Peer {
    pub fn new(pid: u32, uid: u32) -> Self {
        let name = match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => uid.to_string(),
        };
        Self { pid, uid, name, cgroup: cgroup_of(pid) }
    }

    /// Whether this is a governed process, or may be one: then it may ask nothing.
    pub fn is_governed(&self, governs: impl Fn(&Path) -> bool) -> bool {
        self.cgroup.as_deref().is_none_or(governs)
    }

    /// What it may do: root operates; whoever is in an approvers' group approves.
    pub fn role(&self, approvers: &[Approvers]) -> Option<Role> {
        if self.uid == 0 {
            return Some(Role::Operator);
        }
        let approver = self.approver(approvers);
        approver.groups.is_some_and(|groups| !groups.is_empty()).then_some(Role::Approver)
    }

    /// The groups that it speaks for. Root speaks for those that nobody is configured for.
    pub fn approver(&self, approvers: &[Approvers]) -> Approver {
        let groups = if self.uid == 0 && approvers.is_empty() {
            None
        } else {
            let of_peer = approvers.iter().filter(|approvers| self.is_member(&approvers.unix_group));
            Some(of_peer.map(|approvers| approvers.group.clone()).collect())
        };
        Approver { uid: self.uid, name: self.name.clone(), groups }
    }

    fn is_member(&self, group: &str) -> bool {
        let (Ok(Some(group)), Ok(Some(user))) = (Group::from_name(group), User::from_uid(Uid::from_raw(self.uid)))
        else {
            return false;
        };
        user.gid == group.gid || supplementary(&user).contains(&group.gid)
    }
}

/// The groups of a user, as the host's databases know them.
fn supplementary(user: &User) -> Vec<Gid> {
    let Ok(name) = std::ffi::CString::new(user.name.as_bytes()) else { return Vec::new() };
    nix::unistd::getgrouplist(&name, user.gid).unwrap_or_default()
}
