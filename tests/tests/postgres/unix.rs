//! PostgreSQL's own Unix socket as a target: reached through a doorway of the workload's, and no other way.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::unistd::{Uid, setuid};
use serde_json::Value;

use super::*;

/// How often something that follows by moments is looked for before it counts as missing.
const LOOKS_MAX: u32 = 400;

/// A workload of the configuration, in a cgroup of the test's own.
const ENROLLED: &str = "ci";

/// A gate before a server's Unix socket, and a workload that `portcullis run` has started.
struct Local {
    /// Dropped first: its cgroup goes with it.
    sleeper: Sleeper,
    pair: Pair,
    cgroup: PathBuf,
    tree: PathBuf,
}

impl Local {
    fn start() -> Result<Self> {
        let server = Postgres::start()?;
        let tree = PathBuf::from(format!("/portcullis-test-{}-{}", std::process::id(), server.port()));
        let defaults = Setup::default();
        let extra = format!(
            r#"[[target]]
name = "local"
protocol = "postgres"
address = ["unix:{}"]
credential = "shop-app"
labels = {{ environment = "staging" }}
[target.classes]
{}
[[workload]]
name = "{ENROLLED}"
cgroup = "{}"
"#,
            server.socket().display(),
            defaults.classes,
            tree.display()
        );
        let gate = Gate::with(&server, &Setup { extra, ..defaults })?;
        let script = "touch ready; exec sleep 600";
        let sleeper = Sleeper(gate.workload(&server, ["sh", "-c", script]).stdout(Stdio::null()).spawn()?);
        let mut local = Self { sleeper, pair: Pair { gate, server }, cgroup: PathBuf::new(), tree };
        local.cgroup = local.settled()?;
        // Before that it proves its capture, for which it needs the daemon.
        wait_for("the workload's command", || local.pair.gate.place().join("ready").exists().then_some(()))?;
        Ok(local)
    }

    /// The workload's cgroup, once its process is in.
    fn settled(&self) -> Result<PathBuf> {
        let id = self.sleeper.0.id();
        let line = |text: &str| Some(text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned());
        let entered = || {
            let cgroup = line(&fs::read_to_string(format!("/proc/{id}/cgroup")).ok()?)?;
            cgroup.contains("/workloads/agent-").then_some(cgroup)
        };
        Ok(unified()?.join(wait_for("the workload in its cgroup", entered)?.trim_start_matches('/')))
    }

    /// Where the daemon keeps this instance's doorways.
    fn doorways(&self) -> Result<PathBuf> {
        let status = self.pair.gate.json(["status"])?;
        let instance = status.get("instance").and_then(Value::as_str).context("no instance")?;
        Ok(Path::new("/run/portcullis").join(instance).join("doorways"))
    }

    /// The directory that the workload's jail would mount in the place of the server's.
    fn jail_door(&self) -> Result<PathBuf> {
        let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&self.cgroup)?);
        Ok(below(&self.doorways()?.join("run").join(id.to_string()), self.server_directory()))
    }

    fn enrolled_door(&self) -> Result<PathBuf> {
        Ok(below(&self.doorways()?.join("enrolled").join(ENROLLED), self.server_directory()))
    }

    fn server_directory(&self) -> PathBuf {
        self.pair.server.socket().parent().map(Path::to_owned).unwrap_or_default()
    }

    /// What psql says through a doorway, from inside a cgroup, or from that of the tests.
    fn psql(&self, cgroup: Option<&Path>, uid: u32, door: &Path, sql: &str) -> Result<String> {
        self.psql_as("app", cgroup, uid, door, sql)
    }

    fn psql_as(&self, role: &str, cgroup: Option<&Path>, uid: u32, door: &Path, sql: &str) -> Result<String> {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-t", "-A", "-v", "VERBOSITY=verbose", "-U", role, "-d", "shop", "-c", sql]);
        command.arg("-h").arg(door).arg("-p").arg(self.pair.server.port().to_string()).current_dir("/");
        let members = cgroup.map(|cgroup| fs::File::options().write(true).open(cgroup.join("cgroup.procs")));
        let members = members.transpose()?;
        // SAFETY: writes to an open file and changes the user; neither takes a lock or allocates.
        unsafe {
            command.pre_exec(move || {
                if let Some(members) = &members {
                    nix::unistd::write(members, b"0")?;
                }
                Ok(setuid(Uid::from_raw(uid))?)
            });
        }
        Ok(said(&command.output()?))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.sleeper.0.kill();
        let _ = self.sleeper.0.wait();
        if let Ok(mount) = unified() {
            let tree = mount.join(self.tree.strip_prefix("/").unwrap_or(&self.tree));
            let _ = wait_for("an empty cgroup", || fs::remove_dir(&tree).ok());
        }
    }
}

struct Sleeper(Child);

fn below(directory: &Path, path: PathBuf) -> PathBuf {
    directory.join(path.strip_prefix("/").unwrap_or(&path))
}

