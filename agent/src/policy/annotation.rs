//! Annotations: what the host adds to Cedar's rules.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    mask::Method,
    policy::{PREDICATES, Predicates, schema::Vocabulary},
    target::Class,
};

/// Every annotation that has an effect.
pub const ANNOTATIONS: [&str; 11] = [
    "id",
    "message",
    "description",
    "mask",
    "predicates",
    "approval",
    "approval_wait",
    "approval_valid",
    "limit_rows",
    "limit_bytes",
    "statement_timeout",
];

/// Annotations that other versions or proposals know; here they would be accepted without effect.
const UNSUPPORTED: [&str; 3] = ["alert", "record", "limit_rate"];

/// How long a request is held when the rule does not say.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Longest `@approval_wait`.
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest `@approval_valid`.
pub const VALID_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Most rows that `@limit_rows` can let through.
pub const LIMIT_ROWS_MAX: u64 = 1_000_000_000;

/// Most bytes that `@limit_bytes` can let through.
pub const LIMIT_BYTES_MAX: u64 = 1 << 40;

/// Longest `@statement_timeout`.
pub const STATEMENT_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest `@id`, in characters.
pub const ID_CHARS_MAX: usize = 64;

/// Masking methods by the names that `@mask` uses, from lenient to strict.
pub const METHODS: [(&str, Method); 6] = [
    ("last4", Method::Last4),
    ("partial", Method::Partial),
    ("pseudonym", Method::Pseudonym),
    ("hash", Method::Hash),
    ("redact", Method::Redact),
    ("null", Method::Null),
];

/// A mistake in one annotation's value, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    pub message: String,
    pub hint: String,
}

fn mistake(message: impl Into<String>, hint: impl Into<String>) -> Mistake {
    Mistake { message: message.into(), hint: hint.into() }
}

/// Explains a name that is no annotation; `None` for one that is.
pub fn unknown(name: &str) -> Option<Mistake> {
    if ANNOTATIONS.contains(&name) {
        return None;
    }
    if UNSUPPORTED.contains(&name) {
        return Some(mistake(
            format!("`@{name}` is not supported by this version: nothing would enforce it"),
            "remove it",
        ));
    }
    let hint = match nearest(name, ANNOTATIONS) {
        Some(known) => format!("did you mean `@{known}`?"),
        None => format!("annotations are {}", list(ANNOTATIONS)),
    };
    Some(mistake(format!("unknown annotation `@{name}`"), hint))
}

/// Lower-case letters, digits and `-`, `_`, `.`: an id stands in messages, tests and records.
pub fn id(value: &str) -> Result<(), Mistake> {
    let well_formed = value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if well_formed && !value.is_empty() && value.len() <= ID_CHARS_MAX {
        return Ok(());
    }
    Err(mistake(
        format!("`@id` is not a name: \"{value}\""),
        format!("use lower-case letters, digits, `-`, `_` and `.`, at most {ID_CHARS_MAX} characters"),
    ))
}

/// `class=method[,class=method]`.
pub fn masks(value: &str, vocabulary: &Vocabulary) -> Result<BTreeMap<Class, Method>, Mistake> {
    let mut masks = BTreeMap::new();
    for pair in value.split(',') {
        let Some((class, method)) = pair.split_once('=').map(|(class, method)| (class.trim(), method.trim())) else {
            return Err(mistake(
                format!("`@mask` expects class=method, not \"{}\"", pair.trim()),
                "for example `@mask(\"email=partial,ssn=last4\")`",
            ));
        };
        if !vocabulary.classes.contains(class) {
            let known = list(vocabulary.classes.iter().map(String::as_str));
            return Err(mistake(
                format!("`@mask` names the unknown data class `{class}`"),
                suggest(class, &vocabulary.classes, &known),
            ));
        }
        let Some((_, known)) = METHODS.iter().find(|(name, _)| *name == method) else {
            let names = METHODS.map(|(name, _)| name);
            return Err(mistake(
                format!("`@mask` names the unknown method `{method}`"),
                format!("methods from lenient to strict are {}", list(names)),
            ));
        };
        if masks.insert(Class::from(class), *known).is_some() {
            return Err(mistake(format!("`@mask` names `{class}` twice"), "keep one method for each class"));
        }
    }
    Ok(masks)
}

