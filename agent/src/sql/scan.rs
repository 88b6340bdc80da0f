//! What a text must satisfy before the parser sees it.

/// Longest text that is classified, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of `/* … */`; the lexer takes quadratic time on deeper ones.
pub const COMMENT_DEPTH_MAX: usize = 32;

/// Longest run of operator characters that ends in `+` or `-`; the lexer takes quadratic time on longer ones.
/// The server refuses operators from 64 characters on.
pub const OPERATOR_RUN_MAX: usize = 63;

/// Why a text is not parsed at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the text has {0} bytes, more than {STATEMENT_BYTES_MAX}")]
    TooLong(usize),
    #[error("the text is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("the text has a NUL at byte {0}")]
    Nul(usize),
    #[error("comments are nested deeper than {COMMENT_DEPTH_MAX}")]
    CommentDepth,
    #[error("an operator is longer than {OPERATOR_RUN_MAX} characters")]
    OperatorRun,
}

/// Checks a text, and gives it as a string.
///
/// Comments and operators are counted inside literals too: telling literals apart takes the lexer that this
/// protects, so a literal of such a shape is refused with the rest.
pub(super) fn readable(text: &[u8]) -> Result<&str, Unreadable> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Unreadable::TooLong(text.len()));
    }
    if let Some(position) = memchr::memchr(0, text) {
        return Err(Unreadable::Nul(position));
    }
    let readable = std::str::from_utf8(text).map_err(|error| Unreadable::NotUtf8(error.valid_up_to()))?;
    bounded_comments(text)?;
    bounded_operators(text)?;
    Ok(readable)
}

fn bounded_comments(text: &[u8]) -> Result<(), Unreadable> {
    let mut depth = 0usize;
    let mut previous = b' ';
    for &byte in text {
        match (previous, byte) {
            (b'/', b'*') => {
                depth += 1;
                previous = b' ';
            }
            (b'*', b'/') => {
                depth = depth.saturating_sub(1);
                previous = b' ';
            }
            _ => previous = byte,
        }
        if depth > COMMENT_DEPTH_MAX {
            return Err(Unreadable::CommentDepth);
        }
    }
    Ok(())
}

/// A comment's start ends an operator, so a line of dashes is none.
fn bounded_operators(text: &[u8]) -> Result<(), Unreadable> {
    let mut run = 0usize;
    let mut previous = b' ';
    for &byte in text {
        run = match (previous, byte) {
            (b'-', b'-') | (b'/', b'*') => 0,
            _ if is_operator(byte) => run + 1,
            _ => 0,
        };
        if run > OPERATOR_RUN_MAX && matches!(byte, b'+' | b'-') {
            return Err(Unreadable::OperatorRun);
        }
        previous = byte;
    }
    Ok(())
}

/// The characters of operators, as PostgreSQL's `scan.l` lists them.
const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_readable() {
        for text in ["", "SELECT 1", "-- ----------\nSELECT '|-----+-----|', /* a /* b */ */ 'ü'"] {
            assert_eq!(readable(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn what_the_server_would_read_otherwise_is_refused() {
        assert_eq!(readable(b"SELECT 1\0; DROP TABLE x"), Err(Unreadable::Nul(8)));
        assert_eq!(readable(b"SELECT '\xe4\xb8'"), Err(Unreadable::NotUtf8(8)));
    }

    #[test]
    fn what_takes_quadratic_time_is_refused() {
        let long = vec![b' '; STATEMENT_BYTES_MAX + 1];
        assert_eq!(readable(&long), Err(Unreadable::TooLong(STATEMENT_BYTES_MAX + 1)));
        assert_eq!(readable("/*".repeat(COMMENT_DEPTH_MAX + 1).as_bytes()), Err(Unreadable::CommentDepth));
        assert_eq!(readable("+<".repeat(OPERATOR_RUN_MAX).as_bytes()), Err(Unreadable::OperatorRun));
    }
}
