//! Which names may be asked: those that the configuration names, and no other.
//!
//! A workload reaches declared targets alone, so that it needs no other name. Whatever else it asks is answered here:
//! a name that goes on could spell anything, and is heard by whoever answers for it.

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use hickory_proto::{
    op::Query as Question,
    rr::{Name, RecordType},
};

/// Most characters of what stands for a pattern's wildcard.
pub const WILD_MAX: usize = 63;

/// The name of the host itself, and all below it (RFC 6761, section 6.3).
const LOCALHOST: &[u8] = b"localhost";

/// The names that may be asked.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// In lower case and fully qualified, as all that follow.
    exact: HashSet<Name>,
    wild: Vec<Pattern>,
    /// Those by which addresses of targets are looked up.
    reverse: HashSet<Name>,
}

/// What becomes of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ruling {
    /// A resolver is asked for this name, which nothing of the workload's spells.
    Ask(Name),
    /// The same for a name that the workload has chosen so many characters of.
    AskWild(Name, usize),
    /// It is this host's loopback, by name or by address.
    Local(Local),
    /// The name is known here, and has no such record.
    NoRecord,
    /// Nobody has said that this name may be asked.
    Unknown,
}

/// What is said of the host itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Local {
    Address(IpAddr),
    Name(Name),
}

/// A name that may be asked, or one with a wildcard in front: `*` is one label, `**` one or more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    wildcard: Wildcard,
    /// What stands after the wildcard.
    name: Name,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wildcard {
    None,
    One,
    Many,
}

/// Why a text is no pattern of names.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    #[error("not a host name")]
    Host,
    #[error("an address, which nobody asks for")]
    Address,
    #[error("every name at once")]
    Everything,
    #[error("a wildcard that is not a whole first label")]
    Wildcard,
}

impl Names {
    /// Those of targets' hosts and addresses, and those that the configuration allows beside them.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>, allowed: &[Pattern]) -> Self {
        let mut names = Self::default();
        for host in hosts {
            match (host.parse::<IpAddr>(), host.parse::<Pattern>()) {
                (Ok(address), _) => drop(names.reverse.insert(reverse(address))),
                (Err(_), Ok(pattern)) => names.admit(&pattern),
                // What is no host name cannot be asked either.
                (Err(_), Err(_)) => {}
            }
        }
        allowed.iter().for_each(|pattern| names.admit(pattern));
        names
    }

    fn admit(&mut self, pattern: &Pattern) {
        match pattern.wildcard {
            Wildcard::None => drop(self.exact.insert(pattern.name.clone())),
            Wildcard::One | Wildcard::Many => self.wild.push(pattern.clone()),
        }
    }

    /// Judges a question of the Internet's class.
    pub(super) fn judge(&self, question: &Question) -> Ruling {
        let name = question.name().to_lowercase();
        let kind = question.query_type();
        if let Some(local) = local(&name) {
            return local.answer(kind);
        }
        let is_address = matches!(kind, RecordType::A | RecordType::AAAA);
        if self.exact.contains(&name) {
            return if is_address { Ruling::Ask(name) } else { Ruling::NoRecord };
        }
        if self.reverse.contains(&name) {
            return if kind == RecordType::PTR { Ruling::Ask(name) } else { Ruling::NoRecord };
        }
        match self.wild.iter().filter_map(|pattern| pattern.spelled(&name)).min() {
            Some(spelled) if is_address => Ruling::AskWild(name, spelled),
            Some(_) => Ruling::NoRecord,
            None => Ruling::Unknown,
        }
    }
}

/// Names that are the host's own wherever they are asked.
enum OwnName {
    Host,
    Address,
}

/// The name by which an address is looked up (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reverse(address: IpAddr) -> Name {
    let mut name = Name::from(address).to_lowercase();
    name.set_fqdn(true);
    name
}

/// Whether a name in lower case is the host's own, or below it.
pub(super) fn is_localhost(name: &Name) -> bool {
    name.iter().next_back() == Some(LOCALHOST)
}

