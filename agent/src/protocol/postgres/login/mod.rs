//! Logging in upstream with the target's credential, after the gate has let the workload connect.

mod scram;

use std::net::IpAddr;

use md5::{Digest, Md5};

use super::{
    cancel::Key,
    codec::{
        self, CodecError, HEAD, REPLY_MAX,
        backend::{self, Authentication, Status},
        write,
    },
    reply::Fatal,
    startup::Startup,
    wire::Wire,
};
use crate::{
    credential::Credential,
    protocol::{Opening, Output},
    target::{Address, Verify},
};

/// Settings that the session pins upstream, because its reading of SQL text depends on them.
/// The server ranks them above what was set for the role or the database.
const PINNED: [(&[u8], &[u8]); 2] = [(b"client_encoding", b"UTF8"), (b"standard_conforming_strings", b"on")];

/// Bytes of a cancel key's secret in protocol 3.0.
const SHORT_SECRET: usize = 4;
/// Bytes of a cancel key's secret that is given out in protocol 3.2, as many as the server gives.
const LONG_SECRET: usize = 32;

/// A login under way.
pub struct Login {
    startup: Startup,
    step: Step,
    binding: Option<Vec<u8>>,
    is_encrypted: bool,
    key: Option<Key>,
}

enum Step {
    /// The wish for TLS is sent.
    Encrypting,
    /// The driver shakes hands.
    Securing,
    /// The startup packet is sent; the exchange, where one has begun.
    Authenticating(Option<scram::Exchange>),
    /// SCRAM is done on the server's word and ours; only its `AuthenticationOk` is missing.
    Proven,
    /// The server has let us in and tells about itself.
    Starting,
}

/// How far a login has come.
#[derive(Debug, Eq, PartialEq)]
pub enum Progress {
    Pending,
    /// The server is ready; the workload does not know yet.
    Done(Status),
}

impl Login {
    /// Starts the way upstream.
    pub fn begin(startup: Startup, opening: &Opening, wire: &mut Wire) -> Result<Self, Fatal> {
        let mut login = Self { startup, step: Step::Encrypting, binding: None, is_encrypted: false, key: None };
        match opening.target.tls {
            Verify::Off => login.introduce(opening, wire)?,
            Verify::Full { .. } | Verify::Ca { .. } => wire.tell_server(write::ssl_request()),
        }
        Ok(login)
    }

    pub fn startup(&self) -> &Startup {
        &self.startup
    }

    /// The server's cancel key, once it has told.
    pub fn take_key(&mut self) -> Option<Key> {
        self.key.take()
    }

    /// TLS stands towards the server.
    pub fn secured(&mut self, binding: Option<Vec<u8>>, opening: &Opening, wire: &mut Wire) -> Result<(), Fatal> {
        self.binding = binding;
        self.is_encrypted = true;
        self.introduce(opening, wire)
    }

    /// Reads on as far as bytes of the server are there.
    pub fn advance(&mut self, opening: &Opening, wire: &mut Wire) -> Result<Progress, Fatal> {
        loop {
            match self.step {
                Step::Encrypting => match *wire.up.unread() {
                    [] => return Ok(Progress::Pending),
                    [b'S'] => {
                        wire.drop_up(1);
                        self.step = Step::Securing;
                        wire.want(Output::ConnectTls(None));
                    }
                    // Anything else was said in the clear by whoever, so that it is worth nothing.
                    _ => {
                        return Err(Fatal::upstream(
                            "08006",
                            "the server does not offer TLS, which its target asks for",
                        ));
                    }
                },
                Step::Securing => return Ok(Progress::Pending),
                Step::Authenticating(_) | Step::Proven | Step::Starting => {
                    let Some(head) = codec::head(wire.up.unread())? else { return Ok(Progress::Pending) };
                    if head.total > REPLY_MAX {
                        let length = head.total;
                        return Err(CodecError::Length { kind: "login", length, min: 4, max: REPLY_MAX }.into());
                    }
                    if wire.up.unread().len() < head.total {
                        return Ok(Progress::Pending);
                    }
                    let body = wire.up.slice(HEAD..head.total);
                    if let Some(status) = self.hear(head, &body, opening, wire)? {
                        return Ok(Progress::Done(status));
                    }
                }
            }
        }
    }

