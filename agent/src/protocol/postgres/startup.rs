//! What comes before login: encryption, the version, and the startup parameters.

use bytes::Bytes;

use super::{
    codec::{CodecError, Fields, frontend, write},
    wire::Wire,
};
use crate::{
    protocol::Output,
    sql::{Path, path_in},
};

/// The newest minor version that the session speaks with a workload.
const MINOR_MAX: u16 = 2;
/// The minor version that brought long cancel keys.
const MINOR_LONG_KEYS: u16 = 2;

/// Settings that a workload may bring along: they change how values look or how long things take,
/// never what a statement means. Compared in lower case, as the server does.
const SETTINGS_ALLOWED: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lock_timeout",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "timezone",
    "transaction_timeout",
    "work_mem",
];

/// What a workload opened a session with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Startup {
    /// Whom it says it is. The gate logs in as its own credential's user instead.
    pub user: Vec<u8>,
    pub database: String,
    /// Settings to hand on.
    pub settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// The search path, which is among them too.
    pub path: Path,
    /// The minor version that it asked for.
    pub asked: u16,
    /// The minor version to speak: one that the gate knows, and once the server has answered, it too.
    pub minor: u16,
    /// Protocol options that it asked for. The gate knows none.
    pub options: Vec<Vec<u8>>,
}

impl Startup {
    /// The answer to a version or option that is not spoken here, if one was asked for.
    pub fn negotiation(&self) -> Option<Bytes> {
        let options: Vec<&[u8]> = self.options.iter().map(Vec::as_slice).collect();
        (self.asked != self.minor || !options.is_empty()).then(|| write::negotiate(self.minor, &options))
    }

    /// Whether the workload gets the long cancel keys of protocol 3.2.
    pub fn has_long_keys(&self) -> bool {
        self.minor >= MINOR_LONG_KEYS
    }
}

/// The conversation before the startup packet.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Whether TLS is never spoken, as PostgreSQL does not on Unix sockets.
    has_no_tls: bool,
    is_encrypted: bool,
    is_securing: bool,
    refused_gss: bool,
    refused_tls: bool,
}

/// What a greeting led to.
#[derive(Debug, Eq, PartialEq)]
pub enum Greeted {
    NeedMore,
    Startup(Startup),
    Cancel { process: u32, key: Vec<u8> },
}

/// Why a greeting failed: what the workload reads, with its SQLSTATE.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum GreetingError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("protocol {0}.{1} is not spoken here")]
    Version(u16, u16),
    #[error("encryption was asked for twice")]
    AskedTwice,
    #[error("unencrypted bytes followed the request for encryption")]
    BytesBeforeHandshake,
    #[error("TLS is not spoken on Unix sockets")]
    NoTls,
    #[error("no user name was given")]
    NoUser,
    #[error("the database name is not UTF-8")]
    DatabaseName,
    #[error("client_encoding {0:?} is not spoken here: use UTF8")]
    Encoding(String),
    #[error("the setting {0:?} may not be chosen at login through the gate")]
    Setting(String),
    #[error("the search path {0:?} may not be chosen at login through the gate")]
    SearchPath(String),
    #[error("replication connections are refused")]
    Replication,
    #[error("the startup options {0:?} are not of the form -c name=value")]
    Options(String),
}

impl GreetingError {
    /// The SQLSTATE to speak it with.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Codec(_) | Self::AskedTwice | Self::BytesBeforeHandshake | Self::Version(..) | Self::NoTls => "08P01",
            Self::NoUser => "28000",
            Self::DatabaseName | Self::Encoding(_) | Self::Options(_) => "22023",
            Self::Setting(_) | Self::SearchPath(_) | Self::Replication => "42501",
        }
    }
}

impl Greeting {
    /// Of a connection that is not encrypted, whatever the workload wishes.
    pub fn in_the_clear() -> Self {
        Self { has_no_tls: true, ..Self::default() }
    }