fn unified() -> Result<PathBuf> {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    places.into_iter().find(|place| place.join("cgroup.procs").exists()).context("no cgroup v2")
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..LOOKS_MAX {
        if let Some(found) = look() {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(25));
    }
    anyhow::bail!("waited in vain for {what}")
}

/// `sh -c SCRIPT` in a jail, with libpq's settings for the server's own socket.
fn jailed(pair: &Pair, script: &str) -> Result<Command> {
    let mut command = pair.gate.workload(&pair.server, ["sh", "-c", script]);
    let directory = pair.server.socket().parent().context("no directory")?.to_owned();
    command.env("PGHOST", directory);
    Ok(command)
}

#[test]
fn a_jailed_client_at_the_servers_path_is_governed_masked_and_recorded() -> Result<()> {
    let local = Local::start()?;
    let read = "psql -tAc 'select name, email from customers where id = 1'";
    let shown = said(&jailed(&local.pair, read)?.output()?);
    contains(&shown, "Ada Lovelace")?;
    lacks(&shown, "ada.lovelace@example.com")?;
    let shown = said(&jailed(&local.pair, "psql -c 'drop database shop'")?.output()?);
    contains(&shown, "no-drop-database")?;
    lacks(&local.pair.server.log().to_lowercase(), "drop database")?;

    let sessions = local.pair.gate.ended_sessions(2, &["--workload", "agent", "--target", "local"])?;
    let path = local.pair.server.socket().display().to_string();
    assert!(sessions.iter().all(|session| session["destination"] == path.as_str()), "{sessions:?}");
    contains(&local.pair.gate.ask(["sessions", "show", "latest"])?, "psql")
}

/// The superuser is let in there without a password.
#[test]
fn the_servers_own_socket_is_nowhere_in_a_jail() -> Result<()> {
    let local = Local::start()?;
    let shown = said(&jailed(&local.pair, "psql -U postgres -tAc 'select current_user'; ls -A $PGHOST")?.output()?);
    assert_eq!(shown, format!("app\n.s.PGSQL.{}\n", local.pair.server.port()));
    let before = local.pair.server.log().matches("user=postgres").count();
    let find = "find / -xdev -type s -name '.s.PGSQL.*' 2>/dev/null | while read s; do psql -h ${s%/*} -U postgres -tAc 'select current_user'; done";
    lacks(&said(&jailed(&local.pair, find)?.output()?), "postgres")?;
    assert_eq!(local.pair.server.log().matches("user=postgres").count(), before);
    Ok(())
}

#[test]
fn a_socket_that_is_no_target_is_not_there() -> Result<()> {
    let pair = Pair::start()?;
    let shown = said(&jailed(&pair, "ls -A $PGHOST; psql -U postgres -tAc \"select 'came in'\"")?.output()?);
    lacks(&shown, "came in")?;
    contains(&shown, "No such file or directory")
}

#[test]
fn a_running_jail_finds_the_next_daemon() -> Result<()> {
    let mut local = Local::start()?;
    let script = "psql -tAc 'select 1'; read next; psql -tAc 'select 2'";
    let mut child = jailed(&local.pair, script)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut shown = std::io::BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut shown, &mut line)?;
    assert_eq!(line, "1\n");
    local.pair.gate.kill()?;
    local.pair.gate.resume()?;
    std::io::Write::write_all(&mut child.stdin.take().context("no input")?, b"next\n")?;
    line.clear();
    std::io::BufRead::read_line(&mut shown, &mut line)?;
    child.wait()?;
    assert_eq!(line, "2\n", "{}", local.pair.gate.log());
    Ok(())
}

#[test]
fn a_process_of_no_workload_is_refused_at_a_doorway_and_recorded() -> Result<()> {
    let local = Local::start()?;
    let shown = local.psql(None, 0, &local.jail_door()?, "select 'came in'")?;
    lacks(&shown, "came in")?;
    contains(&local.pair.gate.log(), "of user 0 in")?;
    let sessions = local.pair.gate.ended_sessions(1, &[])?;
    let (path, session) = (local.pair.server.socket().display().to_string(), &sessions[0]);
    assert!(session["destination"] == path.as_str() && session["workload"].is_null(), "{session}");
    contains(&local.pair.gate.ask(["sessions", "show", "latest"])?, "of user 0 in")
}

#[test]
fn a_process_of_another_workload_is_refused_at_a_doorway() -> Result<()> {
    let local = Local::start()?;
    let other = unified()?.join(local.tree.strip_prefix("/")?);
    let shown = local.psql(Some(&other), 0, &local.jail_door()?, "select 'came in'")?;
    lacks(&shown, "came in")?;
    let shown = local.psql(Some(&local.cgroup), 0, &local.enrolled_door()?, "select 'came in'")?;
    lacks(&shown, "came in")
}

