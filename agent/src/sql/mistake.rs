//! Text that the server cannot parse either, so that it is a mistake of whoever wrote it, and no statement.

use super::scan::Unreadable;

/// The release of PostgreSQL whose grammar reads statements here.
pub const GRAMMAR: u32 = 18;

/// The first release of the server in which a number that runs into a word is an error.
const JUNK_REFUSED: u32 = 15;

/// Words that an older release reads otherwise: names of columns, labels or functions there, keywords here, or the
/// other way round. What differs in `pg_get_keywords()` and is not the same wherever a name may stand.
const CHANGED: [&str; 14] = [
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "merge_action",
    "recheck",
    "system_user",
];

/// Where the parser gave up for want of room, and the server may have more of it.
const EXHAUSTED: [&str; 3] = ["stack depth limit exceeded", "memory exhausted", "out of memory"];

/// `syntax_error`. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const SYNTAX_ERROR: &str = "42601";
/// `character_not_in_repertoire`.
const NOT_IN_ENCODING: &str = "22021";

/// Why the server itself would refuse a text before it looked anything up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// What the server would say it with.
    pub sqlstate: &'static str,
    pub message: String,
}

impl Mistake {
    /// Of a text that never comes to the parser; `None`: only the gate refuses it.
    pub(super) fn unreadable(reason: Unreadable) -> Option<Self> {
        match reason {
            Unreadable::NotUtf8(_) => Some(Self { sqlstate: NOT_IN_ENCODING, message: reason.to_string() }),
            Unreadable::TooLong(_) | Unreadable::Nul(_) | Unreadable::CommentDepth | Unreadable::OperatorRun => None,
        }
    }

    /// Of a text that the parser refuses; `None`: a server of this release may understand it.
    pub(super) fn unparsed(reason: &pg_query::Error, text: &str, release: Option<u32>) -> Option<Self> {
        let pg_query::Error::Parse(message) = reason else { return None };
        let release = release.filter(|&release| release <= GRAMMAR)?;
        let is_refused = release == GRAMMAR || !reads_otherwise(text, message, release);
        let has_room = !EXHAUSTED.iter().any(|exhausted| message.contains(exhausted));
        (is_refused && has_room).then(|| Self { sqlstate: SYNTAX_ERROR, message: message.clone() })
    }
}

/// Whether an older release may find sense in what this grammar refuses.
fn reads_otherwise(text: &str, message: &str, release: u32) -> bool {
    let is_word = |byte: char| byte.is_alphanumeric() || byte == '_';
    let mut words = text.split(|byte| !is_word(byte));
    (release < JUNK_REFUSED && message.contains("trailing junk"))
        || words.any(|word| CHANGED.iter().any(|changed| changed.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlstate(text: &str, release: Option<u32>) -> Option<&'static str> {
        let reason = pg_query::parse(text, 0).err().unwrap();
        Mistake::unparsed(&reason, text, release).map(|mistake| mistake.sqlstate)
    }

    #[test]
    fn the_grammar_is_of_the_release_that_it_is_said_to_be() {
        let version = pg_query::parse("SELECT 1", 0).unwrap().protobuf.version;
        assert_eq!(u32::try_from(version).unwrap() / 10_000, GRAMMAR);
    }

    #[test]
    fn a_mistake_is_one_on_every_release_that_is_known() {
        for text in ["selekt 1", "SELECT FROM WHERE", "SELECT 'open", "SELECT 1 LIMIT 1, 2", "/* open"] {
            for release in 14..=GRAMMAR {
                assert_eq!(sqlstate(text, Some(release)), Some(SYNTAX_ERROR), "{text} on {release}");
            }
            assert_eq!(sqlstate(text, Some(GRAMMAR + 1)), None, "{text}");
            assert_eq!(sqlstate(text, None), None, "{text}");
        }
    }

    #[test]
    fn what_an_older_release_may_understand_is_no_mistake_there() {
        for (text, last) in [("SELECT 1a", 14), ("SELECT System_User.x FROM system_user", 17)] {
            assert_eq!(sqlstate(text, Some(last)), None, "{text}");
            assert_eq!(sqlstate(text, Some(last + 1)), Some(SYNTAX_ERROR), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_only_too_deep_is_no_mistake() {
        let text = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(sqlstate(&text, Some(GRAMMAR)), None);
        assert_eq!(Mistake::unreadable(Unreadable::CommentDepth), None);
        assert_eq!(Mistake::unreadable(Unreadable::NotUtf8(3)).unwrap().sqlstate, NOT_IN_ENCODING);
    }
}