fn local(name: &Name) -> Option<OwnName> {
    if is_localhost(name) {
        return Some(OwnName::Host);
    }
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    loopback.into_iter().any(|address| reverse(address) == *name).then_some(OwnName::Address)
}

impl OwnName {
    fn answer(&self, kind: RecordType) -> Ruling {
        match (self, kind) {
            (Self::Host, RecordType::A) => Ruling::Local(Local::Address(Ipv4Addr::LOCALHOST.into())),
            (Self::Host, RecordType::AAAA) => Ruling::Local(Local::Address(Ipv6Addr::LOCALHOST.into())),
            (Self::Address, RecordType::PTR) => {
                Name::from_labels([LOCALHOST]).map_or(Ruling::NoRecord, |name| Ruling::Local(Local::Name(name)))
            }
            (Self::Host | Self::Address, _) => Ruling::NoRecord,
        }
    }
}

impl Pattern {
    /// Whether a name in lower case is one of those that it stands for, and short enough where it is wild.
    pub(super) fn covers(&self, name: &Name) -> bool {
        self.spelled(name).is_some()
    }

    /// How many characters of such a name, dots among them, stand for the wildcard.
    fn spelled(&self, name: &Name) -> Option<usize> {
        let wild = name.iter().count().saturating_sub(self.name.iter().count());
        let enough = match self.wildcard {
            Wildcard::None => wild == 0,
            Wildcard::One => wild == 1,
            Wildcard::Many => wild >= 1,
        };
        let spelled: Vec<_> = name.iter().take(wild).collect();
        let plain = spelled.iter().all(|label| label.iter().copied().all(is_letter));
        let length = spelled.join(&b'.').len();
        (enough && plain && length <= WILD_MAX && self.name.zone_of(name)).then_some(length)
    }
}