    /// Reads on as far as bytes are there.
    pub fn advance(&mut self, wire: &mut Wire) -> Result<Greeted, GreetingError> {
        loop {
            if self.is_securing {
                return Ok(Greeted::NeedMore);
            }
            let Some((opening, length)) = frontend::opening(wire.down.unread())? else {
                return Ok(Greeted::NeedMore);
            };
            match opening {
                frontend::Opening::DirectTls if self.is_encrypted => return Err(GreetingError::AskedTwice),
                frontend::Opening::DirectTls if self.has_no_tls => return Err(GreetingError::NoTls),
                frontend::Opening::DirectTls => {
                    self.is_securing = true;
                    let hello = wire.down.take();
                    wire.want(Output::AcceptTls(hello));
                }
                frontend::Opening::SslRequest => {
                    self.secure(wire, length)?;
                }
                frontend::Opening::GssEncRequest => {
                    if self.refused_gss || self.is_encrypted {
                        return Err(GreetingError::AskedTwice);
                    }
                    self.refused_gss = true;
                    wire.drop_down(length);
                    wire.tell_workload(Bytes::from_static(b"N"));
                }
                frontend::Opening::Cancel { process, key } => {
                    let key = key.to_vec();
                    wire.drop_down(length);
                    return Ok(Greeted::Cancel { process, key });
                }
                frontend::Opening::Startup { major, minor, parameters } => {
                    let startup = startup(major, minor, parameters)?;
                    wire.drop_down(length);
                    return Ok(Greeted::Startup(startup));
                }
            }
        }
    }

    /// TLS stands towards the workload.
    pub fn secured(&mut self) {
        self.is_securing = false;
        self.is_encrypted = true;
    }

    /// Bytes that came with the request were sent in the clear, by whoever: reading them as if they had come
    /// through TLS would let a stranger put words into the workload's mouth.
    fn secure(&mut self, wire: &mut Wire, length: usize) -> Result<(), GreetingError> {
        if self.is_encrypted {
            return Err(GreetingError::AskedTwice);
        }
        if wire.down.unread().len() > length {
            return Err(GreetingError::BytesBeforeHandshake);
        }
        wire.drop_down(length);
        if self.has_no_tls {
            // Once: who asks again after it was refused does not speak the protocol.
            if std::mem::replace(&mut self.refused_tls, true) {
                return Err(GreetingError::AskedTwice);
            }
            wire.tell_workload(Bytes::from_static(b"N"));
            return Ok(());
        }
        self.is_securing = true;
        wire.tell_workload(Bytes::from_static(b"S"));
        wire.want(Output::AcceptTls(Bytes::new()));
        Ok(())
    }
}

fn startup(major: u16, minor: u16, parameters: frontend::Parameters<'_>) -> Result<Startup, GreetingError> {
    if major != 3 {
        return Err(GreetingError::Version(major, minor));
    }
    let mut startup = Startup {
        user: Vec::new(),
        database: String::new(),
        settings: Vec::new(),
        path: None,
        asked: minor,
        // There is no protocol 3.1; who asks for it gets 3.0.
        minor: if minor >= MINOR_MAX { MINOR_MAX } else { 0 },
        options: Vec::new(),
    };
    let mut fields = Fields::new("StartupMessage", parameters.0);
    loop {
        match fields.text()? {
            [] => break,
            name if name.starts_with(b"_pq_.") => {
                fields.text()?;
                startup.options.push(name.to_vec());
            }
            name => parameter(&mut startup, name, fields.text()?)?,
        }
    }
    fields.end()?;
    if startup.user.is_empty() {
        return Err(GreetingError::NoUser);
    }
    if startup.database.is_empty() {
        startup.database = String::from_utf8(startup.user.clone()).map_err(|_| GreetingError::DatabaseName)?;
    }
    Ok(startup)
}

fn parameter(startup: &mut Startup, name: &[u8], value: &[u8]) -> Result<(), GreetingError> {
    match name {
        b"user" => startup.user = value.to_vec(),
        b"database" => startup.database = String::from_utf8(value.to_vec()).map_err(|_| GreetingError::DatabaseName)?,
        b"replication" => replication(value)?,
        b"options" => options(startup, value)?,
        _ => setting(startup, name, value)?,
    }
    Ok(())
}

