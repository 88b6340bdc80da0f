//! One question to one resolver. Each goes from a socket, and so from a port, of its own (RFC 5452, section 9.2).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use super::{DATAGRAM_ANSWER_MAX, Transport, inquiry::Inquiry};

/// Most datagrams to one socket that are no answer to its question: whoever guesses gets no more guesses.
const STRAYS_MAX: usize = 16;

/// Asks a resolver the way that the workload asked, and answers its message as it is.
pub(super) async fn ask(inquiry: &Inquiry, transport: Transport, resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let id = random_id()?;
    match transport {
        Transport::Datagram => by_datagram(inquiry, id, resolver).await,
        Transport::Stream => by_stream(inquiry, id, resolver).await,
    }
}

async fn by_datagram(inquiry: &Inquiry, id: u16, resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From here on the kernel drops what comes from anybody else.
    socket.connect(resolver).await?;
    socket.send(&inquiry.message(id)).await?;
    // One byte more than is taken, so that a longer one is seen to be.
    let mut buffer = [0; DATAGRAM_ANSWER_MAX as usize + 1];
    for _ in 0..STRAYS_MAX {
        let length = socket.recv(&mut buffer).await?;
        let message = buffer.get(..length).unwrap_or_default();
        if inquiry.is_answered_by(message, id) {
            return Ok(message.to_vec());
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "other messages than the answer came"))
}

/// The length stands in front (RFC 1035, section 4.2.2).
async fn by_stream(inquiry: &Inquiry, id: u16, resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    stream.write_all(&framed(&inquiry.message(id))?).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    match inquiry.is_answered_by(&message, id) {
        true => Ok(message),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "another message than the answer came")),
    }
}

/// A message with its length in front.
pub(super) fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok([&length.to_be_bytes(), message].concat())
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|_| io::Error::other("the kernel gives no randomness"))?;
    Ok(u16::from_ne_bytes(id))
}
