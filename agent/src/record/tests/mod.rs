//! The laws of the record, against real files.

mod broken;
mod crash;
mod store;
mod tampering;

use std::{path::Path, sync::Arc};

use super::{
    reader::{Entry, Part},
    *,
};
use crate::principal::{Principal, Process};

fn header() -> SessionHeader {
    SessionHeader {
        principal: Some(Principal {
            workload: "robot".into(),
            groups: vec!["ci".into()],
            owner: Some("alice".into()),
            process: Process {
                pid: 7,
                uid: 1000,
                user: "alice".into(),
                executable: Some("/usr/bin/psql".into()),
                executable_hash: None,
                command_line: vec!["psql".into()],
                parents: Vec::new(),
                cgroup: "/robot".into(),
                cgroup_id: 1,
            },
        }),
        target: Some("shop".into()),
        protocol: Some("test".into()),
        destination: "10.0.3.7:5432".into(),
        upstream: None,
        policy_generation: 1,
    }
}

fn small(root: &Path) -> RecorderConfig {
    RecorderConfig { directory: root.into(), journal_bytes: JOURNAL_LEAST }
}

/// The entries of a file that has no damage.
fn entries(path: &Path) -> Vec<Entry> {
    let recording = Recording::open(path).unwrap();
    recording
        .entries()
        .map(|part| match part.unwrap() {
            Part::Entry(entry) => entry,
            Part::Damage => panic!("{} is damaged", path.display()),
        })
        .collect()
}

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.kind.map_or("unknown", Kind::name)).collect()
}

fn search_all(root: &Path) -> Vec<Row> {
    Index::open_to_read(root).unwrap().search(&Search::default()).unwrap()
}

fn names(classes: &[&str]) -> Vec<Arc<str>> {
    classes.iter().map(|name| Arc::from(*name)).collect()
}
