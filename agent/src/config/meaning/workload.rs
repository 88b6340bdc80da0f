use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

use super::Meaning;
use crate::{
    accept::findings::Risk,
    capture::find,
    config::{Approvers, Workload, located::Located, mistake::Mistake, raw},
};

impl Meaning<'_> {
    pub fn workloads(&mut self, raw: Vec<raw::Workload>) -> Vec<Workload> {
        let mut seen = HashMap::new();
        let mut workloads: Vec<Workload> = Vec::new();
        for raw in raw {
            let name = self.name(&raw.name, "workload");
            let twice = format!("workload defined twice: `{name}`");
            self.unique(&mut seen, name.clone(), &raw.name.span, twice, "give each a name of its own");
            let groups = self.names(&raw.groups, "group");
            let accepted = self.risks(&raw.accept_risks);
            let Some(cgroup) = self.cgroup(&raw.cgroup) else { continue };
            if let Some(other) = workloads.iter().find(|other| overlap(&other.cgroup, &cgroup)) {
                let overlaps = format!("cgroup overlaps that of `{}`: `{}`", other.name, other.cgroup.display());
                self.mistakes
                    .push(Mistake::new(raw.cgroup.span, overlaps).hint("a process tree belongs to one workload only"));
            }
            workloads.push(Workload { name, cgroup, groups, accepted });
        }
        workloads
    }

    fn risks(&mut self, raw: &[Located<String>]) -> Vec<Risk> {
        let mut risks = Vec::new();
        for name in raw {
            match Risk::named(name) {
                Some(risk) => risks.push(risk),
                None => self.mistakes.push(
                    Mistake::new(name.span.clone(), format!("unknown risk: `{}`", name.escape_debug()))
                        .expected(format!("one of {}", Risk::ALL.map(Risk::name).join(", ")))
                        .suggest(name, Risk::ALL.into_iter().map(Risk::name)),
                ),
            }
        }
        risks
    }

    fn cgroup(&mut self, raw: &Located<String>) -> Option<PathBuf> {
        let reject = |what: &str| Mistake::new(raw.span.clone(), format!("{what}: `{}`", raw.escape_debug()));
        let expected = "a path below the cgroup v2 mount, such as `/system.slice/ci-runner.service`";
        let path = Path::new(raw.as_str());
        let mistake = if raw.starts_with("/sys/fs/cgroup") {
            reject("path of the file system").expected(expected).hint("leave the mount point out")
        } else if raw.starts_with('/') {
            let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
            let written = glob::Pattern::new(raw).is_ok();
            match path.components().count() {
                1 => reject("root of all cgroups").expected(expected).hint("the daemon itself is in it"),
                _ if !written => reject("broken pattern").expected("`*`, `?` and `[…]` in a part, `**` as a part"),
                _ if find::is_pattern(raw) && is_wild(path) => {
                    reject("pattern of every cgroup").expected("a first part without `*`, `?` and `[`")
                }
                _ if plain && !raw.contains('\0') => return Some(path.components().collect()),
                _ => reject("invalid cgroup").expected(expected),
            }
        } else {
            match unit(raw) {
                Some(path) => return Some(path),
                None => reject("neither a path nor a slice or service").expected(expected),
            }
        };
        self.mistakes.push(mistake);
        None
    }

    pub fn approvers(&mut self, raw: Vec<raw::Approvers>) -> Vec<Approvers> {
        let mut seen = HashMap::new();
        let mut approvers = Vec::new();
        for raw in raw {
            let group = self.name(&raw.group, "group");
            let twice = format!("approvers defined twice: `{group}`");
            self.unique(&mut seen, group.clone(), &raw.group.span, twice, "give each group one table");
            if let Some(unix_group) = self.members(&raw.members) {
                approvers.push(Approvers { group, unix_group });
            }
        }
        approvers
    }

    fn members(&mut self, raw: &Located<raw::Members>) -> Option<String> {
        let later = [("oidc_group", &raw.oidc_group), ("saml_group", &raw.saml_group)];
        for (key, group) in later {
            if let Some(group) = group {
                self.mistakes.push(
                    Mistake::new(group.span.clone(), format!("`{key}` is not supported yet"))
                        .expected("`unix_group`")
                        .hint("no one could approve: an approver is known by a group of this host only"),
                );
            }
        }
        let Some(group) = &raw.unix_group else {
            if later.iter().all(|(_, group)| group.is_none()) {
                self.mistakes.push(
                    Mistake::new(raw.span.clone(), "no members")
                        .expected("`unix_group`")
                        .hint("{ unix_group = \"sre\" }"),
                );
            }
            return None;
        };
        match nix::unistd::Group::from_name(group) {
            Ok(Some(_)) => Some(group.value.clone()),
            Ok(None) | Err(_) => {
                self.mistakes.push(
                    Mistake::new(group.span.clone(), format!("no such group on this host: `{}`", group.escape_debug()))
                        .expected("a group")
                        .hint("`getent group` lists them"),
                );
                None
            }
        }
    }
}

/// Where systemd puts a slice or a system service: a dash in a slice's name is a level
/// ([systemd.slice(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.slice.html)).
fn unit(name: &str) -> Option<PathBuf> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
    if !plain {
        return None;
    }
    if name.ends_with(".service") && name.len() > ".service".len() {
        return Some(Path::new("/system.slice").join(name));
    }
    let stem = name.strip_suffix(".slice").filter(|stem| !stem.is_empty())?;
    if stem.split('-').any(str::is_empty) {
        return None;
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    let levels = ends.filter_map(|end| stem.get(..end)).map(|level| format!("{level}.slice"));
    Some(levels.fold(PathBuf::from("/"), |path, level| path.join(level)))
}

/// Whether the first part of a pattern is one: it would be looked for among all cgroups, the daemon's too.
fn is_wild(pattern: &Path) -> bool {
    pattern.iter().nth(1).and_then(|first| first.to_str()).is_none_or(find::is_pattern)
}

/// Whether one is in the other. Of patterns, what both match is the one's that stands first.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_where_systemd_puts_them() {
        assert_eq!(unit("ci.slice"), Some("/ci.slice".into()));
        assert_eq!(unit("ci-runner-eu.slice"), Some("/ci.slice/ci-runner.slice/ci-runner-eu.slice".into()));
        assert_eq!(unit("ci-runner@1.service"), Some("/system.slice/ci-runner@1.service".into()));
        for name in ["", ".slice", ".service", "-.slice", "a--b.slice", "session-1.scope", "a/b.service", "ci"] {
            assert_eq!(unit(name), None, "{name}");
        }
    }

    #[test]
    fn a_tree_overlaps_what_is_inside_it_only() {
        assert!(overlap(Path::new("/a"), Path::new("/a/b")));
        assert!(overlap(Path::new("/a/b"), Path::new("/a")));
        assert!(!overlap(Path::new("/a"), Path::new("/ab")));
    }
}
