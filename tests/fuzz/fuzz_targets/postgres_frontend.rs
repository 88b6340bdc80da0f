//! Any bytes of a workload are messages or an error, and every message is read to its end or refused.
#![no_main]

use portcullis::protocol::postgres::codec::{self, HEAD, frontend};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = frontend::opening(bytes);
    let mut rest = bytes;
    while let Ok(Some(head)) = codec::head(rest) {
        let Some((message, after)) = rest.split_at_checked(head.total) else { break };
        let body = &message[HEAD..];
        let _ = (frontend::Tag::of(head), frontend::query(body), frontend::parse(body), frontend::bind(body));
        let _ = (frontend::named("Describe", body), frontend::execute(body));
        rest = after;
    }
});
