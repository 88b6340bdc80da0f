//! E-mail addresses (RFC 5321, RFC 6531), as people write them: no quoted local parts, no address
//! literals, and a domain with a dot.

use std::ops::Range;

use super::runs::before;

/// Shortest top-level domain, in bytes.
const TOP_MIN: usize = 2;

pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    for at in memchr::memchr_iter(b'@', text) {
        let (head, tail) = text.split_at(at);
        let local = local_length(head);
        let domain = domain_length(tail.get(1..).unwrap_or_default());
        if local > 0 && domain > 0 {
            found.push(at - local..at + 1 + domain);
        }
    }
}

/// How many bytes before the `@` belong to the local part: an atom that starts with a letter or digit.
fn local_length(head: &[u8]) -> usize {
    let length = head.iter().rev().take_while(|byte| is_local(**byte)).count();
    let local = head.get(head.len() - length..).unwrap_or_default();
    let quoted = local.iter().take_while(|byte| !starts_local(**byte)).count();
    length - quoted
}

/// How many bytes after the `@` are a domain that ends in a top-level domain; zero: none.
fn domain_length(tail: &[u8]) -> usize {
    if !tail.first().is_some_and(|byte| starts_domain(*byte)) {
        return 0;
    }
    let length = tail.iter().take_while(|byte| is_domain(**byte)).count();
    let mut domain = tail.get(..length).unwrap_or_default();
    if let Some(gap) = memchr::memmem::find(domain, b"..") {
        domain = domain.get(..gap).unwrap_or_default();
    }
    while let Some(dot) = memchr::memrchr(b'.', domain) {
        let (host, top) = domain.split_at(dot);
        if !host.is_empty() && is_top(top.get(1..).unwrap_or_default()) {
            return domain.len();
        }
        domain = host;
    }
    0
}

/// Bytes of a local part. Of RFC 5321's characters those are left out that delimit values in URLs,
/// JSON and array literals, so that masking leaves these readable.
fn is_local(byte: u8) -> bool {
    starts_local(byte) || matches!(byte, b'.' | b'%' | b'+' | b'-' | b'\'' | b'!' | b'#' | b'$' | b'*' | b'^' | b'~')
}

fn starts_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn is_domain(byte: u8) -> bool {
    starts_domain(byte) || matches!(byte, b'.' | b'-')
}

fn starts_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// Whether the bytes on both sides of an `@` could belong to an address.
pub(super) fn is_likely(text: &[u8], at: usize) -> bool {
    before(text, at).is_some_and(is_local) && text.get(at + 1).is_some_and(|byte| starts_domain(*byte))
}

fn is_top(label: &[u8]) -> bool {
    let punycode = label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--"));
    label.len() >= TOP_MIN && (punycode || label.iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()))
}
