//! Bytes that arrived from one side and are not dealt with yet.

use bytes::{Buf, Bytes, BytesMut};

/// A buffer whose front part may be marked as kept: judged, and to be forwarded as it came.
///
/// Messages that are kept one after the other leave as one slice of what arrived, without a copy.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Bytes,
    kept: usize,
}

impl Inbox {
    /// Adds what arrived. Only what stands here already is copied, and only once.
    pub fn push(&mut self, arrived: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = arrived;
            return;
        }
        let mut joined = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(owned) => owned,
            Err(shared) => {
                let mut copy = BytesMut::with_capacity((shared.len() + arrived.len()).next_power_of_two());
                copy.extend_from_slice(&shared);
                copy
            }
        };
        joined.extend_from_slice(&arrived);
        self.bytes = joined.freeze();
    }

    /// What is neither kept nor skipped.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.kept..).unwrap_or_default()
    }

    /// A part of what is unread, sharing its memory.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Bytes {
        let end = (self.kept + range.end).min(self.bytes.len());
        let start = (self.kept + range.start).min(end);
        self.bytes.slice(start..end)
    }

    /// Marks the next `count` bytes (or as many as there are) as kept.
    pub fn keep(&mut self, count: usize) {
        self.kept = (self.kept + count).min(self.bytes.len());
    }

    /// Takes out everything that is kept.
    pub fn release(&mut self) -> Option<Bytes> {
        (self.kept > 0).then(|| self.bytes.split_to(std::mem::take(&mut self.kept)))
    }

    /// Drops the next `count` bytes. What is kept has to be released first, or order would be lost.
    pub fn skip(&mut self, count: usize) {
        debug_assert_eq!(self.kept, 0, "kept bytes must leave before later ones are skipped");
        self.bytes.advance(count.min(self.bytes.len()));
    }

    /// Takes out all that is unread.
    pub fn take(&mut self) -> Bytes {
        debug_assert_eq!(self.kept, 0, "kept bytes must leave first");
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_messages_leave_as_one_slice() {
        let mut inbox = Inbox::default();
        inbox.push(Bytes::from_static(b"abcdef"));
        inbox.keep(2);
        inbox.keep(1);
        assert_eq!(inbox.unread(), b"def");
        assert_eq!(inbox.release().unwrap(), "abc");
        inbox.skip(1);
        inbox.push(Bytes::from_static(b"gh"));
        assert_eq!(inbox.unread(), b"efgh");
        assert_eq!(inbox.release(), None);
        assert_eq!(inbox.take(), "efgh");
    }
}
