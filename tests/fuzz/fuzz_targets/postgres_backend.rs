//! Any bytes of a server are messages or an error, and every message is read to its end or refused.
#![no_main]

use portcullis::protocol::postgres::codec::{self, Fields, HEAD, backend};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some(head)) = codec::head(rest) {
        let Some((message, after)) = rest.split_at_checked(head.total) else { break };
        let body = &message[HEAD..];
        let _ = (backend::Tag::of(head), backend::row_description(body), backend::copy_response(body));
        let _ = (backend::notice(body), backend::parameter(body), backend::notification(body));
        let _ = (backend::ready(body), backend::authentication(body), backend::key_data(body));
        let _ = backend::columns(&mut Fields::new("DataRow", body), "DataRow");
        rest = after;
    }
});
