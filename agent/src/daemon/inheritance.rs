//! What one daemon leaves to the next: its sockets, its lock, and who its workloads are.
//!
//! ```text
//! MAGIC, length of the manifest (u32), manifest (JSON), then one byte for each descriptor, with it (SCM_RIGHTS)
//! ```
//!
//! Connections that nobody has accepted yet wait in the sockets' backlogs, and move with them (unix(7)).

use std::{
    collections::HashMap,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

use super::listeners::Sockets;
use crate::{accept::Workload, capture::namespace::NamespaceFile, control::Reply};

/// How a handover begins; a refusal begins with a brace. The digit counts versions of what follows.
const MAGIC: &[u8; 8] = b"PCHAND01";
/// Most bytes of a manifest.
const MANIFEST_MAX: u32 = 64 * 1024 * 1024;
/// Most bytes of a refusal.
const REFUSAL_MAX: u64 = 64 * 1024;
/// Most descriptors that pass.
const DESCRIPTORS_MAX: usize = 65_536;

/// Everything that a takeover passes on.
#[derive(Debug)]
pub(super) struct Inheritance {
    /// The open cgroup directory whose lock says that the instance is taken.
    pub lock: OwnedFd,
    pub control: UnixListener,
    pub host: Sockets,
    pub namespaces: HashMap<NamespaceFile, Sockets>,
    /// Those of workloads, by where they are.
    pub doorways: HashMap<PathBuf, UnixListener>,
    pub workloads: Vec<Workload>,
    /// The daemon that left it.
    pub from: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    pid: u32,
    workloads: Vec<Workload>,
    /// What each descriptor is, in the order in which they follow.
    descriptors: Vec<Role>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Lock,
    Control,
    Host,
    Namespace(NamespaceFile),
    Doorway(PathBuf),
}

impl Inheritance {
    /// How many sockets pass.
    pub(super) fn sockets(&self) -> usize {
        1 + self.doorways.len()
            + self.host.descriptors().count()
            + self.namespaces.values().map(|sockets| sockets.descriptors().count()).sum::<usize>()
    }

    pub(super) fn send(&self, mut to: &UnixStream) -> io::Result<()> {
        let mut passed = vec![(Role::Lock, self.lock.as_fd()), (Role::Control, self.control.as_fd())];
        passed.extend(self.host.descriptors().map(|descriptor| (Role::Host, descriptor)));
        for (file, sockets) in &self.namespaces {
            passed.extend(sockets.descriptors().map(|descriptor| (Role::Namespace(*file), descriptor)));
        }
        for (place, listener) in &self.doorways {
            passed.push((Role::Doorway(place.clone()), listener.as_fd()));
        }
        let manifest = serde_json::to_vec(&Manifest {
            pid: self.from,
            workloads: self.workloads.clone(),
            descriptors: passed.iter().map(|(role, _)| role.clone()).collect(),
        })?;
        let length = u32::try_from(manifest.len()).ok().filter(|length| *length <= MANIFEST_MAX);
        to.write_all(MAGIC)?;
        to.write_all(&length.ok_or(io::ErrorKind::FileTooLarge)?.to_le_bytes())?;
        to.write_all(&manifest)?;
        passed.iter().try_for_each(|(_, descriptor)| send_descriptor(to, descriptor.as_raw_fd()))
    }

    /// Waits for what the other daemon leaves.
    pub(super) fn receive(mut from: &UnixStream) -> anyhow::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).context("the running daemon broke off")?;
        if magic != *MAGIC {
            bail!("the running daemon does not hand over: {}", refusal(&magic, from));
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        ensure!(length <= MANIFEST_MAX, "a manifest of {length} bytes came, the limit is {MANIFEST_MAX}");
        let mut manifest = vec![0; length as usize];
        from.read_exact(&mut manifest)?;
        let manifest: Manifest = serde_json::from_slice(&manifest).context("the manifest is of another version")?;
        ensure!(
            manifest.descriptors.len() <= DESCRIPTORS_MAX,
            "more than {DESCRIPTORS_MAX} descriptors were announced"
        );
        let mut sorted = Sorted::default();
        for role in manifest.descriptors {
            sorted.put(role, receive_descriptor(from).context("a descriptor is missing")?);
        }
        sorted.into_inheritance(manifest.pid, manifest.workloads)
    }
}

/// Descriptors by what they are.
#[derive(Default)]
struct Sorted {
    lock: Option<OwnedFd>,
    control: Option<OwnedFd>,
    host: Vec<OwnedFd>,
    namespaces: HashMap<NamespaceFile, Vec<OwnedFd>>,
    doorways: HashMap<PathBuf, UnixListener>,
}

