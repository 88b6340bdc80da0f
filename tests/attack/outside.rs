//! Processes outside of every workload, which would speak for whoever reaches them.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{FileExt, PermissionsExt},
            net::{UnixDatagram, UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    libc,
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};

use crate::{
    attempts,
    ear::Ear,
    field::{Field, hear_all},
    scene::Scene,
    sys,
};

/// The user of unprivileged attackers, and of the process outside that they reach for: `nobody`.
pub const USER: u32 = 65_534;
/// A victim's descriptor of a connection to the far host.
const VICTIM_DESCRIPTOR: i32 = 20;
/// How much of a victim's memory is watched, in bytes.
const MEMORY: usize = 256;
const QUEUE_POLL: Duration = Duration::from_millis(3);

/// The doors of helpers: sockets, pipes and queues that anybody may use.
pub struct Doors {
    directory: PathBuf,
    instance: String,
    ear: Arc<Ear>,
}

impl Doors {
    /// Opens them all.
    pub fn open(directory: &Path, instance: &str, field: &Field) -> Result<Self> {
        let doors = Self { directory: directory.into(), instance: instance.into(), ear: field.ear.clone() };
        for (name, place) in [("helper.sock", "a helper"), ("docker.sock", "a helper named like Docker")] {
            let listener = UnixListener::bind(directory.join(name))?;
            doors.serve(listener, place);
        }
        let datagrams = UnixDatagram::bind(directory.join("helper.dgram"))?;
        doors.receive(datagrams.into(), "a helper, by datagram");
        doors.serve(doors.sequential()?, "a helper, by packets");
        for (kind, name) in [(libc::SOCK_STREAM, "stream"), (libc::SOCK_DGRAM, "dgram")] {
            let socket = sys::socket(libc::AF_UNIX, kind, 0)?;
            sys::bind(&socket, &sys::unix_address(&format!("@{instance}-{name}")))?;
            if kind == libc::SOCK_DGRAM {
                doors.receive(socket, "a helper, by an abstract datagram");
            } else {
                sys::listen(&socket)?;
                doors.serve(socket.into(), "a helper, by an abstract name");
            }
        }
        doors.pipe()?;
        doors.queues()?;
        doors.pass_connections(field)?;
        for entry in fs::read_dir(directory)? {
            fs::set_permissions(entry?.path(), Permissions::from_mode(0o777))?;
        }
        Ok(doors)
    }

    fn sequential(&self) -> Result<UnixListener> {
        let socket = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
        let path = self.directory.join("helper.seq");
        sys::bind(&socket, &sys::unix_address(&path.to_string_lossy()))?;
        sys::listen(&socket)?;
        Ok(socket.into())
    }

    fn serve(&self, listener: UnixListener, place: &'static str) {
        let ear = self.ear.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let ear = ear.clone();
                thread::spawn(move || hear_all(stream, place, &ear));
            }
        });
    }

    fn receive(&self, socket: OwnedFd, place: &'static str) {
        let ear = self.ear.clone();
        thread::spawn(move || hear_all(fs::File::from(socket), place, &ear));
    }

    fn pipe(&self) -> Result<()> {
        let path = self.directory.join("helper.fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o777))?;
        // Open for writing as well, so that it never ends.
        let pipe = fs::File::options().read(true).write(true).open(path)?;
        let ear = self.ear.clone();
        thread::spawn(move || hear_all(pipe, "a helper, by a named pipe", &ear));
        Ok(())
    }

    fn queues(&self) -> Result<()> {
        let key = attempts::queue_key(&self.instance) as u64;
        let queue = sys::call(libc::SYS_msgget, [key, libc::IPC_CREAT as u64 | 0o666, 0, 0, 0]).context("msgget")?;
        let ear = self.ear.clone();
        thread::spawn(move || {
            let mut message = [0_u8; 264];
            while let Ok(length) = sys::call(libc::SYS_msgrcv, [queue as u64, message.as_mut_ptr() as u64, 256, 0, 0]) {
                ear.hear("a helper, by a System V queue", message.get(8..8 + length as usize).unwrap_or_default());
            }
        });
        // Kernels without POSIX queues do without: the attempt then has nothing to reach.
        let name = sys::c_string(&self.instance)?;
        let flags = (libc::O_RDWR | libc::O_CREAT) as u64;
        let Ok(queue) = sys::opening(libc::SYS_mq_open, [name.as_ptr() as u64, flags, 0o777, 0, 0]) else {
            return Ok(());
        };
        // SAFETY: changes the mode of a descriptor of ours: the umask has kept others out.
        unsafe { libc::fchmod(queue.as_raw_fd(), 0o777) };
        let ear = self.ear.clone();
        thread::spawn(move || {
            let mut bytes = vec![0_u8; 65_536];
            loop {
                let arguments = [queue.as_raw_fd() as u64, bytes.as_mut_ptr() as u64, bytes.len() as u64, 0, 0];
                match sys::call(libc::SYS_mq_timedreceive, arguments) {
                    Ok(length) => {
                        ear.hear("a helper, by a POSIX queue", bytes.get(..length as usize).unwrap_or_default())
                    }
                    Err(_) => thread::sleep(QUEUE_POLL),
                }
            }
        });
        Ok(())
    }

    /// A helper that hands out connections to the far host.
    fn pass_connections(&self, field: &Field) -> Result<()> {
        let listener = UnixListener::bind(self.directory.join("pass.sock"))?;
        let connections: Vec<TcpStream> = vec![field.connection()?];
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                for connection in &connections {
                    let _ = pass(&stream, connection);
                }
            }
        });
        Ok(())
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        let key = attempts::queue_key(&self.instance) as u64;
        if let Ok(queue) = sys::call(libc::SYS_msgget, [key, 0, 0, 0, 0]) {
            let _ = sys::call(libc::SYS_msgctl, [queue as u64, libc::IPC_RMID as u64, 0, 0, 0]);
        }
        if let Ok(name) = sys::c_string(&self.instance) {
            let _ = sys::call(libc::SYS_mq_unlink, [name.as_ptr() as u64, 0, 0, 0, 0]);
        }
    }
}

