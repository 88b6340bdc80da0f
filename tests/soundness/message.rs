//! Messages of PostgreSQL's protocol 3.0, as far as a client that asks needs them.
//!
//! Source: "Message Formats" in PostgreSQL's documentation.

/// What a server answered to one question.
#[derive(Debug, Default)]
pub struct Reply {
    pub messages: Vec<Message>,
    /// Whether the connection ended before all was answered.
    pub closed: bool,
}

#[derive(Debug)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// A result: rows of values, absent ones being NULL.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Sizes of one answered statement are never more than this, so that a count of columns is no allocation to fear.
const COLUMNS_MAX: usize = 4096;

impl Reply {
    /// The rows of each statement that answered with any, in order. One message of COPY data is a row of one value.
    pub fn results(&self) -> Vec<Rows> {
        let mut results = Vec::new();
        let mut rows = Rows::new();
        for message in &self.messages {
            match message.tag {
                b'D' => rows.push(values(&message.body)),
                b'd' => rows.push(vec![Some(message.body.clone())]),
                b'C' | b's' | b'E' if !rows.is_empty() => results.push(std::mem::take(&mut rows)),
                _ => {}
            }
        }
        results
    }

    /// The first error.
    pub fn error(&self) -> Option<&Message> {
        self.messages.iter().find(|message| message.tag == b'E')
    }

    /// Whether the server gave up for time: `query_canceled`.
    pub fn is_too_slow(&self) -> bool {
        self.words().any(|message| message.field(b'C') == Some(b"57014"))
    }

    /// Errors and notices.
    pub fn words(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| matches!(message.tag, b'E' | b'N'))
    }

    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.body.len()).sum()
    }
}

impl Message {
    /// One field of an error or notice.
    pub fn field(&self, kind: u8) -> Option<&[u8]> {
        self.body.split(|&byte| byte == 0).find_map(|field| field.strip_prefix(&[kind]))
    }
}

/// The values of a DataRow.
fn values(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let Some((count, mut rest)) = body.split_first_chunk::<2>() else { return Vec::new() };
    let count = usize::from(u16::from_be_bytes(*count)).min(COLUMNS_MAX);
    let mut values = Vec::with_capacity(count);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let taken = usize::try_from(length).ok().and_then(|length| after.split_at_checked(length));
        values.push(taken.map(|(value, _)| value.to_vec()));
        rest = taken.map_or(after, |(_, after)| after);
    }
    values
}

/// Messages to a server, in steps: each is answered by the server's being ready, before the next is sent.
#[derive(Debug, Default)]
pub struct Script {
    pub steps: Vec<Vec<u8>>,
}

impl Script {
    pub fn startup(user: &str, database: &str) -> Self {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for word in ["user", user, "database", database] {
            body.extend(word.bytes().chain([0]));
        }
        body.push(0);
        let mut bytes = length(&body).to_vec();
        bytes.extend(body);
        Self { steps: vec![bytes] }
    }

    /// A simple query.
    pub fn query(mut self, sql: &str) -> Self {
        self.steps.push(message(b'Q', &[sql.as_bytes(), b"\0"]));
        self
    }

    /// An extended query; `at_once` rows come with one Execute, zero meaning all.
    pub fn extended(mut self, sql: &str, is_binary: bool, is_described: bool, at_once: u32) -> Self {
        let mut step = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"]);
        step.extend(message(b'B', &[b"\0\0\0\0\0\0\0\x01", &u16::from(is_binary).to_be_bytes()]));
        if is_described {
            step.extend(message(b'D', &[b"P\0"]));
        }
        step.extend(message(b'E', &[b"\0", &at_once.to_be_bytes()]));
        if at_once > 0 {
            step.extend(message(b'E', &[b"\0\0\0\0\0"]));
        }
        step.extend(message(b'S', &[]));
        self.steps.push(step);
        self
    }
}

fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[tag][..], &length(&body), &body].concat()
}

fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_by_statement() {
        let message = |tag, body: &[u8]| Message { tag, body: body.to_vec() };
        let row = |value: u8| message(b'D', &[0, 2, 0, 0, 0, 1, value, 255, 255, 255, 255]);
        let messages =
            vec![row(b'a'), row(b'b'), message(b'C', b""), message(b'C', b""), row(b'c'), message(b's', b"")];
        let one = |value: u8| vec![Some(vec![value]), None];
        let reply = Reply { messages, closed: false };
        assert_eq!(reply.results(), [vec![one(b'a'), one(b'b')], vec![one(b'c')]]);
    }
}
