//! What the supervisor and the jail's first process tell each other.
//!
//! One message a packet, over a pair of connected sockets that no command inherits.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    sys::{
        signal::Signal,
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg,
            sendmsg, socketpair,
        },
    },
};

/// Most bytes of one message.
const MESSAGE_MAX: usize = 4096;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    Exited(u8),
    /// By a signal, real-time ones included.
    Killed(u8),
}

/// To whom a signal goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whom {
    Command,
    /// The command's process group, as from a terminal.
    Group,
}

/// From the supervisor to the jail's first process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Signal(Signal, Whom),
    /// Go on, after a stop.
    Continue,
}

/// From the jail's first process, or from the command before it is one, to the supervisor.
#[derive(Debug)]
pub(super) enum News {
    /// The end of the jail's terminal that the supervisor keeps.
    Terminal(OwnedFd),
    Stopped,
    Ended(Ended),
    /// Nothing was run: the exit status of a shell, and why.
    Failed(u8, String),
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

pub(super) fn pair() -> io::Result<(Channel, Channel)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    pub(super) fn give(&self, order: Order) -> io::Result<()> {
        let bytes = match order {
            Order::Signal(signal, Whom::Command) => [b'c', number(signal)],
            Order::Signal(signal, Whom::Group) => [b'g', number(signal)],
            Order::Continue => [b'r', 0],
        };
        self.send(&bytes, None)
    }

    /// Waits for the next order; `None` when the supervisor is gone.
    pub(super) fn order(&self) -> io::Result<Option<Order>> {
        let (bytes, _) = self.receive()?;
        Ok(match *bytes.as_slice() {
            [] => None,
            [b'c', signal] => Some(Order::Signal(named(signal)?, Whom::Command)),
            [b'g', signal] => Some(Order::Signal(named(signal)?, Whom::Group)),
            [b'r', 0] => Some(Order::Continue),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }

    pub(super) fn tell(&self, news: &News) -> io::Result<()> {
        match news {
            News::Terminal(terminal) => self.send(b"t", Some(terminal.as_raw_fd())),
            News::Stopped => self.send(b"s", None),
            News::Ended(Ended::Exited(status)) => self.send(&[b'e', *status], None),
            News::Ended(Ended::Killed(signal)) => self.send(&[b'k', *signal], None),
            News::Failed(status, why) => {
                let mut bytes = vec![b'f', *status];
                bytes.extend(why.bytes().take(MESSAGE_MAX - bytes.len()));
                self.send(&bytes, None)
            }
        }
    }

    /// Waits for the next news; `None` when nobody is left to tell any.
    pub(super) fn news(&self) -> io::Result<Option<News>> {
        let (bytes, descriptor) = self.receive()?;
        Ok(match (bytes.as_slice(), descriptor) {
            ([], _) => None,
            ([b't'], Some(terminal)) => Some(News::Terminal(terminal)),
            ([b's'], _) => Some(News::Stopped),
            ([b'e', status], _) => Some(News::Ended(Ended::Exited(*status))),
            ([b'k', signal], _) => Some(News::Ended(Ended::Killed(*signal))),
            ([b'f', status, why @ ..], _) => Some(News::Failed(*status, String::from_utf8_lossy(why).into_owned())),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }

    fn send(&self, bytes: &[u8], descriptor: Option<RawFd>) -> io::Result<()> {
        let descriptors: Vec<RawFd> = descriptor.into_iter().collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    fn receive(&self) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut bytes = vec![0; MESSAGE_MAX];
        let mut space = cmsg_space!(RawFd);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let mut descriptor = None;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(passed) = message {
                // SAFETY: just received, and ours.
                descriptor = passed.first().map(|passed| unsafe { OwnedFd::from_raw_fd(*passed) });
            }
        }
        let length = received.bytes;
        bytes.truncate(length);
        Ok((bytes, descriptor))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn number(signal: Signal) -> u8 {
    signal as u8
}

fn named(number: u8) -> io::Result<Signal> {
    Ok(Signal::try_from(i32::from(number))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_news_arrive_as_they_were_sent() {
        let (supervisor, first) = pair().unwrap();
        for order in
            [Order::Signal(Signal::SIGTERM, Whom::Command), Order::Signal(Signal::SIGINT, Whom::Group), Order::Continue]
        {
            supervisor.give(order).unwrap();
            assert_eq!(first.order().unwrap(), Some(order));
        }
        first.tell(&News::Ended(Ended::Killed(34))).unwrap();
        assert!(matches!(supervisor.news().unwrap(), Some(News::Ended(Ended::Killed(34)))));
        first.tell(&News::Failed(127, "x".repeat(2 * MESSAGE_MAX))).unwrap();
        assert!(matches!(supervisor.news().unwrap(), Some(News::Failed(127, why)) if why.len() == MESSAGE_MAX - 2));
        let (reader, _writer) = io::pipe().unwrap();
        first.tell(&News::Terminal(reader.into())).unwrap();
        assert!(matches!(supervisor.news().unwrap(), Some(News::Terminal(_))));
        drop(first);
        assert!(supervisor.news().unwrap().is_none());
    }
}
