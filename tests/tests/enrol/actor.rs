//! A process in a cgroup that does what a test asks of it: this program in another role.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::fs::chroot,
    },
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::rig::{Cgroup, Echo};

pub const ROLE: &str = "PORTCULLIS_TEST_ROLE";
/// What a role's own lines begin with, among those of the test harness.
const MARK: &str = "~ ";
/// How long an actor waits for an answer before it counts as lost.
const ANSWER: Duration = Duration::from_secs(5);

/// This program, to play a role.
pub fn role(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "role", "--ignored", "--nocapture"]).env(ROLE, role);
    command
}

/// The process. Dropping it kills it.
pub struct Actor {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Actor {
    /// Root, in a cgroup from before it made a socket.
    pub fn root_in(cgroup: &Cgroup) -> Self {
        let actor = Self::outside();
        cgroup.admit(actor.pid());
        actor
    }

    /// Root, in the cgroup of the tests.
    pub fn outside() -> Self {
        let mut child = role("actor").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// With none of the risks that there are.
    pub fn fit_in(cgroup: &Cgroup) -> Self {
        let mut actor = Self::root_in(cgroup);
        assert_eq!(actor.ask("become-fit"), "done");
        actor
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connects(&mut self, echo: &Echo) {
        assert_eq!(self.ask(&format!("connect {}", echo.address)), "connected");
    }

    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the actor ended at: {question}");
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().into();
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an actor has open until it ends.
#[derive(Default)]
struct Hands {
    connection: Option<TcpStream>,
    kept: Vec<OwnedFd>,
    children: Vec<Child>,
}

impl Drop for Hands {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The role: does what each line of standard input says, and answers in a line.
pub fn act() {
    let mut hands = Hands::default();
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let (what, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = hands.obey(what, rest).unwrap_or_else(|error| format!("lost: {error}"));
        println!("{MARK}{answer}");
        io::stdout().flush().unwrap();
    }
}

impl Hands {
    fn obey(&mut self, what: &str, rest: &str) -> io::Result<String> {
        let done = Ok("done".to_owned());
        match what {
            "connect" => {
                self.connection = Some(connect(rest)?);
                Ok("connected".into())
            }
            "say" => match &mut self.connection {
                Some(connection) => say(connection).inspect_err(|_| self.connection = None),
                None => Err(io::Error::other("no connection")),
            },
            "reach" => say(&mut connect(rest)?),
            "listen" => {
                self.kept.push(TcpListener::bind("127.0.0.1:0")?.into());
                done
            }
            // An unconnected socket of a family.
            "socket" => {
                self.kept.push(socket(rest.parse().unwrap())?);
                done
            }
            "uring" => {
                self.kept.push(uring()?);
                done
            }
            "child" => {
                let child = Command::new("sleep").arg("600").spawn()?;
                let pid = child.id().to_string();
                self.children.push(child);
                Ok(pid)
            }
            "chroot" => chroot(rest).and(done),
            // Uid, whether a capability is kept, whether privileges are sealed, whether there is a filter.
            "become" => {
                let (uid, words) = rest.split_once(' ').unwrap_or((rest, ""));
                become_user(uid.parse().unwrap(), words.contains("raw"), words.contains("sealed"))?;
                if words.contains("filtered") { filter().and(done) } else { done }
            }
            "become-fit" => become_user(own_uid(), false, true).and_then(|()| filter()).and(done),
            other => panic!("{other}"),
        }
    }
}

/// A user of this process's own.
pub fn own_uid() -> u32 {
    100_000 + std::process::id() % 1_000_000_000
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let connection = TcpStream::connect_timeout(&address, ANSWER)?;
    connection.set_read_timeout(Some(ANSWER))?;
    Ok(connection)
}

fn say(connection: &mut TcpStream) -> io::Result<String> {
    connection.write_all(b"x")?;
    connection.read_exact(&mut [0])?;
    Ok("heard".into())
}

fn socket(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = if family == libc::AF_PACKET { libc::SOCK_RAW } else { libc::SOCK_STREAM };
    // SAFETY: takes numbers; a new descriptor is ours.
    unsafe {
        match libc::socket(family, kind, 0) {
            -1 => Err(io::Error::last_os_error()),
            socket => Ok(OwnedFd::from_raw_fd(socket)),
        }
    }
}

fn uring() -> io::Result<OwnedFd> {
    let mut parameters = [0_u32; 30];
    // SAFETY: `struct io_uring_params` is 120 bytes; a new descriptor is ours.
    unsafe {
        match libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) {
            -1 => Err(io::Error::last_os_error()),
            ring => Ok(OwnedFd::from_raw_fd(ring as i32)),
        }
    }
}

fn become_user(uid: u32, keep_raw: bool, sealed: bool) -> io::Result<()> {
    let check = |answer: libc::c_int| if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let raw = 1_u32 << 13;
    // SAFETY: takes numbers and structures that live long enough; this process has no other thread that matters.
    unsafe {
        if uid != 0 {
            check(libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep_raw), 0, 0, 0))?;
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setresgid(uid, uid, uid))?;
            check(libc::setresuid(uid, uid, uid))?;
            let header = [0x2008_0522_u32, 0];
            let kept = if keep_raw { raw } else { 0 };
            let sets = [kept, kept, 0, 0, 0, 0];
            check(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) as libc::c_int)?;
        }
        if sealed {
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
    }
    Ok(())
}

/// A filter that lets everything pass: what one holds is not this test's.
fn filter() -> io::Result<()> {
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: (&raw const allow).cast_mut() };
    let (mode, threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the program lives until the call returns. The test harness's thread is sealed and filtered as well.
    match unsafe { libc::syscall(libc::SYS_seccomp, mode, threads, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
