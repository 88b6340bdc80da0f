//! A session with the server, of which some questions are the wiretap's own.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, Result, bail};

/// Longest message that is taken.
const MESSAGE_MAX: usize = 256 << 20;

/// One message; a startup packet has no tag.
#[derive(Clone, Debug)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Message {
    pub fn new(tag: u8, body: Vec<u8>) -> Self {
        Self { tag, body }
    }

    /// A simple query.
    pub fn query(sql: &str) -> Self {
        Self::new(b'Q', sql.bytes().chain([0]).collect())
    }

    /// Reads the next message; `None` at the end of the stream.
    pub fn read(from: &mut impl Read) -> Result<Option<Self>> {
        let mut tag = [0];
        if from.read(&mut tag)? == 0 {
            return Ok(None);
        }
        let [tag] = tag;
        Ok(Some(Self::new(tag, read_body(from)?)))
    }

    /// Reads a packet that has no tag: the first of a connection.
    pub fn read_first(from: &mut impl Read) -> Result<Self> {
        Ok(Self::new(0, read_body(from)?))
    }

    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        let length = u32::try_from(self.body.len() + 4)?.to_be_bytes();
        let tag = [self.tag];
        let tag = if self.tag == 0 { &[][..] } else { &tag[..] };
        Ok(to.write_all(&[tag, &length, &self.body].concat())?)
    }

    /// One field of an error or notice.
    pub fn field(&self, kind: u8) -> Option<String> {
        let found = self.body.split(|&byte| byte == 0).find_map(|field| field.strip_prefix(&[kind]))?;
        Some(String::from_utf8_lossy(found).into_owned())
    }
}

fn read_body(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = (u32::from_be_bytes(length) as usize).saturating_sub(4);
    if length > MESSAGE_MAX {
        bail!("a message of {length} bytes");
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

/// The connection to the server, and what its last ReadyForQuery said of the transaction.
pub struct Server {
    pub stream: UnixStream,
    pub status: u8,
}

impl Server {
    /// Connects, and passes on the client's first packet.
    pub fn dial(socket: &Path, first: &Message) -> Result<Self> {
        let mut stream = UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
        first.write(&mut stream)?;
        Ok(Self { stream, status: b'I' })
    }

    pub fn send(&mut self, message: &Message) -> Result<()> {
        message.write(&mut self.stream)
    }

    /// The next message; the transaction's status is noted in passing.
    pub fn receive(&mut self) -> Result<Option<Message>> {
        let message = Message::read(&mut self.stream)?;
        if let Some(Message { tag: b'Z', body }) = &message {
            self.status = body.first().copied().unwrap_or(b'I');
        }
        Ok(message)
    }

    /// Asks something of which the client never hears; gives the rows as text.
    pub fn ask(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.send(&Message::query(sql))?;
        let mut rows = Vec::new();
        loop {
            let message = self.receive()?.context("the server closed the connection")?;
            match message.tag {
                b'D' => rows.push(values(&message.body)),
                b'Z' => return Ok(rows),
                _ => {}
            }
        }
    }
}

fn values(body: &[u8]) -> Vec<String> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let taken = usize::try_from(i32::from_be_bytes(*length)).ok().and_then(|length| after.split_at_checked(length));
        values.push(taken.map(|(value, _)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default());
        rest = taken.map_or(after, |(_, after)| after);
    }
    values
}