fn replication(value: &[u8]) -> Result<(), GreetingError> {
    match value.to_ascii_lowercase().as_slice() {
        b"" | b"false" | b"off" | b"no" | b"0" => Ok(()),
        _ => Err(GreetingError::Replication),
    }
}

fn setting(startup: &mut Startup, name: &[u8], value: &[u8]) -> Result<(), GreetingError> {
    let refused = || GreetingError::Setting(String::from_utf8_lossy(name).into_owned());
    let lower = str::from_utf8(name).map_err(|_| refused())?.to_ascii_lowercase();
    match lower.as_str() {
        "client_encoding" => return encoding(value),
        "standard_conforming_strings" if value.eq_ignore_ascii_case(b"on") => return Ok(()),
        "search_path" => {
            let path = str::from_utf8(value).ok().and_then(path_in);
            let unread = || GreetingError::SearchPath(String::from_utf8_lossy(value).into_owned());
            startup.path = Some(path.ok_or_else(unread)?);
            startup.settings.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        _ => {}
    }
    if !SETTINGS_ALLOWED.contains(&lower.as_str()) {
        return Err(refused());
    }
    startup.settings.push((name.to_vec(), value.to_vec()));
    Ok(())
}

/// The session always speaks UTF-8 upstream. A client that claims SQL_ASCII has no opinion (psql in the C
/// locale) and learns UTF8 from the server's ParameterStatus.
fn encoding(value: &[u8]) -> Result<(), GreetingError> {
    let bare: Vec<u8> = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    match bare.as_slice() {
        b"utf8" | b"unicode" | b"sqlascii" => Ok(()),
        _ => Err(GreetingError::Encoding(String::from_utf8_lossy(value).into_owned())),
    }
}

/// `options` is a command line: `-c name=value`, `-cname=value` or `--name=value`, with blanks in a value
/// escaped by a backslash.
fn options(startup: &mut Startup, line: &[u8]) -> Result<(), GreetingError> {
    let malformed = || GreetingError::Options(String::from_utf8_lossy(line).into_owned());
    let mut words = words(line).into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.as_slice() {
            b"-c" => words.next().ok_or_else(malformed)?,
            [b'-', b'-' | b'c', rest @ ..] => rest.to_vec(),
            _ => return Err(malformed()),
        };
        let equals = assignment.iter().position(|&byte| byte == b'=').ok_or_else(malformed)?;
        let (name, value) = assignment.split_at(equals);
        // The server reads a dash in such a name as an underscore.
        let name: Vec<u8> = name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect();
        setting(startup, &name, value.get(1..).unwrap_or_default())?;
    }
    Ok(())
}

fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            byte if byte.is_ascii_whitespace() || byte == 0x0b => words.extend(word.take()),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Side;

    fn greet(parameters: &[(&str, &str)]) -> Result<Startup, GreetingError> {
        let mut wire = Wire::default();
        wire.down.push(write::startup(0, parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))));
        match Greeting::default().advance(&mut wire)? {
            Greeted::Startup(startup) => Ok(startup),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_database_is_the_user_when_none_is_named() {
        let startup = greet(&[("user", "ann"), ("application_name", "psql")]).unwrap();
        assert_eq!(startup.database, "ann");
        assert_eq!(startup.settings, [(b"application_name".to_vec(), b"psql".to_vec())]);
    }

    #[test]
    fn settings_that_change_what_statements_mean_are_refused() {
        for (name, value) in [
            ("search_path", "pg_temp, evil"),
            ("Standard_Conforming_Strings", "off"),
            ("session_replication_role", "replica"),
            ("role", "postgres"),
            ("client_encoding", "SJIS"),
            ("replication", "database"),
            ("options", "-c search_path=pg_catalog,evil"),
            ("options", "--search-path=\"ev\"\"il\""),
            ("options", "-csearch_path=pg_temp"),
            ("options", "-F"),
            ("options", "-c role"),
        ] {
            assert!(greet(&[("user", "ann"), (name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn a_search_path_is_handed_on_and_remembered() {
        let startup = greet(&[("user", "a"), ("options", r"-c search_path=App,\ public")]).unwrap();
        assert_eq!(startup.path, path_in("app, public"));
        assert_eq!(startup.settings, [(b"search_path".to_vec(), b"App, public".to_vec())]);
    }

    #[test]
    fn harmless_options_are_taken_apart_and_handed_on() {
        let startup = greet(&[("user", "a"), ("options", r"-c DateStyle=ISO,\ MDY --statement-timeout=5s")]).unwrap();
        assert_eq!(
            startup.settings,
            [(b"DateStyle".to_vec(), b"ISO, MDY".to_vec()), (b"statement_timeout".to_vec(), b"5s".to_vec())]
        );
    }

    #[test]
    fn a_client_without_a_locale_is_taught_utf8() {
        assert!(greet(&[("user", "a"), ("client_encoding", "SQL_ASCII")]).unwrap().settings.is_empty());
        assert!(greet(&[("user", "a"), ("client_encoding", "'utf-8'")]).is_ok());
    }

    #[test]
    fn bytes_before_the_handshake_are_refused() {
        let mut wire = Wire::default();
        wire.down.push(Bytes::from_static(b"\0\0\0\x08\x04\xd2\x16\x2fQ"));
        assert_eq!(Greeting::default().advance(&mut wire), Err(GreetingError::BytesBeforeHandshake));
        assert!(wire.next().is_none());
    }

    #[test]
    fn gss_is_declined_once_and_tls_offered() {
        let (mut wire, mut greeting) = (Wire::default(), Greeting::default());
        wire.down.push(Bytes::from_static(b"\0\0\0\x08\x04\xd2\x16\x30"));
        assert_eq!(greeting.advance(&mut wire), Ok(Greeted::NeedMore));
        wire.down.push(write::ssl_request());
        assert_eq!(greeting.advance(&mut wire), Ok(Greeted::NeedMore));
        let said: Vec<_> = std::iter::from_fn(|| wire.next()).collect();
        assert!(matches!(
            said.as_slice(),
            [Output::Send(Side::Downstream, n), Output::Send(Side::Downstream, s), Output::AcceptTls(_)]
                if n == "N" && s == "S"
        ));
    }

    #[test]
    fn tls_is_declined_on_a_unix_socket_and_the_session_goes_on() {
        let (mut wire, mut greeting) = (Wire::default(), Greeting::in_the_clear());
        wire.down.push(write::ssl_request());
        assert_eq!(greeting.advance(&mut wire), Ok(Greeted::NeedMore));
        assert!(matches!(wire.next(), Some(Output::Send(Side::Downstream, n)) if n == "N"));
        assert!(wire.next().is_none());
        wire.down.push(write::ssl_request());
        assert_eq!(greeting.advance(&mut wire), Err(GreetingError::AskedTwice));

        let (mut wire, mut greeting) = (Wire::default(), Greeting::in_the_clear());
        wire.down.push(Bytes::from_static(b"\x16\x03\x01\0\xa0"));
        assert_eq!(greeting.advance(&mut wire), Err(GreetingError::NoTls));
    }

    #[test]
    fn newer_versions_and_options_are_negotiated_down() {
        let packet = |minor: u8, option: &[u8]| {
            let mut packet = vec![0, 0, 0, 0, 0, 3, 0, minor];
            packet.extend_from_slice(b"user\0a\0");
            packet.extend_from_slice(option);
            packet.push(0);
            packet[3] = packet.len() as u8;
            Bytes::from(packet)
        };
        for (minor, option, long, answer) in [
            (0, &b""[..], false, None),
            (2, b"", true, None),
            (1, b"", false, Some(write::negotiate(0, &[]))),
            (9, b"", true, Some(write::negotiate(2, &[]))),
            (0, b"_pq_.x\x001\0", false, Some(write::negotiate(0, &[b"_pq_.x"]))),
        ] {
            let mut wire = Wire::default();
            wire.down.push(packet(minor, option));
            let Ok(Greeted::Startup(startup)) = Greeting::default().advance(&mut wire) else { panic!() };
            assert_eq!((startup.has_long_keys(), startup.negotiation()), (long, answer));
        }
    }
}
