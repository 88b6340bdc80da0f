//! `portcullis enrol` and `release`: processes that somebody else started, under capture by command.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use super::{
    ask, findings,
    output::{json, plain},
};
use crate::{
    accept::findings::Risk,
    capture::{Existing, find},
    control::{Captured, Command, Place, Reply},
};

/// Put processes that run already under capture.
///
/// Connections that they have are cut. What capture alone cannot hold of them, such as root or capabilities, is a
/// reason to refuse, unless each such risk is accepted by name.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portcullis enrol --unit ci-runner --check\n  portcullis enrol --unit ci-runner --accept-risk \
                  system-calls\n  portcullis enrol --container 4f2a9c0d1e3b --name build\n\nExits with 1 when it is \
                  refused, or when --check finds something."
)]
pub struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// The workload's name, as policy knows it [default: after the unit, container, process or cgroup]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Accept what capture alone cannot hold, by name; may be repeated
    #[arg(long = "accept-risk", value_name = "RISK", value_parser = risk)]
    accept_risks: Vec<Risk>,
    /// Only say what would be found, and what systemd needs to end it
    #[arg(long)]
    check: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// A cgroup: below the cgroup v2 mount (`/system.slice/ci.service`), or a slice (`ci.slice`)
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// A running unit of systemd's; captured again when it restarts
    #[arg(long, value_name = "NAME")]
    unit: Option<String>,
    /// A process with those that it started: their cgroup where they are alone in it, else they are moved into a new one
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// A container, by 12 or more digits of its id; released when it ends
    #[arg(long, value_name = "ID")]
    container: Option<String>,
}

fn risk(name: &str) -> Result<Risk, String> {
    let known = || format!("expected one of {}", Risk::ALL.map(Risk::name).join(", "));
    Risk::named(name).ok_or_else(known)
}

pub fn run(args: Args, control: PathBuf) -> anyhow::Result<ExitCode> {
    let (place, name) = args.place.find()?;
    let name = args.name.unwrap_or(name);
    if args.check {
        return findings::show(ask(control, &Command::Preview { place, name })?, args.json);
    }
    let command = Command::Capture { place, name, accept_risks: args.accept_risks };
    let Reply::Captured(captured) = ask(control, &command)? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    if args.json {
        json(&captured)?
    } else {
        tell(&captured)
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(captured: &Captured) {
    println!("{} is enrolled: {}", captured.workload, captured.cgroup.display());
    if captured.moved > 0 {
        println!("moved there: {} process(es); their siblings stay where they are", captured.moved);
    }
    if captured.cut > 0 {
        println!("cut: {} connection(s) that were open", captured.cut);
    }
    for finding in &captured.accepted {
        println!("accepted: {} ({}): {}", finding.risk, plain(&finding.detail), finding.risk.meaning());
    }
}

impl PlaceArgs {
    /// What is meant, and the name that it has by itself.
    fn find(self) -> anyhow::Result<(Place, String)> {
        let Self { cgroup, unit, pid, container } = self;
        if let Some(pid) = pid {
            let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Ok((Place::Process { pid }, name_of(&format!("{}-{pid}", command.trim()))));
        }
        let (path, lasting) = match (cgroup, unit, container) {
            (Some(cgroup), _, _) => (below_mount(&cgroup)?, true),
            (_, Some(unit), _) => (find::unit(&unit)?, true),
            (_, _, Some(id)) => (find::container(&id)?, false),
            (None, None, None) => anyhow::bail!("name a cgroup, a unit, a process or a container"),
        };
        let last = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = [".service", ".slice", ".scope"].iter().find_map(|suffix| last.strip_suffix(suffix));
        let name = name_of(stem.unwrap_or(last));
        Ok((Place::Cgroup { path, lasting }, name))
    }
}

/// The path below the mount of what somebody wrote, who may have completed the path in the file system.
fn below_mount(written: &str) -> anyhow::Result<PathBuf> {
    let path = Existing { name: String::new(), cgroup: written.to_owned() }.path();
    let mount = find::mount()?;
    let below = path.strip_prefix(&mount).map_or(path.clone(), |below| Path::new("/").join(below));
    let plain = below.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    anyhow::ensure!(plain, "no path of a cgroup: `{written}`");
    Ok(below.components().collect())
}

/// Longest name that is made of another: ids of containers are longer.
const NAME_LENGTH: usize = 32;

fn name_of(raw: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = raw.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().map(known).collect();
    let name: String = name.chars().take(NAME_LENGTH).collect();
    if name.is_empty() { "enrolled".to_owned() } else { name }
}

/// Let processes go that `enrol` put under capture.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  portcullis release ci-runner\n\nWhat was moved goes back to the cgroup that it came from."
)]
pub struct ReleaseArgs {
    /// The workload's name
    #[arg(value_name = "NAME")]
    name: String,
    #[arg(long)]
    json: bool,
}

pub fn release(args: ReleaseArgs, control: PathBuf) -> anyhow::Result<ExitCode> {
    let Reply::Done { message } = ask(control, &Command::Release { workload: args.name })? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    if args.json {
        json(&serde_json::json!({ "message": message }))?
    } else {
        println!("{message}")
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_whatever_there_is() {
        assert_eq!(name_of("ci-runner@1"), "ci-runner-1");
        assert_eq!(name_of("..x y"), "x-y");
        assert_eq!(name_of("(sd-pam)"), "sd-pam-");
        assert_eq!(name_of("äö"), "enrolled");
        assert_eq!(name_of(&"f".repeat(64)).len(), NAME_LENGTH);
    }

    #[test]
    fn a_path_may_be_written_as_the_file_system_has_it() {
        let mount = find::mount().unwrap();
        let written = mount.join("ci.slice/x.service").display().to_string();
        assert_eq!(below_mount(&written).unwrap(), Path::new("/ci.slice/x.service"));
        assert_eq!(below_mount("/ci.slice//x.service/").unwrap(), Path::new("/ci.slice/x.service"));
        assert_eq!(below_mount("ci-night.slice").unwrap(), Path::new("/ci.slice/ci-night.slice"));
        assert!(below_mount("/ci.slice/../..").is_err());
    }
}