fn pass(to: &UnixStream, connection: &TcpStream) -> nix::Result<()> {
    let descriptors = [connection.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let parts = [std::io::IoSlice::new(b".")];
    sendmsg::<()>(to.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// A process outside with a connection that an attacker of the same user would like to have.
pub struct Victim {
    child: Child,
    /// It ends when this is closed.
    _input: ChildStdin,
    memory: u64,
}

impl Victim {
    pub fn start(program: &Path, user: u32, field: &Field) -> Result<Self> {
        let connection = field.connection()?;
        let mut command = Command::new(program);
        command.arg("victim").stdin(Stdio::piped()).stdout(Stdio::piped()).uid(user).gid(user);
        let descriptor = connection.as_raw_fd();
        // SAFETY: one call, which allocates nothing.
        unsafe {
            command.pre_exec(move || sys::checked(libc::dup2(descriptor, VICTIM_DESCRIPTOR).into()).map(drop));
        }
        let mut child = command.spawn().context("a process outside")?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        // As it would be, had the victim made the pipe itself.
        nix::unistd::fchown(&output, Some(user.into()), Some(user.into()))?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let ear = field.ear.clone();
        thread::spawn(move || hear_all(output, "the pipe of a process outside", &ear));
        Ok(Self { child, _input: input, memory: line.trim().parse().context("the address of its memory")? })
    }

    /// Tells an attacker where it is.
    pub fn introduce(&self, scene: &mut Scene) -> Result<()> {
        scene.victim = i32::try_from(self.child.id())?;
        (scene.victim_descriptor, scene.victim_memory) = (VICTIM_DESCRIPTOR, self.memory);
        Ok(())
    }

    /// Reads what has been put into its memory.
    pub fn listen(&self, ear: &Ear) {
        let mut bytes = [0; MEMORY];
        let path = format!("/proc/{}/mem", self.child.id());
        if fs::File::open(path).and_then(|memory| memory.read_exact_at(&mut bytes, self.memory)).is_ok() {
            ear.hear("the memory of a process outside", &bytes);
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a victim does: shows where its memory is, and waits.
pub fn suffer() -> Result<()> {
    let memory = Box::new([0_u8; MEMORY]);
    println!("{}", memory.as_ptr() as u64);
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::hint::black_box(&memory);
    Ok(())
}

/// Who takes the daemon's port when it is dead, for connections and for datagrams.
#[derive(Clone, Default)]
pub struct Squatters(Arc<AtomicBool>);

impl Squatters {
    /// Listens everywhere, as a user of this host might, and hears all that is said.
    pub fn sit(&self, port: u16, ear: &Arc<Ear>) {
        for host in [Ipv6Addr::UNSPECIFIED.into(), IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            // The one for all addresses leaves no room for the others, where it could be had.
            let Ok(listener) = TcpListener::bind((host, port)) else { continue };
            let Ok(datagrams) = UdpSocket::bind((host, port)) else { continue };
            let (gone, ear) = (self.0.clone(), ear.clone());
            thread::spawn(move || squat(&listener, &datagrams, &gone, &ear));
        }
    }

    pub fn leave(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn squat(listener: &TcpListener, datagrams: &UdpSocket, gone: &AtomicBool, ear: &Arc<Ear>) {
    let (_, _) = (listener.set_nonblocking(true), datagrams.set_nonblocking(true));
    let mut bytes = [0; 4096];
    while !gone.load(Ordering::SeqCst) {
        if let Ok((stream, _)) = listener.accept() {
            ear.notice("whoever has taken the daemon's port");
            drop(stream);
        }
        if let Ok((length, _)) = datagrams.recv_from(&mut bytes) {
            ear.hear("whoever has taken the daemon's port, by datagram", bytes.get(..length).unwrap_or_default());
        }
        thread::sleep(QUEUE_POLL);
    }
}

/// What an attacker starts with, beyond its cgroup.
pub struct Luggage {
    pub tcp: OwnedFd,
    pub udp: OwnedFd,
    pub connection: TcpStream,
}

impl Luggage {
    pub fn pack(field: &Field) -> Result<Self> {
        let tcp = sys::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        let udp = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        Ok(Self { tcp, udp, connection: field.connection()? })
    }

    /// Its connection, to be somebody's standard input.
    pub fn as_input(&self) -> Result<Stdio> {
        Ok(OwnedFd::from(self.connection.try_clone()?).into())
    }
}