    fn hear(
        &mut self,
        head: codec::Head,
        body: &[u8],
        opening: &Opening,
        wire: &mut Wire,
    ) -> Result<Option<Status>, Fatal> {
        match head.tag {
            b'E' => return Err(refusal(body)?),
            // What the server says while nobody is in yet is not for the workload.
            b'N' => {}
            b'v' if matches!(self.step, Step::Authenticating(None)) => {
                self.startup.minor = self.startup.minor.min(backend::newest_minor(body)?);
            }
            b'R' => {
                let wanted = backend::authentication(body)?;
                if self.authenticate(wanted, opening, wire)? {
                    self.let_in(wire);
                }
            }
            b'S' if matches!(self.step, Step::Starting) => {
                check_parameter(body)?;
                wire.up.keep(head.total);
                wire.release_up();
                return Ok(None);
            }
            b'K' if matches!(self.step, Step::Starting) => {
                let (process, secret) = backend::key_data(body)?;
                self.key = Some(Key { process, secret: secret.to_vec() });
            }
            b'Z' if matches!(self.step, Step::Starting) => {
                let status = backend::ready(body)?;
                wire.drop_up(head.total);
                return Ok(Some(status));
            }
            other => return Err(CodecError::UnknownType(other).into()),
        }
        wire.drop_up(head.total);
        Ok(None)
    }

    /// Sends the startup packet.
    fn introduce(&mut self, opening: &Opening, wire: &mut Wire) -> Result<(), Fatal> {
        let credential = credential(opening)?;
        let named = [(&b"user"[..], credential.user.as_bytes()), (b"database", self.startup.database.as_bytes())];
        let settings = self.startup.settings.iter().map(|(name, value)| (&name[..], &value[..]));
        wire.tell_server(write::startup(self.startup.minor, named.into_iter().chain(settings).chain(PINNED)));
        self.step = Step::Authenticating(None);
        Ok(())
    }

    /// Answers what the server asks; true once it lets us in.
    fn authenticate(&mut self, wanted: Authentication<'_>, opening: &Opening, wire: &mut Wire) -> Result<bool, Fatal> {
        let credential = credential(opening)?;
        match (&mut self.step, wanted) {
            (Step::Authenticating(None) | Step::Proven, Authentication::Ok) => {
                self.step = Step::Starting;
                return Ok(true);
            }
            (Step::Authenticating(None), Authentication::Cleartext) => {
                if !self.is_encrypted && !is_local(opening) {
                    return Err(Fatal::upstream("28000", "the server asks for the password in the clear without TLS"));
                }
                wire.tell_server(write::password(password(credential)?));
            }
            (Step::Authenticating(None), Authentication::Md5 { salt }) => {
                wire.tell_server(write::password(md5_answer(password(credential)?, &credential.user, salt).as_bytes()));
            }
            (Step::Authenticating(exchange @ None), Authentication::Sasl { mechanisms }) => {
                password(credential)?;
                let offers = |name: &[u8]| mechanisms.contains(&name);
                if !offers(scram::PLAIN) && !offers(scram::PLUS) {
                    return Err(Fatal::upstream("28000", "the server offers no SASL mechanism that the gate speaks"));
                }
                let begun = scram::Exchange::begin(offers(scram::PLUS), self.binding.as_deref(), nonce(&opening.seed));
                wire.tell_server(write::sasl_initial(begun.mechanism, begun.first().as_bytes()));
                *exchange = Some(begun);
            }
            (Step::Authenticating(Some(exchange)), Authentication::SaslContinue(first)) => {
                let answer = exchange.prove(first, credential).map_err(scram_failed)?;
                wire.tell_server(write::sasl_response(answer.as_bytes()));
            }
            (Step::Authenticating(Some(exchange)), Authentication::SaslFinal(last)) => {
                exchange.verify(last).map_err(scram_failed)?;
                self.step = Step::Proven;
            }
            (_, Authentication::Other(code)) => {
                let message =
                    format!("the server asks for authentication method {code}, which the gate does not speak");
                return Err(Fatal::upstream("28000", message));
            }
            // In the middle of SCRAM, an early `Ok` would skip the proof that the server is the right one.
            _ => return Err(Fatal::upstream("08P01", "the server broke the order of authentication")),
        }
        Ok(false)
    }

    /// Tells the workload that it is in: nobody asks it for a password.
    fn let_in(&mut self, wire: &mut Wire) {
        if let Some(negotiation) = self.startup.negotiation() {
            wire.tell_workload(negotiation);
        }
        wire.tell_workload(write::authentication_ok());
    }
}