/// `terms`, or `class=terms[,class=terms]` for some of the classes that the rule masks.
pub fn predicates(value: &str, masks: &BTreeMap<Class, Method>) -> Result<BTreeMap<Class, Predicates>, Mistake> {
    let terms = |word: &str| {
        PREDICATES.iter().find(|(name, _)| *name == word).map(|(_, terms)| *terms).ok_or_else(|| {
            mistake(
                format!("`@predicates` expects allow, equality or refuse, not \"{word}\""),
                "for example `@predicates(\"equality\")` or `@predicates(\"email=equality,ssn=refuse\")`",
            )
        })
    };
    if !value.contains(['=', ',']) {
        let terms = terms(value.trim())?;
        return Ok(masks.keys().map(|class| (class.clone(), terms)).collect());
    }
    let mut known = BTreeMap::new();
    for pair in value.split(',') {
        let (class, word) = pair.split_once('=').unwrap_or((pair, ""));
        let class = Class::from(class.trim());
        if !masks.contains_key(&class) {
            return Err(mistake(
                format!("`@predicates` names `{class}`, which this rule does not mask"),
                format!("`@mask` names {}", list(masks.keys().map(|class| class.0.as_ref()))),
            ));
        }
        if known.insert(class.clone(), terms(word.trim())?).is_some() {
            return Err(mistake(format!("`@predicates` names `{class}` twice"), "keep one word for each class"));
        }
    }
    Ok(known)
}

/// `group[|group]`: a member of any one of them has to approve.
pub fn groups(value: &str, vocabulary: &Vocabulary) -> Result<Vec<Arc<str>>, Mistake> {
    let mut groups: Vec<Arc<str>> = Vec::new();
    for group in value.split('|').map(str::trim) {
        if !vocabulary.groups.contains(group) {
            let known = list(vocabulary.groups.iter().map(String::as_str));
            return Err(mistake(
                format!("`@approval` names the unknown group `{group}`"),
                suggest(group, &vocabulary.groups, &known),
            ));
        }
        if groups.iter().any(|known| **known == *group) {
            return Err(mistake(format!("`@approval` names `{group}` twice"), "two people are two rules"));
        }
        groups.push(group.into());
    }
    Ok(groups)
}

/// A count of rows, at least one.
pub fn rows(value: &str) -> Result<u64, Mistake> {
    let explain = |message| mistake(message, "for example \"1000\"");
    let rows = digits(value).ok_or_else(|| explain(format!("`@limit_rows` is not a number of rows: \"{value}\"")))?;
    if !(1..=LIMIT_ROWS_MAX).contains(&rows) {
        return Err(explain(format!("`@limit_rows` is out of range: \"{value}\" (1 to {LIMIT_ROWS_MAX})")));
    }
    Ok(rows)
}

/// `512KiB`, `16MiB`, `1GiB`, or `B` for bytes alone; at least one.
pub fn bytes(value: &str) -> Result<u64, Mistake> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let explain = |message| mistake(message, "for example \"512KiB\" or \"16MiB\"");
    let size = UNITS.iter().find_map(|(unit, factor)| digits(value.strip_suffix(unit)?)?.checked_mul(*factor));
    let size = size.ok_or_else(|| explain(format!("`@limit_bytes` is not a size: \"{value}\"")))?;
    if !(1..=LIMIT_BYTES_MAX).contains(&size) {
        return Err(explain(format!("`@limit_bytes` is out of range: \"{value}\" (1B to {LIMIT_BYTES_MAX}B)")));
    }
    Ok(size)
}

/// A number in plain digits: no sign, no space.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `90s`, `5m`, `1h30m`, `2d`; at least a second.
pub fn duration(name: &str, value: &str, max: Duration) -> Result<Duration, Mistake> {
    let explain = |message| mistake(message, "for example \"30s\", \"5m\", \"1h30m\" or \"2d\"");
    let total = seconds(value).ok_or_else(|| explain(format!("`@{name}` is not a duration: \"{value}\"")))?;
    let total = Duration::from_secs(total);
    if total.is_zero() || total > max {
        return Err(explain(format!("`@{name}` is out of range: \"{value}\" (1s to {}s)", max.as_secs())));
    }
    Ok(total)
}

fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = match tail.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty()).then_some(total)
}

fn suggest(word: &str, known: &std::collections::BTreeSet<String>, all: &str) -> String {
    match nearest(word, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? site.cedarschema lists {all}"),
        None => format!("site.cedarschema lists {all}"),
    }
}

/// The known word with the fewest edits, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|known| (edits(word, known), known)).min()?;
    (near.0 <= 2.max(word.len() / 4)).then_some(near.1)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
