//! One side of a connection: a stream, what was read from it and what waits to be written.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::tls::Stream;

/// What one read may bring at first; idle connections keep no more than this.
const READ_MIN: usize = 8 * 1024;
/// What one read may bring when the peer keeps the buffer full.
const READ_MAX: usize = 64 * 1024;
/// Slices handed to the kernel in one write.
const SLICES_MAX: usize = 16;

/// What a read brought.
#[derive(Debug)]
pub enum Read {
    Bytes(Bytes),
    End,
}

/// A stream with its buffers. After the end of input nothing more is read.
pub struct Leg {
    stream: Option<Stream>,
    incoming: BytesMut,
    read_size: usize,
    ended: bool,
    outgoing: VecDeque<Bytes>,
    unsent: usize,
    /// TLS keeps written bytes until it is flushed.
    unflushed: bool,
}

impl Leg {
    pub fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            incoming: BytesMut::new(),
            read_size: READ_MIN,
            ended: false,
            outgoing: VecDeque::new(),
            unsent: 0,
            unflushed: false,
        }
    }

    /// Queues bytes to be written.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.unsent += bytes.len();
            self.outgoing.push_back(bytes);
        }
    }

    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// The stream, for TLS to stand on.
    pub fn take_stream(&mut self) -> Option<Stream> {
        self.stream.take()
    }

    /// Writes until nothing is left (`Ready`) or the socket is full.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut stream = Pin::new(stream);
        while self.unsent > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            for (slice, bytes) in slices.iter_mut().zip(&self.outgoing) {
                *slice = IoSlice::new(bytes);
            }
            let count = self.outgoing.len().min(SLICES_MAX);
            let written = ready!(stream.as_mut().poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.unsent -= written;
            consume(&mut self.outgoing, written);
        }
        if mem::take(&mut self.unflushed) && stream.as_mut().poll_flush(cx)?.is_pending() {
            self.unflushed = true;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once. Pending for ever after the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        if self.ended {
            return Poll::Pending;
        }
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        self.incoming.reserve(self.read_size);
        // The future keeps no state between polls, so that a new one each time loses nothing.
        let reading = pin!(stream.read_buf(&mut self.incoming));
        let read = ready!(reading.poll(cx))?;
        if read == 0 {
            self.ended = true;
            return Poll::Ready(Ok(Read::End));
        }
        self.read_size = if read >= self.read_size { (self.read_size * 2).min(READ_MAX) } else { READ_MIN.max(read) };
        Poll::Ready(Ok(Read::Bytes(self.incoming.split().freeze())))
    }

    /// Writes all that waits, for at most `limit`.
    pub async fn flush(&mut self, limit: Duration) -> io::Result<()> {
        timeout(limit, poll_fn(|cx| self.poll_send(cx))).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Writes what waits and closes; a peer that does not take it is left after `limit`.
    pub async fn close(&mut self, limit: Duration) {
        // Whoever has gone away already needs no goodbye.
        let _ = self.flush(limit).await;
        if let Some(mut stream) = self.stream.take() {
            let _ = timeout(limit, stream.shutdown()).await;
        }
    }
}

fn consume(outgoing: &mut VecDeque<Bytes>, mut written: usize) {
    while written > 0 {
        let Some(first) = outgoing.front_mut() else { return };
        if first.len() > written {
            first.advance(written);
            return;
        }
        written -= first.len();
        outgoing.pop_front();
    }
}
