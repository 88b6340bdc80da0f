use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, client, server};

use super::{UpstreamTls, channel_binding};
use crate::socket::Socket;

/// Longest TLS handshake, on either side.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// One side's socket, before or after its handshake.
#[derive(Debug)]
pub enum Stream {
    Plain(Socket),
    /// Towards the workload.
    Server(Box<server::TlsStream<Rewind>>),
    /// Towards the target.
    Client(Box<client::TlsStream<Socket>>),
}

impl Stream {
    /// Answers the workload's handshake. `read` holds the bytes of it that have come already.
    pub async fn accept(self, read: Bytes, acceptor: &TlsAcceptor) -> Result<Self, HandshakeError> {
        let socket = Rewind { socket: self.into_plain()?, read };
        let secured = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await;
        let secured = secured.map_err(|_| HandshakeError::Timeout)?.map_err(HandshakeError::Failed)?;
        Ok(Self::Server(Box::new(secured)))
    }

    /// Starts TLS towards the target and verifies its server.
    ///
    /// Also returns the channel binding of the server's certificate, where it has one.
    pub async fn connect(self, tls: &UpstreamTls) -> Result<(Self, Option<Vec<u8>>), HandshakeError> {
        let socket = self.into_plain()?;
        let secured = timeout(HANDSHAKE_TIMEOUT, tls.connector().connect(tls.name().clone(), socket)).await;
        let secured = secured.map_err(|_| HandshakeError::Timeout)?.map_err(HandshakeError::Failed)?;
        let certificate = secured.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let binding = certificate.and_then(|certificate| channel_binding(certificate));
        Ok((Self::Client(Box::new(secured)), binding))
    }

    /// The socket under everything.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Server(secured) => &secured.get_ref().0.socket,
            Self::Client(secured) => secured.get_ref().0,
        }
    }

    /// The application protocol that the handshake agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Server(secured) => secured.get_ref().1.alpn_protocol(),
            Self::Client(secured) => secured.get_ref().1.alpn_protocol(),
        }
    }

    /// The name of the server that the workload asked for.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Self::Plain(_) | Self::Client(_) => None,
            Self::Server(secured) => secured.get_ref().1.server_name(),
        }
    }

    /// The version that the handshake agreed on, as people write it.
    pub fn tls_version(&self) -> Option<&'static str> {
        let version = match self {
            Self::Plain(_) => None,
            Self::Server(secured) => secured.get_ref().1.protocol_version(),
            Self::Client(secured) => secured.get_ref().1.protocol_version(),
        };
        match version? {
            ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
            // Older versions are not compiled in.
            _ => None,
        }
    }

    fn into_plain(self) -> Result<Socket, HandshakeError> {
        match self {
            Self::Plain(socket) => Ok(socket),
            Self::Server(_) | Self::Client(_) => Err(HandshakeError::Twice),
        }
    }
}

impl<S: Into<Socket>> From<S> for Stream {
    fn from(socket: S) -> Self {
        Self::Plain(socket.into())
    }
}

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("no TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
    #[error("TLS handshake failed")]
    Failed(#[source] io::Error),
    #[error("TLS stands already")]
    Twice,
}

/// A socket from which bytes were read too early: they are read once more.
#[derive(Debug)]
pub struct Rewind {
    socket: Socket,
    read: Bytes,
}

impl AsyncRead for Rewind {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(self.read.chunk().get(..length).unwrap_or_default());
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Server(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Client(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Server(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Client(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Server(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Client(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Server(stream) => stream.is_write_vectored(),
            Self::Client(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Server(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