/// What host names are made of (RFC 1123, section 2.1), and the underscore, as containers use it.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (wildcard, rest) = match text.split_once('.') {
            Some(("*", rest)) => (Wildcard::One, rest),
            Some(("**", rest)) => (Wildcard::Many, rest),
            Some(_) | None => (Wildcard::None, text),
        };
        if matches!(text, "*" | "**" | "*." | "**.") {
            return Err(PatternError::Everything);
        }
        if rest.contains('*') {
            return Err(PatternError::Wildcard);
        }
        if rest.parse::<IpAddr>().is_ok() {
            return Err(PatternError::Address);
        }
        if !rest.bytes().all(|byte| byte == b'.' || is_letter(byte)) {
            return Err(PatternError::Host);
        }
        let mut name = Name::from_ascii(rest).map_err(|_| PatternError::Host)?.to_lowercase();
        name.set_fqdn(true);
        if name.is_root() { Err(PatternError::Host) } else { Ok(Self { wildcard, name }) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = match self.wildcard {
            Wildcard::None => "",
            Wildcard::One => "*.",
            Wildcard::Many => "**.",
        };
        write!(f, "{wildcard}{}", self.name.to_string().trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let allowed = ["files.example.org", "*.shop.example", "**.deep.example"].map(|text| text.parse().unwrap());
        Names::new(["db.internal", "shop_db", "10.0.3.7", "2001:db8::1"], &allowed)
    }

    fn ruling(name: &str, kind: RecordType) -> Ruling {
        names().judge(&Question::query(Name::from_ascii(name).unwrap(), kind))
    }

    fn goes_on(name: &str) -> bool {
        match ruling(name, RecordType::A) {
            Ruling::Ask(asked) | Ruling::AskWild(asked, _) => {
                assert_eq!(asked.to_string(), name.to_ascii_lowercase());
                true
            }
            Ruling::Unknown => false,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_that_nobody_has_named_cannot_be_asked() {
        for name in ["db.internal.", "shop_db.", "files.example.org.", "DB.Internal."] {
            assert!(goes_on(name), "{name}");
        }
        for name in [
            "stolen.db.internal.",
            "db.internal.corp.example.",
            "internal.",
            "db.",
            ".",
            "xdb.internal.",
            "stolen.example.",
            "10.0.3.7.",
        ] {
            assert!(!goes_on(name), "{name}");
        }
    }

    #[test]
    fn a_wildcard_is_whole_labels() {
        for (name, spelled) in [("a.shop.example.", 1), ("ab.deep.example.", 2), ("a.b.cd.deep.example.", 6)] {
            assert_eq!(ruling(name, RecordType::A), Ruling::AskWild(Name::from_ascii(name).unwrap(), spelled));
        }
        for name in [
            "*.shop.example.",
            "shop.example.",
            "a.b.shop.example.",
            "deep.example.",
            "ashop.example.",
            "a.shop.example.org.",
        ] {
            assert_eq!(ruling(name, RecordType::A), Ruling::Unknown, "{name}");
        }
    }

    #[test]
    fn what_stands_for_a_wildcard_is_letters() {
        for label in [&b"a\0b"[..], b"*", b"a b", b"\xff", b"a.b"] {
            let name = Name::from_labels([label, b"shop", b"example"]).unwrap();
            assert_eq!(names().judge(&Question::query(name, RecordType::A)), Ruling::Unknown);
        }
    }

    #[test]
    fn what_stands_for_a_wildcard_is_short() {
        let label = "a".repeat(31);
        assert!(goes_on(&format!("{label}.{label}.deep.example.")));
        assert!(!goes_on(&format!("{label}.{label}.a.deep.example.")));
    }

    #[test]
    fn a_known_name_has_addresses_and_nothing_else() {
        for kind in [RecordType::TXT, RecordType::HTTPS, RecordType::SVCB, RecordType::NULL, RecordType::Unknown(999)] {
            for name in ["db.internal.", "a.shop.example.", "localhost.", "7.3.0.10.in-addr.arpa."] {
                assert_eq!(ruling(name, kind), Ruling::NoRecord, "{name} {kind}");
            }
            assert_eq!(ruling("other.example.", kind), Ruling::Unknown);
        }
    }

    #[test]
    fn the_loopback_is_known_without_asking() {
        let v4 = Ruling::Local(Local::Address(Ipv4Addr::LOCALHOST.into()));
        let name = Ruling::Local(Local::Name(Name::from_ascii("localhost.").unwrap()));
        assert_eq!(ruling("LocalHost.", RecordType::A), v4);
        assert_eq!(ruling("app.localhost.", RecordType::A), v4);
        assert_eq!(ruling("1.0.0.127.in-addr.arpa.", RecordType::PTR), name);
        assert_eq!(ruling("localhost.example.", RecordType::A), Ruling::Unknown);
    }

    #[test]
    fn addresses_of_targets_alone_are_looked_up() {
        for address in ["10.0.3.7", "2001:db8::1"] {
            let name = reverse(address.parse().unwrap());
            assert_eq!(ruling(&name.to_string(), RecordType::PTR), Ruling::Ask(name));
        }
        assert_eq!(ruling("8.3.0.10.in-addr.arpa.", RecordType::PTR), Ruling::Unknown);
        assert_eq!(ruling("db.internal.", RecordType::PTR), Ruling::NoRecord);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, error) in [
            ("*", PatternError::Everything),
            ("**.", PatternError::Everything),
            ("a.*.example", PatternError::Wildcard),
            ("*a.example", PatternError::Wildcard),
            ("*.*.example", PatternError::Wildcard),
            ("***.example", PatternError::Wildcard),
            ("10.0.3.7", PatternError::Address),
            ("", PatternError::Host),
            (".", PatternError::Host),
            ("a..example", PatternError::Host),
            ("a b.example", PatternError::Host),
            ("dä.example", PatternError::Host),
            ("^a$", PatternError::Host),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
        for text in ["*.Example.org.", "**.example", "db_1.internal"] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text.to_ascii_lowercase().trim_end_matches('.'));
        }
    }
}
