//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as a client.
//!
//! RFC 5802 and RFC 7677; channel binding `tls-server-end-point` by RFC 5929. The user name inside the
//! exchange is empty, as PostgreSQL takes it from the startup packet.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::credential::{Credential, SessionKeys};

/// Most iterations that a server may ask for: half a second or so of this process's time.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// Longest message of the server within the exchange.
pub const MESSAGE_MAX: usize = 4096;

pub const PLAIN: &[u8] = b"SCRAM-SHA-256";
pub const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS";

/// How an exchange fails. None of it tells the password.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScramError {
    #[error("the server's SCRAM message is malformed")]
    Malformed,
    #[error("the server's SCRAM message is longer than {MESSAGE_MAX} bytes")]
    TooLong,
    #[error("the server did not continue this session's nonce")]
    Nonce,
    #[error("the server asks for {0} SCRAM iterations, more than {ITERATIONS_MAX}")]
    Iterations(u32),
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("the server does not know the password: its signature is wrong")]
    Signature,
    #[error("the credential has no password")]
    NoPassword,
}

/// One exchange after its first message.
pub struct Exchange {
    pub mechanism: &'static [u8],
    gs2_header: String,
    binding: Vec<u8>,
    nonce: String,
    /// `client-first-message-bare`.
    first_bare: String,
    /// The server's signature that the end has to show.
    expected: Option<[u8; 32]>,
}

impl Exchange {
    /// Chooses the mechanism: bound to the TLS channel where both sides can.
    ///
    /// `binding` is the certificate's hash where TLS stands. A server that could bind but seems not to offer
    /// it is told so (`y`), so that an attacker in between who removed the offer is found out.
    pub fn begin(offers_plus: bool, binding: Option<&[u8]>, nonce: String) -> Self {
        let (mechanism, gs2_header, binding) = match binding {
            Some(binding) if offers_plus => (PLUS, "p=tls-server-end-point,,", binding.to_vec()),
            Some(_) => (PLAIN, "y,,", Vec::new()),
            None => (PLAIN, "n,,", Vec::new()),
        };
        let first_bare = format!("n=,r={nonce}");
        Self { mechanism, gs2_header: gs2_header.to_owned(), binding, nonce, first_bare, expected: None }
    }

    pub fn first(&self) -> String {
        format!("{}{}", self.gs2_header, self.first_bare)
    }

    /// Answers the server's first message with the proof.
    pub fn prove(&mut self, server_first: &[u8], credential: &Credential) -> Result<String, ScramError> {
        let server_first = readable(server_first)?;
        let mut attributes = server_first.split(',');
        let nonce = attribute(&mut attributes, "r=")?;
        let salt = BASE64.decode(attribute(&mut attributes, "s=")?).map_err(|_| ScramError::Malformed)?;
        let iterations: u32 = attribute(&mut attributes, "i=")?.parse().map_err(|_| ScramError::Malformed)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations(iterations));
        }
        let password = credential.password.as_ref().ok_or(ScramError::NoPassword)?;
        let keys = credential.scram.keys_for(&salt, iterations, || derive(password.expose(), &salt, iterations));

        let mut bound = self.gs2_header.clone().into_bytes();
        bound.extend_from_slice(&self.binding);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(bound));
        let message = format!("{},{server_first},{without_proof}", self.first_bare);
        let signature = hmac(&sha256(&keys.client), message.as_bytes());
        let proof: Vec<u8> = keys.client.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        self.expected = Some(hmac(&keys.server, message.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks that the server knows the password too.
    pub fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let server_final = readable(server_final)?;
        let mut attributes = server_final.split(',');
        if let Some(error) = server_final.strip_prefix("e=") {
            return Err(ScramError::Refused(error.to_owned()));
        }
        let signature = BASE64.decode(attribute(&mut attributes, "v=")?).map_err(|_| ScramError::Malformed)?;
        match &self.expected {
            Some(expected) if signature == expected => Ok(()),
            Some(_) | None => Err(ScramError::Signature),
        }
    }
}

fn readable(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_MAX {
        return Err(ScramError::TooLong);
    }
    str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

fn attribute<'a>(attributes: &mut impl Iterator<Item = &'a str>, name: &str) -> Result<&'a str, ScramError> {
    attributes.next().and_then(|attribute| attribute.strip_prefix(name)).ok_or(ScramError::Malformed)
}

/// ClientKey and ServerKey. A password that SASLprep refuses is used as it is, as the server does.
fn derive(password: &[u8], salt: &[u8], iterations: u32) -> SessionKeys {
    let prepared = str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    let password = prepared.as_ref().map_or(password, |text| text.as_bytes());
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
    SessionKeys { client: hmac(&salted, b"Client Key"), server: hmac(&salted, b"Server Key") }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; the error is the trait's, for ciphers.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Secret;

    fn credential(password: &str) -> Credential {
        Credential::new("c", "user").with_password(Secret::new(password.into()))
    }

    /// The example of RFC 7677, section 3, but for the user name, which the proof covers.
    fn example() -> Exchange {
        let mut exchange = Exchange::begin(false, None, "rOprNGfwEbeRWgbNEkqO".to_owned());
        exchange.first_bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        exchange
    }

    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_the_rfc_is_proven_and_verified() {
        let mut exchange = example();
        let answer = exchange.prove(SERVER_FIRST, &credential("pencil")).unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(exchange.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let mut exchange = example();
        assert_eq!(exchange.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(ScramError::Signature));
        exchange.prove(SERVER_FIRST, &credential("pencil")).unwrap();
        assert_eq!(exchange.verify(b"v=AAAA"), Err(ScramError::Signature));
        assert!(matches!(exchange.verify(b"e=invalid-proof"), Err(ScramError::Refused(_))));
    }

    #[test]
    fn a_foreign_nonce_or_an_absurd_count_is_refused() {
        let credential = credential("pencil");
        assert_eq!(example().prove(b"r=other,s=AAAA,i=4096", &credential), Err(ScramError::Nonce));
        assert_eq!(example().prove(b"r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1", &credential), Err(ScramError::Nonce));
        let absurd = b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000";
        assert_eq!(example().prove(absurd, &credential), Err(ScramError::Iterations(4_000_000_000)));
        assert_eq!(example().prove(b"x", &credential), Err(ScramError::Malformed));
    }

    #[test]
    fn the_channel_is_bound_where_both_sides_can() {
        let begin = |plus, binding| Exchange::begin(plus, binding, "n".to_owned()).first();
        assert!(begin(true, Some(b"hash")).starts_with("p=tls-server-end-point,,"));
        assert!(begin(false, Some(b"hash")).starts_with("y,,"));
        assert!(begin(true, None).starts_with("n,,"));
    }
}