/// The session reads text as UTF-8 with standard strings; a server that says otherwise cannot be read.
pub fn check_parameter(body: &[u8]) -> Result<(), Fatal> {
    match backend::parameter(body)? {
        (b"client_encoding", b"UTF8") | (b"standard_conforming_strings", b"on") => Ok(()),
        (name @ (b"client_encoding" | b"standard_conforming_strings"), value) => {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            Err(Fatal::upstream("0A000", format!("the gate cannot read this session any more: {name} became {value}")))
        }
        _ => Ok(()),
    }
}

fn credential(opening: &Opening) -> Result<&Credential, Fatal> {
    opening.credential.as_deref().ok_or_else(|| {
        Fatal::upstream("28000", format!("target {} has no credential to log in with", opening.target.name))
    })
}

fn password(credential: &Credential) -> Result<&[u8], Fatal> {
    let missing =
        || Fatal::upstream("28P01", format!("the server wants a password and credential {} has none", credential.name));
    credential.password.as_ref().map(|password| password.expose()).ok_or_else(missing)
}

fn scram_failed(error: scram::ScramError) -> Fatal {
    Fatal::upstream("28P01", format!("the login upstream failed: {error}"))
}

/// Whether the server is on this host, where nobody can listen on the way.
fn is_local(opening: &Opening) -> bool {
    match &opening.target.upstream {
        None => opening.destination.ip().is_none_or(|address| address.is_loopback()),
        Some(Address::Tcp(place)) => place.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        Some(Address::Unix(_)) => true,
    }
}

/// What the server says when it does not let us in. Why our credential was refused is between it and the gate.
fn refusal(body: &[u8]) -> Result<Fatal, CodecError> {
    let parts = backend::notice(body)?;
    let part = |wanted| parts.iter().find(|(kind, _)| *kind == wanted).map_or(&b""[..], |(_, text)| text);
    let sqlstate = str::from_utf8(part(b'C')).unwrap_or("08006").to_owned();
    let message = if sqlstate.starts_with("28") {
        "the server refused the gate's credential".to_owned()
    } else {
        String::from_utf8_lossy(part(b'M')).into_owned()
    };
    Ok(Fatal { sqlstate: sqlstate.into(), message, by: None })
}

/// `md5` and the hash of (the hash of password and user) and salt, in hexadecimal.
fn md5_answer(password: &[u8], user: &str, salt: [u8; 4]) -> String {
    let inner = hex::encode(Md5::new().chain_update(password).chain_update(user).finalize());
    let outer = hex::encode(Md5::new().chain_update(inner).chain_update(salt).finalize());
    format!("md5{outer}")
}

fn nonce(seed: &[u8; 32]) -> String {
    hex::encode(blake3::derive_key("portcullis postgres SCRAM nonce", seed))
}

/// The cancel key that the workload gets: the server's process number, which clients compare with what SQL says,
/// and a secret made from the session's seed.
pub fn own_key(seed: &[u8; 32], process: u32, is_long: bool) -> Key {
    let mut secret = vec![0; if is_long { LONG_SECRET } else { SHORT_SECRET }];
    blake3::Hasher::new_derive_key("portcullis postgres cancel key").update(seed).finalize_xof().fill(&mut secret);
    Key { process, secret }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_answered_as_the_server_expects() {
        // From a session of libpq: user "postgres", password "secret", salt 0x01020304.
        let inner = hex::encode(Md5::digest(b"secretpostgres"));
        let outer = hex::encode(Md5::new().chain_update(inner).chain_update([1, 2, 3, 4]).finalize());
        assert_eq!(md5_answer(b"secret", "postgres", [1, 2, 3, 4]), format!("md5{outer}"));
    }

    #[test]
    fn keys_have_the_length_of_their_protocol() {
        assert_eq!(own_key(&[7; 32], 1, false).secret.len(), 4);
        assert_eq!(own_key(&[7; 32], 1, true).secret.len(), 32);
        assert!(own_key(&[7; 32], 1, true) != own_key(&[8; 32], 1, true));
    }

    #[test]
    fn a_workload_learns_the_number_of_its_process_and_no_secret_of_the_server() {
        assert_eq!(own_key(&[7; 32], 4711, false).process, 4711);
    }

    #[test]
    fn settings_that_would_blind_the_session_end_it() {
        assert!(check_parameter(b"client_encoding\0SJIS\0").is_err());
        assert!(check_parameter(b"standard_conforming_strings\0off\0").is_err());
        assert!(check_parameter(b"client_encoding\0UTF8\0").is_ok());
        assert!(check_parameter(b"TimeZone\0UTC\0").is_ok());
    }
}
