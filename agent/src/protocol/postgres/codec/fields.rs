//! Reading the fields of one message in order.

use super::CodecError;

/// What is left of one message's body.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    kind: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first field of the message `kind`, which names it in errors.
    pub fn new(kind: &'static str, body: &'a [u8]) -> Self {
        Self { kind, rest: body }
    }

    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn i16(&mut self) -> Result<i16, CodecError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, CodecError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A count of things, at most 65,535: the protocol calls it Int16, and both sides read it without a sign.
    pub fn count(&mut self) -> Result<usize, CodecError> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    /// A string, without the NUL that ends it.
    pub fn text(&mut self) -> Result<&'a [u8], CodecError> {
        let end = memchr::memchr(0, self.rest).ok_or(CodecError::Short(self.kind))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CodecError::Short(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A value with its length before it; `None` is NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, CodecError> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| CodecError::Value(self.kind))?).map(Some),
        }
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the message; what is left over is an error, because two readers would see two messages.
    pub fn end(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Long(self.kind)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::Short(self.kind))?;
        self.rest = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_consumed_whole_or_refused() {
        let mut fields = Fields::new("test", b"ab\0\0\x01\0\0\0\x02xy");
        assert_eq!(fields.text(), Ok(&b"ab"[..]));
        assert_eq!(fields.i16(), Ok(1));
        assert_eq!(fields.value(), Ok(Some(&b"xy"[..])));
        assert_eq!(fields.end(), Ok(()));
        assert_eq!(Fields::new("test", b"x").end(), Err(CodecError::Long("test")));
        assert_eq!(Fields::new("test", b"x").text(), Err(CodecError::Short("test")));
        assert_eq!(Fields::new("test", b"\xff\xff\xff\xfe").value(), Err(CodecError::Value("test")));
        assert_eq!(Fields::new("test", b"\xff\xff").count(), Ok(65_535));
    }
}