impl Sorted {
    fn put(&mut self, role: Role, descriptor: OwnedFd) {
        match role {
            Role::Lock => self.lock = Some(descriptor),
            Role::Control => self.control = Some(descriptor),
            Role::Host => self.host.push(descriptor),
            Role::Namespace(file) => self.namespaces.entry(file).or_default().push(descriptor),
            Role::Doorway(place) => drop(self.doorways.insert(place, descriptor.into())),
        }
    }

    fn into_inheritance(self, from: u32, workloads: Vec<Workload>) -> anyhow::Result<Inheritance> {
        let namespaces = self.namespaces.into_iter().map(|(file, sockets)| Ok((file, Sockets::of(sockets)?)));
        Ok(Inheritance {
            lock: self.lock.context("no lock came")?,
            control: self.control.context("no control socket came")?.into(),
            host: Sockets::of(self.host)?,
            namespaces: namespaces.collect::<io::Result<_>>()?,
            doorways: self.doorways,
            workloads,
            from,
        })
    }
}

/// What the running daemon says instead.
fn refusal(begun: &[u8], from: &UnixStream) -> String {
    let mut line = begun.to_vec();
    // A refusal cut short still says something.
    let _ = from.take(REFUSAL_MAX).read_to_end(&mut line);
    match serde_json::from_slice(&line) {
        Ok(Reply::Refused { error, .. }) => error,
        Ok(_) | Err(_) => "it answers something else than was asked; is it of another version?".to_owned(),
    }
}

fn send_descriptor(to: &UnixStream, descriptor: RawFd) -> io::Result<()> {
    let (byte, descriptors) = ([0], [descriptor]);
    let message = [ControlMessage::ScmRights(&descriptors)];
    match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(&byte)], &message, MsgFlags::MSG_NOSIGNAL, None)? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

fn receive_descriptor(from: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(from.as_raw_fd(), &mut bytes, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let [descriptor] = *descriptors
        {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn inheritance(directory: &std::path::Path) -> Inheritance {
        Inheritance {
            lock: std::fs::File::open(directory).unwrap().into(),
            control: UnixListener::bind(directory.join("control")).unwrap(),
            host: Sockets::make(0).unwrap(),
            namespaces: HashMap::new(),
            doorways: HashMap::from([(directory.join("door"), UnixListener::bind(directory.join("door")).unwrap())]),
            workloads: Vec::new(),
            from: 7,
        }
    }

    #[test]
    fn a_connection_in_the_backlog_moves_with_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let left = inheritance(directory.path());
        let addresses = left.host.addresses().unwrap();
        let mut waiting = TcpStream::connect(addresses[0]).unwrap();
        let door = directory.path().join("door");
        let mut at_door = UnixStream::connect(&door).unwrap();
        let (old, new) = UnixStream::pair().unwrap();
        left.send(&old).unwrap();
        drop(left);

        let received = Inheritance::receive(&new).unwrap();
        assert_eq!((received.host.addresses().unwrap(), received.from), (addresses, 7));
        let listener = &received.host.tcp[0];
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap().0.write_all(b"served").unwrap();
        let mut heard = [0; 6];
        waiting.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"served");
        received.doorways[&door].accept().unwrap().0.write_all(b"opened").unwrap();
        at_door.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"opened");
    }

    #[test]
    fn a_refusal_is_told_and_an_early_end_is_no_inheritance() {
        let (mut old, new) = UnixStream::pair().unwrap();
        old.write_all(b"{\"reply\":\"refused\",\"error\":\"not now\",\"hint\":null}\n").unwrap();
        drop(old);
        assert!(Inheritance::receive(&new).unwrap_err().to_string().ends_with("does not hand over: not now"));

        let directory = tempfile::tempdir().unwrap();
        let (old, new) = UnixStream::pair().unwrap();
        let left = inheritance(directory.path());
        let manifest = serde_json::to_vec(&Manifest { pid: 1, workloads: Vec::new(), descriptors: vec![Role::Lock] });
        let manifest = manifest.unwrap();
        (&old).write_all(MAGIC).unwrap();
        (&old).write_all(&(manifest.len() as u32).to_le_bytes()).unwrap();
        (&old).write_all(&manifest).unwrap();
        send_descriptor(&old, left.lock.as_raw_fd()).unwrap();
        assert_eq!(Inheritance::receive(&new).unwrap_err().to_string(), "no control socket came");
    }
}
