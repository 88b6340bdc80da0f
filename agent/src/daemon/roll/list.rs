//! The file of the trees that people enrolled, in the state directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{accept::findings::Risk, capture::Existing, daemon::state::write_private};

/// A tree that a person enrolled.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The workload's name.
    pub name: String,
    /// Below the mount.
    pub cgroup: PathBuf,
    pub place: Place,
    pub accepted: Vec<Risk>,
}

/// How a tree came under capture, and what becomes of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// Where it was; captured anew when it is made anew.
    Lasting,
    /// Where it was; released when it is gone. The kernel's number tells it from a later one of the same path.
    Passing { cgroup_id: u64 },
    /// Moved into a cgroup of this daemon's.
    Moved { from: PathBuf },
}

impl Kept {
    /// What capture knows it by; `None` for processes that were moved.
    pub fn existing(&self) -> Option<Existing> {
        match self.place {
            Place::Lasting => Some(Existing { name: self.name.clone(), cgroup: self.cgroup.display().to_string() }),
            Place::Passing { cgroup_id } => Some(Existing::passing(&self.name, &self.cgroup, cgroup_id)),
            Place::Moved { .. } => None,
        }
    }
}

/// All of them, and the file in which they stand.
#[derive(Debug)]
pub struct List {
    file: PathBuf,
    kept: Vec<Kept>,
}

impl List {
    /// # Errors
    /// `InvalidData` where the file holds something else: nobody may take that for an empty list.
    pub fn read(state_dir: &Path) -> io::Result<Self> {
        let file = state_dir.join("enrolled.json");
        let kept = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file, kept })
    }

    pub fn find(&self, name: &str) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.name == name)
    }

    pub fn trees(&self) -> Vec<Existing> {
        self.kept.iter().filter_map(Kept::existing).collect()
    }

    pub fn all(&self) -> &[Kept] {
        &self.kept
    }

    pub fn moved(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(|kept| matches!(kept.place, Place::Moved { .. }))
    }

    /// Writes it down. It is in the list only where that succeeded.
    pub fn add(&mut self, kept: Kept) -> io::Result<()> {
        self.kept.push(kept);
        self.write().inspect_err(|_| drop(self.kept.pop()))
    }

    pub fn remove_cgroup(&mut self, cgroup: &Path) -> io::Result<()> {
        self.retain(|kept| kept.cgroup != cgroup)
    }

    fn retain(&mut self, wanted: impl Fn(&Kept) -> bool) -> io::Result<()> {
        let before = self.kept.len();
        self.kept.retain(wanted);
        if self.kept.len() == before { Ok(()) } else { self.write() }
    }

    fn write(&self) -> io::Result<()> {
        write_private(&self.file, &serde_json::to_vec_pretty(&self.kept)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str, place: Place) -> Kept {
        Kept { name: name.into(), cgroup: Path::new("/x").join(name), place, accepted: vec![Risk::Root] }
    }

    #[test]
    fn what_is_enrolled_is_there_again_for_the_next_daemon() {
        let state = tempfile::tempdir().unwrap();
        let mut list = List::read(state.path()).unwrap();
        assert!(list.trees().is_empty());
        for place in [Place::Lasting, Place::Passing { cgroup_id: 17 }, Place::Moved { from: "/user.slice".into() }] {
            list.add(kept(&format!("{place:?}")[..6], place)).unwrap();
        }
        let again = List::read(state.path()).unwrap();
        assert_eq!(again.kept, list.kept);
        assert_eq!(again.trees().len(), 2);
        assert_eq!(again.moved().count(), 1);
        list.remove_cgroup(Path::new("/x/Lastin")).unwrap();
        assert_eq!(List::read(state.path()).unwrap().kept.len(), 2);
    }

    #[test]
    fn a_broken_file_is_no_empty_list() {
        let state = tempfile::tempdir().unwrap();
        let elsewhere = r#"[{"name": "x", "cgroup": "/x", "place": "there", "accepted": []}]"#;
        for text in ["", "{}", r#"[{"name": "x"}]"#, "[", elsewhere] {
            fs::write(state.path().join("enrolled.json"), text).unwrap();
            assert_eq!(List::read(state.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
