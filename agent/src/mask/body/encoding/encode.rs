//! Doing an encoding again.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};

use super::Encoding;
use crate::mask::body::BodyError;

/// Effort and window of brotli: what servers choose for content that they make as they send it.
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 19;
const BROTLI_BUFFER: usize = 1 << 14;
/// Effort of zstd.
const ZSTD_LEVEL: i32 = 3;

/// Encodes a body as it streams. What was fed can be read by who has what came out.
pub struct Encoder {
    encoding: Encoding,
    writer: Writer,
}

enum Writer {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    /// `None` once it has ended.
    Brotli(Option<Box<brotli::CompressorWriter<Vec<u8>>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub fn new(encoding: Encoding) -> Result<Self, BodyError> {
        let writer = match encoding {
            Encoding::Gzip => Writer::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Writer::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW);
                Writer::Brotli(Some(Box::new(writer)))
            }
            Encoding::Zstd => {
                let writer = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Writer::Zstd(writer.map_err(|_| BodyError::Corrupt { encoding: encoding.name() })?)
            }
        };
        Ok(Self { encoding, writer })
    }

    /// Encodes so much that a reader has all of it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let corrupt = BodyError::Corrupt { encoding: self.encoding.name() };
        let made = match &mut self.writer {
            Writer::Gzip(writer) => flushed(writer, bytes).map(|()| writer.get_mut()),
            Writer::Deflate(writer) => flushed(writer, bytes).map(|()| writer.get_mut()),
            Writer::Brotli(None) => Err(io::ErrorKind::BrokenPipe.into()),
            Writer::Brotli(Some(writer)) => flushed(&mut **writer, bytes).map(|()| writer.get_mut()),
            Writer::Zstd(writer) => flushed(writer, bytes).map(|()| writer.get_mut()),
        };
        out.append(made.map_err(|_| corrupt)?);
        Ok(())
    }

    /// Ends what was encoded. Nothing may be fed afterwards.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let corrupt = BodyError::Corrupt { encoding: self.encoding.name() };
        let ended = match &mut self.writer {
            Writer::Gzip(writer) => writer.try_finish().map(|()| std::mem::take(writer.get_mut())),
            Writer::Deflate(writer) => writer.try_finish().map(|()| std::mem::take(writer.get_mut())),
            Writer::Brotli(writer) => match writer.take() {
                Some(writer) => Ok(writer.into_inner()),
                None => Ok(Vec::new()),
            },
            Writer::Zstd(writer) => writer.do_finish().map(|()| std::mem::take(writer.get_mut())),
        };
        out.append(&mut ended.map_err(|_| corrupt)?);
        Ok(())
    }
}

fn flushed(writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes)?;
    writer.flush()
}
