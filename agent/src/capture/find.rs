//! Which cgroup somebody means: by pattern, by the name of a unit, by the id of a container.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use glob::{MatchOptions, Pattern};
use thiserror::Error;

use super::cgroup::Hierarchy;

/// Most cgroups that one search looks at.
pub const SEARCHED_MAX: usize = 65_536;
/// Fewest digits of a container's id by which it is looked for: what tools print by default.
pub const CONTAINER_ID_MIN: usize = 12;
/// Digits of a whole id.
const CONTAINER_ID_LENGTH: usize = 64;

/// Whether a path of a cgroup stands for many: `*`, `?` and `[…]` within one part of it, `**` for any number of parts.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Why no cgroup is meant, or more than one.
#[derive(Debug, Error)]
pub enum FindError {
    #[error("no cgroup v2 hierarchy can be read")]
    Hierarchy(#[source] io::Error),
    #[error("the host has more than {SEARCHED_MAX} cgroups")]
    TooMany,
    #[error("`{0}` is no pattern of cgroups")]
    Pattern(String),
    #[error("`{0}` is no container id: expected {CONTAINER_ID_MIN} to {CONTAINER_ID_LENGTH} hexadecimal digits")]
    ContainerId(String),
    #[error(
        "no container's cgroup is called after `{0}`\n  hint: it must run on this host; name its cgroup with --cgroup"
    )]
    NoContainer(String),
    #[error(
        "no running unit is called `{0}`\n  hint: `systemctl status {0}`; start it, or name its cgroup with --cgroup"
    )]
    NoUnit(String),
    #[error("more than one cgroup is meant by `{id}`: {}\n  hint: name one of them with --cgroup", listed(.candidates))]
    Ambiguous { id: String, candidates: Vec<PathBuf> },
}

fn listed(candidates: &[PathBuf]) -> String {
    candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Where cgroups are in the file system.
pub fn mount() -> Result<PathBuf, FindError> {
    Ok(Hierarchy::find().map_err(FindError::Hierarchy)?.mount().to_owned())
}

/// A cgroup that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    /// Below the mount.
    pub path: PathBuf,
    pub id: u64,
}

/// The cgroups that a pattern matches; of one that matches, nothing below is looked at.
pub fn matching(pattern: &str) -> Result<Vec<Match>, FindError> {
    matching_in(Hierarchy::find().map_err(FindError::Hierarchy)?.mount(), pattern)
}

fn matching_in(mount: &Path, pattern: &str) -> Result<Vec<Match>, FindError> {
    let compiled = Pattern::new(pattern).map_err(|_| FindError::Pattern(pattern.into()))?;
    let strict =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
    let literal = Path::new(pattern).iter().take_while(|part| part.to_str().is_some_and(|part| !is_pattern(part)));
    let from: PathBuf = literal.collect();
    search(mount, &from, |path| compiled.matches_path_with(path, strict))
}

/// The cgroup of a container, by its id or the first digits of it, wherever Docker, containerd, CRI-O and Podman put
/// containers: `docker-<id>.scope`, `/docker/<id>`, `cri-containerd-<id>.scope`, `libpod-<id>.scope`, `kubepods…/<id>`.
pub fn container(id: &str) -> Result<PathBuf, FindError> {
    container_in(Hierarchy::find().map_err(FindError::Hierarchy)?.mount(), id)
}

fn container_in(mount: &Path, id: &str) -> Result<PathBuf, FindError> {
    // Tools of Kubernetes print `containerd://<id>`.
    let digits = id.rsplit("://").next().unwrap_or(id).to_ascii_lowercase();
    let length = CONTAINER_ID_MIN..=CONTAINER_ID_LENGTH;
    if !length.contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(FindError::ContainerId(id.into()));
    }
    let is_its = |path: &Path| container_id(path).is_some_and(|found| found.starts_with(&digits));
    let found = search(mount, Path::new("/"), is_its)?;
    one(id, found)?.ok_or_else(|| FindError::NoContainer(id.into()))
}

