use proptest::prelude::*;

use super::*;
use crate::http::write;

/// Payload, how many bytes were taken, and whether the body ended, of bytes that come in pieces of this size.
fn read(mut reader: BodyReader, bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
    let (mut payload, mut taken) = (Vec::new(), 0);
    for piece in bytes.chunks(size.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() && !reader.has_ended() {
            let progress = reader.feed(rest)?;
            payload.extend_from_slice(&rest[progress.payload.clone()]);
            assert!(progress.taken > 0 && progress.taken >= progress.payload.end);
            assert_eq!(progress.ended, reader.has_ended());
            taken += progress.taken;
            rest = &rest[progress.taken..];
        }
    }
    assert!(reader.section.len() <= TRAILERS_MAX);
    Ok((payload, taken, reader.has_ended()))
}

fn request(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
    read(BodyReader::of_request(BodyLength::Chunked), bytes, bytes.len())
}

fn response(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
    read(BodyReader::of_response(BodyLength::Chunked), bytes, bytes.len())
}

#[test]
fn a_body_ends_where_its_length_says() {
    let rows: [(BodyLength, &[u8], &[u8], bool); 6] = [
        (BodyLength::None, b"next", b"", true),
        (BodyLength::Exact(0), b"next", b"", true),
        (BodyLength::Exact(3), b"abcnext", b"abc", true),
        (BodyLength::Exact(3), b"ab", b"ab", false),
        (BodyLength::Exact(u64::MAX), b"ab", b"ab", false),
        (BodyLength::UntilClose, b"abcnext", b"abcnext", false),
    ];
    for (length, bytes, payload, ended) in rows {
        for size in 1..=bytes.len() {
            let expected = (payload.to_vec(), payload.len(), ended);
            assert_eq!(read(BodyReader::of_request(length), bytes, size), Ok(expected), "{length:?}");
        }
    }
}

#[test]
fn a_chunked_body_is_its_payload_and_what_frames_it() {
    let rows: [(&[u8], &[u8]); 6] = [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"1\r\na\r\n00a\r\n\r\n0\r\n\r\nabc\r\n000\r\n\r\n", b"a\r\n0\r\n\r\nabc"),
        (b"0000000000000003\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nServer-Timing: a\r\n\r\n", b"abc"),
        (b"B\r\nhello world\r\n0\r\n\r\n", b"hello world"),
    ];
    for (body, payload) in rows {
        let bytes = [body, b"POST / HTTP/1.1\r\n"].concat();
        assert_eq!(request(&bytes), Ok((payload.to_vec(), body.len(), true)), "{}", body.escape_ascii());
    }
}

#[test]
fn a_chunk_that_others_could_read_differently_is_refused() {
    let rows: [&[u8]; 37] = [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\rabc\r\n0\r\n\r\n",
        b"3\r\r\nabc\r\n0\r\n\r\n",
        b"\r\n3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc\r0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nab\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabcXX0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"0X3\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\nabc\r\n0\r\n\r\n",
        b"3.0\r\nabc\r\n0\r\n\r\n",
        b"\"3\"\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"\t3\r\nabc\r\n0\r\n\r\n",
        b"3\x0b\r\nabc\r\n0\r\n\r\n",
        b"3\0\r\nabc\r\n0\r\n\r\n",
        b"g\r\nabc\r\n0\r\n\r\n",
        b";a\r\nabc\r\n0\r\n\r\n",
        b"\r\n\r\n",
        b"00000000000000003\r\nabc\r\n0\r\n\r\n",
        b"8000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"10000000000000003\r\n",
        b"0\n\n",
        b"0\r\n\n",
        b"0\r\n\rX\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
    ];
    for body in rows {
        for reader in [BodyReader::of_request, BodyReader::of_response] {
            let read = read(reader(BodyLength::Chunked), body, 1);
            assert!(read.is_err(), "{}: {read:?}", body.escape_ascii());
        }
    }
}

#[test]
fn a_workloads_chunks_have_no_extensions() {
    let rows: [&[u8]; 9] = [
        b"3;a=b\r\nabc\r\n0\r\n\r\n",
        b"3;\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3\t\r\nabc\r\n0\r\n\r\n",
        b"3 ;a\r\nabc\r\n0\r\n\r\n",
        b"3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0;a\r\n\r\n",
        b"3\r\nabc\r\n0 \r\n\r\n",
        b"03;signature=0f\r\nabc\r\n0\r\n\r\n",
    ];
    for body in rows {
        assert!(request(body).is_err(), "{}", body.escape_ascii());
        assert_eq!(response(body), Ok((b"abc".to_vec(), body.len(), true)), "{}", body.escape_ascii());
    }
}

