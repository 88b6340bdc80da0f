//! Bytes that came, and what is sent for them.

/// One piece of a body. What is not replaced is written in stretches as long as possible.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    bytes: &'a [u8],
    out: &'a mut Vec<u8>,
    /// The first byte that was not looked at yet.
    pub(super) at: usize,
    /// The first byte of which nothing was written yet.
    unwritten: usize,
    is_hidden: bool,
    /// Nothing that stands whole in these bytes, as it is written, holds anything to mask.
    pub(super) is_clear: bool,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(bytes: &'a [u8], out: &'a mut Vec<u8>, is_hidden: bool) -> Self {
        Self { bytes, out, at: 0, unwritten: 0, is_hidden, is_clear: false }
    }

    pub(super) fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Writes all that was looked at and not written, unless it is hidden.
    pub(super) fn keep(&mut self) {
        if !self.is_hidden {
            self.out.extend_from_slice(self.bytes.get(self.unwritten..self.at).unwrap_or_default());
        }
        self.unwritten = self.at;
    }

    /// Goes on to a position without writing what stands before it. All before [`Chunk::at`] was kept.
    pub(super) fn drop_to(&mut self, at: usize) {
        self.at = at;
        self.unwritten = at;
    }

    /// Writes something that did not come like that.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if !self.is_hidden {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Goes past a whole token: one that begins here, or one that was dropped piece by piece and ends here.
    pub(super) fn token(&mut self, raw: &[u8], masked: Option<&[u8]>) {
        let begins_here = self.rest().as_ptr() == raw.as_ptr();
        match (begins_here, masked) {
            (true, None) => self.at += raw.len(),
            (true, Some(masked)) => {
                self.keep();
                self.put(masked);
                self.drop_to(self.at + raw.len());
            }
            (false, masked) => self.put(masked.unwrap_or(raw)),
        }
    }

    /// Shows nothing from here on, but `instead`.
    pub(super) fn hide(&mut self, instead: &[u8]) {
        self.keep();
        self.put(instead);
        self.is_hidden = true;
    }

    /// Shows again what comes from here on.
    pub(super) fn show(&mut self) {
        self.keep();
        self.is_hidden = false;
    }
}