#[test]
fn a_workload_of_the_configuration_has_a_doorway_that_its_user_can_reach() -> Result<()> {
    const NOBODY: u32 = 65534;
    let local = Local::start()?;
    let (other, door) = (unified()?.join(local.tree.strip_prefix("/")?), local.enrolled_door()?);
    let shown = local.psql(Some(&other), NOBODY, &door, "select name, email from customers where id = 1")?;
    contains(&shown, "Ada Lovelace")?;
    lacks(&shown, "ada.lovelace@example.com")?;
    let shown = local.psql(None, NOBODY, &door, "select 'came in'")?;
    lacks(&shown, "came in")?;
    let shown = local.psql(Some(&local.cgroup), NOBODY, &local.jail_door()?, "select 'came in'")?;
    lacks(&shown, "came in")
}

/// The superuser is let in there without a password, and nothing but the kernel stands before it.
#[test]
fn a_workload_without_a_jail_cannot_dial_the_servers_own_socket() -> Result<()> {
    let local = Local::start()?;
    let other = unified()?.join(local.tree.strip_prefix("/")?);
    let superuser =
        |cgroup: Option<&Path>| local.psql_as("postgres", cgroup, 0, &local.server_directory(), "select 'in'");
    contains(&superuser(None)?, "in\n")?;
    let shown = superuser(Some(&other))?;
    lacks(&shown, "in\n")?;
    contains(&shown, "Operation not permitted")
}

#[test]
fn a_dead_daemon_means_refused_and_the_next_one_is_found_in_the_same_directory() -> Result<()> {
    let mut local = Local::start()?;
    let door = local.jail_door()?;
    // As a mount holds it.
    let mounted = fs::File::open(&door)?;
    let mounted = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mounted)));
    let socket = mounted.join(local.pair.server.socket().file_name().context("no name")?);
    local.pair.gate.kill()?;
    let refused = UnixStream::connect(&socket).map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    local.pair.gate.resume()?;
    UnixStream::connect(&socket).context("the mounted directory leads nowhere")?;
    assert_eq!(local.psql(Some(&local.cgroup), 0, &door, "select 1")?.trim_end(), "1");
    Ok(())
}

#[test]
fn doorways_go_with_their_workload() -> Result<()> {
    let mut local = Local::start()?;
    let door = local.jail_door()?;
    assert!(door.is_dir());
    local.sleeper.0.kill()?;
    local.sleeper.0.wait()?;
    wait_for("the doorway to go", || (!door.exists()).then_some(()))
}

#[test]
fn a_stranger_at_the_servers_path_gets_no_credential() -> Result<()> {
    let mut local = Local::start()?;
    let socket = local.pair.server.socket();
    local.pair.server.stop()?;
    // As any user of the host could, where the server's directory were open to them.
    portcullis_tests::place::open(&local.server_directory(), 0o777)?;
    let stranger = std::os::unix::net::UnixListener::bind(&socket)?;
    stranger.set_nonblocking(true)?;
    let shown = local.psql(Some(&local.cgroup), 0, &local.jail_door()?, "select 1")?;
    contains(&shown, "cannot reach the server")?;
    assert!(stranger.accept().is_err(), "the daemon dialled a stranger");
    contains(&local.pair.gate.log(), "everyone may put a socket into")
}

#[test]
fn an_allowed_socket_is_in_the_jail_and_its_neighbour_is_not() -> Result<()> {
    let server = Postgres::start()?;
    // In a directory that only root may write to.
    let directory = tempfile::Builder::new().prefix("portcullis-test-").tempdir_in("/run")?;
    portcullis_tests::place::open(directory.path(), 0o755)?;
    let (allowed, neighbour) = (directory.path().join("allowed.sock"), directory.path().join("neighbour.sock"));
    let listeners = [&allowed, &neighbour].map(std::os::unix::net::UnixListener::bind);
    let [listener, other] = listeners;
    let (listener, other) = (listener?, other?);
    [&allowed, &neighbour].into_iter().try_for_each(|socket| portcullis_tests::place::open(socket, 0o666))?;
    let setup = Setup { extra: format!("[unix]\nallow = [{allowed:?}]\n"), ..Setup::default() };
    let pair = Pair { gate: Gate::with(&server, &setup)?, server };

    let dial = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])";
    let script = format!(
        "ls -A {0}; for s in allowed neighbour; do python3 -c '{dial}; print(s.recv(5))' {0}/$s.sock 2>&1; done",
        directory.path().display()
    );
    let child = jailed(&pair, &script)?.stdout(Stdio::piped()).spawn()?;
    listener.set_nonblocking(true)?;
    let (mut dialled, _) = wait_for("the workload at the allowed socket", || listener.accept().ok())?;
    std::io::Write::write_all(&mut dialled, b"hello")?;
    let shown = said(&child.wait_with_output()?);
    contains(&shown, "allowed.sock\nb'hello'\n")?;
    contains(&shown, "FileNotFoundError")?;
    other.set_nonblocking(true)?;
    assert!(other.accept().is_err(), "the workload reached what is not allowed");
    Ok(())
}