#[test]
fn a_servers_extensions_end_with_their_line() {
    let rows: [&[u8]; 5] = [
        b"3;a\nabc\r\n0\r\n\r\n",
        b"3;a\rb\r\nabc\r\n0\r\n\r\n",
        b"3;a=\"\nb\"\r\nabc\r\n0\r\n\r\n",
        b"3;a\0\r\nabc\r\n0\r\n\r\n",
        b"3;a=\"\x7f\"\r\nabc\r\n0\r\n\r\n",
    ];
    for body in rows {
        assert!(response(body).is_err(), "{}", body.escape_ascii());
    }
    let line = |length: usize| format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(length - 2)).into_bytes();
    assert!(response(&line(CHUNK_LINE_MAX)).is_ok());
    assert_eq!(response(&line(CHUNK_LINE_MAX + 1)), Err(Malformed::TooLong(Limit::ChunkLine)));
}

#[test]
fn trailers_decide_nothing() {
    for name in
        ["Host", "content-length", "Transfer-Encoding", "Authorization", "Cookie", "Set-Cookie", "Content-Type", "TE"]
    {
        let body = format!("0\r\nX-Sum: 1\r\n{name}: a\r\n\r\n");
        assert!(request(body.as_bytes()).is_err() && response(body.as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn a_forbidden_trailer_is_refused_before_its_line_ends() {
    let mut reader = BodyReader::of_request(BodyLength::Chunked);
    let mut left = Vec::new();
    let refused = b"0\r\nHost: a\r\n\r\n".iter().try_for_each(|byte| {
        reader.feed(&[*byte])?;
        left.push(*byte);
        Ok::<(), Malformed>(())
    });
    assert!(refused.is_err());
    assert_eq!(left, b"0\r\nHost: a\r");
}

#[test]
fn trailers_are_bounded() {
    let many = format!("0\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
    assert_eq!(request(many.as_bytes()), Err(Malformed::TooLong(Limit::Fields)));
    let long = format!("0\r\nA: {}", "b".repeat(TRAILERS_MAX));
    assert_eq!(request(long.as_bytes()), Err(Malformed::TooLong(Limit::Trailers)));
}

#[test]
fn a_connection_that_closes_early_leaves_no_body() {
    let mut reader = BodyReader::of_response(BodyLength::UntilClose);
    assert_eq!((reader.pass(b"abc"), reader.has_ended()), (Ok(3), false));
    assert_eq!((reader.closed(), reader.has_ended()), (Ok(()), true));
    for (length, bytes) in [(BodyLength::Exact(4), &b"abc"[..]), (BodyLength::Chunked, b"3\r\nabc\r\n0\r\n")] {
        let mut reader = BodyReader::of_response(length);
        assert_eq!(reader.pass(bytes), Ok(bytes.len()));
        assert!(reader.closed().is_err());
    }
}

proptest! {
    #[test]
    fn chunking_does_not_matter(bytes in chunked_like(), size in 1_usize..40) {
        for reader in [BodyReader::of_request, BodyReader::of_response] {
            let whole = read(reader(BodyLength::Chunked), &bytes, bytes.len());
            let pieces = read(reader(BodyLength::Chunked), &bytes, size);
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn what_is_framed_here_is_read_here(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let mut framed = Vec::new();
        for piece in &pieces {
            write::chunk(piece, &mut framed);
        }
        write::last_chunk(&Fields::default(), &mut framed);
        prop_assert_eq!(request(&framed), Ok((pieces.concat(), framed.len(), true)));
    }
}

/// Bytes that are nearly chunked bodies.
fn chunked_like() -> impl Strategy<Value = Vec<u8>> {
    let parts = [
        "0",
        "1",
        "3",
        "a",
        "\r\n",
        "\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "1\r\nx\r\n",
        ";",
        " ",
        "X: y\r\n",
        "0\r\n\r\n",
        "\n",
        "\r",
        "Host: a\r\n",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..24).prop_map(|parts| parts.concat().into_bytes())
}
