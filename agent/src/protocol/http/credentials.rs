//! The credential that the gate adds to a permitted request, in place of whatever the workload sent there.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    credential::{Credential, Presentation, Secret},
    target::Target,
};

/// Where a secret goes in each request, and what stands there.
#[derive(Debug)]
pub struct Presented {
    place: Field,
    value: Secret,
}

#[derive(Debug)]
enum Field {
    /// By name in lower case.
    Header(String),
    Query(String),
}

/// Why no request can be sent on. Never says anything of the secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unpresentable {
    #[error("the target's credential cannot be read")]
    Unreadable,
    #[error("the target's credential holds bytes that no header field can carry")]
    Bytes,
}

impl Presented {
    /// `None`: the target has no credential that a request would carry.
    pub fn of(target: &Target, credential: Option<&Credential>) -> Result<Option<Self>, Unpresentable> {
        let credential = match (credential, &target.credential) {
            (Some(credential), _) => credential,
            (None, Some(_)) => return Err(Unpresentable::Unreadable),
            (None, None) => return Ok(None),
        };
        let (Some(presentation), Some(password)) = (&credential.http, &credential.password) else { return Ok(None) };
        let secret = password.expose();
        let (place, value) = match presentation {
            Presentation::Bearer => (Field::authorization(), joined(b"Bearer ", secret)),
            Presentation::Basic => {
                let pair = joined(format!("{}:", credential.user).as_bytes(), secret);
                let encoded = Zeroizing::new(STANDARD.encode(&*pair));
                (Field::authorization(), joined(b"Basic ", encoded.as_bytes()))
            }
            Presentation::Header(name) => (Field::Header(name.clone()), joined(b"", secret)),
            Presentation::Query(name) => (Field::Query(name.clone()), escaped(secret)),
        };
        let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7e);
        if !value.iter().all(is_plain) {
            return Err(Unpresentable::Bytes);
        }
        Ok(Some(Self { place, value: Secret::new(value.to_vec()) }))
    }

    /// Whether a header field of the workload's makes room for it. The names of RFC 9110, section 11 go as well: the
    /// workload has no other way to prove who it is than the gate's.
    pub fn replaces(&self, name: &str) -> bool {
        let is_own = matches!(&self.place, Field::Header(own) if own.eq_ignore_ascii_case(name));
        is_own || name.eq_ignore_ascii_case("authorization")
    }

    /// The header field that is added.
    pub fn header(&self) -> Option<(&str, &[u8])> {
        match &self.place {
            Field::Header(name) => Some((name, self.value.expose())),
            Field::Query(_) => None,
        }
    }

    /// The field of the query that is added, escaped.
    pub fn query(&self) -> Option<(&str, &[u8])> {
        match &self.place {
            Field::Query(name) => Some((name, self.value.expose())),
            Field::Header(_) => None,
        }
    }
}

impl Field {
    fn authorization() -> Self {
        Self::Header("authorization".to_owned())
    }
}

fn joined(front: &[u8], back: &[u8]) -> Zeroizing<Vec<u8>> {
    // Growing would leave a copy behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(front.len() + back.len()));
    whole.extend_from_slice(front);
    whole.extend_from_slice(back);
    whole
}

/// With everything escaped but what RFC 3986, section 2.3 leaves alone.
fn escaped(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Zeroizing::new(Vec::with_capacity(3 * secret.len()));
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for &byte in secret {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte),
            _ => text.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(credential: Option<&str>) -> Target {
        Target {
            name: "api".into(),
            protocol: "http".into(),
            addresses: Vec::new(),
            upstream: None,
            tls: crate::target::Verify::Off,
            credential: credential.map(Into::into),
            labels: Default::default(),
            classes: Default::default(),
            paths: Default::default(),
        }
    }

    fn presented(http: Presentation, secret: &str) -> Result<Presented, Unpresentable> {
        let credential = Credential {
            http: Some(http),
            ..Credential::new("key", "app").with_password(Secret::new(secret.as_bytes().to_vec()))
        };
        Presented::of(&target(Some("key")), Some(&credential)).map(|presented| presented.expect("a credential"))
    }

    #[test]
    fn each_way_of_showing_a_secret() {
        let bearer = presented(Presentation::Bearer, "s3cret").unwrap();
        assert_eq!(bearer.header(), Some(("authorization", &b"Bearer s3cret"[..])));
        let basic = presented(Presentation::Basic, "open sesame").unwrap();
        assert_eq!(basic.header(), Some(("authorization", &b"Basic YXBwOm9wZW4gc2VzYW1l"[..])));
        let header = presented(Presentation::Header("x-api-key".into()), "k").unwrap();
        assert_eq!((header.header(), header.query()), (Some(("x-api-key", &b"k"[..])), None));
        assert!(header.replaces("X-API-Key") && header.replaces("Authorization") && !header.replaces("accept"));
        let query = presented(Presentation::Query("key".into()), "a&b c").unwrap();
        assert_eq!((query.header(), query.query()), (None, Some(("key", &b"a%26b%20c"[..]))));
    }

    #[test]
    fn a_secret_cannot_end_its_field() {
        for http in [Presentation::Bearer, Presentation::Header("x".into())] {
            assert_eq!(presented(http, "a\r\nx: y").unwrap_err(), Unpresentable::Bytes);
        }
    }

    #[test]
    fn a_credential_that_cannot_be_read_is_not_done_without() {
        assert_eq!(Presented::of(&target(Some("key")), None).unwrap_err(), Unpresentable::Unreadable);
        assert!(Presented::of(&target(None), None).unwrap().is_none());
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", presented(Presentation::Bearer, "s3cret").unwrap()).contains("s3cret"));
    }
}
