//! The account of a workload's own user: tools ask the databases of the host who they run as.

use std::{fs, path::Path};

use super::{
    Identity,
    error::{LaunchError, at},
    identity::OWN_GROUP,
    mount::{Detached, READ_ONLY},
};

/// The files of passwd(5) and group(5).
const PASSWORDS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The host's accounts with one more.
#[derive(Debug)]
pub(super) struct Accounts {
    passwords: String,
    groups: String,
}

impl Accounts {
    pub(super) fn read(identity: &Identity) -> Result<Self, LaunchError> {
        let (uid, gid) = (identity.uid(), identity.gid());
        let (name, home, shell) = (identity.name(), identity.home().display(), identity.shell().display());
        Ok(Self {
            passwords: with_line(&read(PASSWORDS)?, &format!("{name}:x:{uid}:{gid}:workload:{home}:{shell}")),
            groups: with_line(&read(GROUPS)?, &format!("{OWN_GROUP}:x:{gid}:")),
        })
    }

    /// Puts them over the host's, which stay as they are.
    pub(super) fn place(&self) -> Result<(), LaunchError> {
        for (path, content) in [(PASSWORDS, &self.passwords), (GROUPS, &self.groups)] {
            place(path, content).map_err(at("place", path))?;
        }
        Ok(())
    }
}

fn place(path: &str, content: &str) -> std::io::Result<()> {
    const STAGE: &str = "/run/.account";
    fs::write(STAGE, content)?;
    let mount = Detached::of(Path::new(STAGE))?;
    mount.restrict(READ_ONLY)?;
    mount.attach(&fs::canonicalize(path)?)?;
    fs::remove_file(STAGE)
}

fn read(path: &str) -> Result<String, LaunchError> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(at("read", path))
}

fn with_line(text: &str, line: &str) -> String {
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{separator}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_stands_on_a_line_of_its_own() {
        assert_eq!(with_line("root:x:0:0", "a:x:1:1"), "root:x:0:0\na:x:1:1\n");
        assert_eq!(with_line("root:x:0:0\n", "a:x:1:1"), "root:x:0:0\na:x:1:1\n");
        assert_eq!(with_line("", "a:x:1:1"), "a:x:1:1\n");
    }
}