/// The id of the container whose cgroup this is, by its last part. A helper's cgroup beside it (`libpod-conmon-<id>`) is
/// none.
fn container_id(path: &Path) -> Option<&str> {
    const PREFIXES: [&str; 7] = ["docker-", "cri-containerd-", "crio-", "libpod-", "nerdctl-", "containerd-", ""];
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    (id.len() == CONTAINER_ID_LENGTH && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
}

/// The cgroup of a running unit of systemd's: as systemd says, or where a unit of this name is below the slices.
pub fn unit(name: &str) -> Result<PathBuf, FindError> {
    let hierarchy = Hierarchy::find().map_err(FindError::Hierarchy)?;
    // Without a suffix, a service is meant, as for systemctl.
    let name = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
    if let Some(path) = asked_of_systemd(&name) {
        return Ok(path);
    }
    let is_its = |path: &Path| path.file_name().is_some_and(|last| *last == *name);
    let found = search(hierarchy.mount(), Path::new("/"), is_its)?;
    one(&name, found)?.ok_or(FindError::NoUnit(name))
}

/// `None` where systemd does not run, or knows no such unit, or has not started it.
fn asked_of_systemd(name: &str) -> Option<PathBuf> {
    let asked = ["show", "--property=ControlGroup", "--value", "--", name];
    let answer = Command::new("systemctl").args(asked).output().ok().filter(|answer| answer.status.success())?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    (path.is_absolute() && path.parent().is_some()).then_some(path)
}

fn one(id: &str, found: Vec<Match>) -> Result<Option<PathBuf>, FindError> {
    let mut paths: Vec<_> = found.into_iter().map(|found| found.path).collect();
    match paths.len() {
        0 | 1 => Ok(paths.pop()),
        _ => Err(FindError::Ambiguous { id: id.into(), candidates: paths }),
    }
}

/// Walks the cgroups below a path, that one included, and collects those that are wanted, and nothing below them.
fn search(mount: &Path, from: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<Match>, FindError> {
    let mut found = Vec::new();
    let mut waiting = vec![Path::new("/").join(from)];
    let mut searched = 0_usize;
    while let Some(path) = waiting.pop() {
        searched += 1;
        if searched > SEARCHED_MAX {
            return Err(FindError::TooMany);
        }
        let directory = mount.join(path.strip_prefix("/").unwrap_or(&path));
        // What is gone in the meantime is not there.
        let Ok(metadata) = fs::metadata(&directory) else { continue };
        if wanted(&path) {
            found.push(Match { path, id: metadata.ino() });
            continue;
        }
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let children = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(children.map(|child| path.join(child.file_name())));
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2a9c0d1e3b5a7f4f2a9c0d1e3b5a7f4f2a9c0d1e3b5a7f4f2a9c0d1e3b5a7f";

    fn tree(paths: &[String]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        root
    }

    #[test]
    fn a_container_is_found_in_every_layout() {
        for layout in [
            format!("system.slice/docker-{ID}.scope"),
            format!("docker/{ID}"),
            format!("kubepods.slice/kubepods-burstable.slice/pod1/cri-containerd-{ID}.scope"),
            format!("kubepods/besteffort/pod2/{ID}"),
            format!("kubepods.slice/crio-{ID}.scope"),
            format!("machine.slice/libpod-{ID}.scope"),
            format!("libpod_parent/libpod-{ID}"),
        ] {
            // Conmon's cgroup, which stands beside the container's.
            let root = tree(&[layout.clone(), format!("machine.slice/libpod-conmon-{ID}.scope")]);
            let expected = Path::new("/").join(&layout);
            for id in [ID, &ID[..12], &format!("containerd://{ID}"), &ID.to_uppercase()] {
                assert_eq!(container_in(root.path(), id).unwrap(), expected, "{id}");
            }
        }
    }

    #[test]
    fn what_is_ambiguous_or_no_id_finds_nothing() {
        let other = format!("{}0", &ID[..63]);
        let root = tree(&[format!("docker/{ID}"), format!("docker/{other}")]);
        let found = |id: &str| container_in(root.path(), id);
        assert!(matches!(found(&ID[..12]), Err(FindError::Ambiguous { candidates, .. }) if candidates.len() == 2));
        assert!(found(ID).is_ok());
        assert!(matches!(found("000000000000"), Err(FindError::NoContainer(_))));
        for id in ["", "docker", &ID[..11], &format!("{ID}0"), "../../../etc", "4f2a9c0d1e3g"] {
            assert!(matches!(found(id), Err(FindError::ContainerId(_))), "{id}");
        }
    }

    #[test]
    fn a_pattern_matches_within_a_part_and_two_stars_any_number_of_parts() {
        let paths = ["k.slice/a/cri-1.scope", "k.slice/cri-2.scope/cri-3.scope", "k.slice/other.scope", "cri-4.scope"];
        let root = tree(&paths.map(String::from));
        let found = |pattern: &str| {
            let found = matching_in(root.path(), pattern).unwrap();
            found.into_iter().map(|found| found.path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("/k.slice/**/cri-*.scope"), ["/k.slice/a/cri-1.scope", "/k.slice/cri-2.scope"]);
        assert_eq!(found("/k.slice/cri-*.scope"), ["/k.slice/cri-2.scope"]);
        assert_eq!(found("/*/cri-?.scope"), ["/k.slice/cri-2.scope"]);
        assert_eq!(found("/nowhere/*"), Vec::<String>::new());
    }
}
