//! Where a session looks unqualified names up, followed through its transactions.
//!
//! SET is undone by ROLLBACK, and SET LOCAL by COMMIT too. What cannot be followed, such as a path that was changed
//! before ROLLBACK TO SAVEPOINT, is not known, and then neither is any statement that looks a name up.
//! <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH>

use std::sync::Arc;

/// Most schemas of one search path.
pub const SCHEMAS_MAX: usize = 64;

/// Longest name of a schema in bytes, as the server has it (`NAMEDATALEN`).
const NAME_MAX: usize = 63;

/// The schema of the server's own objects, which is looked in first unless a path says otherwise.
pub(super) const SERVER: &str = "pg_catalog";
/// What stands in a path for the schema that is named like the user.
pub(super) const USER: &str = "$user";
/// What stands in a path for the session's temporary schema.
const TEMPORARY: &str = "pg_temp";

/// Schemas in order, as SET wrote them; `None`: the default of the role and the database.
pub type Path = Option<Arc<[String]>>;

/// What SET, RESET or `set_config` does to the search path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathChange {
    /// `None`: back to where the session began.
    pub path: Path,
    /// Until the transaction ends.
    pub is_local: bool,
}

/// The path of a list of names, if its meaning can be followed.
pub fn path_of(names: &[String]) -> Option<Arc<[String]>> {
    // The empty name stands for no schema at all.
    let names: Vec<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    let is_followed = names.len() <= SCHEMAS_MAX
        && names.iter().all(|name| name.len() <= NAME_MAX && !name.starts_with("pg_temp_"))
        // New objects would go to the server's own schema, or be temporary without saying so.
        && names.first().is_none_or(|first| first != TEMPORARY && (first != SERVER || names.len() == 1));
    is_followed.then(|| names.into())
}

/// The path that a text stands for, as `set_config` and startup parameters have it: names between commas, those
/// without quotes in any case.
pub fn path_in(text: &str) -> Option<Arc<[String]>> {
    if text.trim().is_empty() {
        return path_of(&[]);
    }
    let names: Option<Vec<String>> = text.split(',').map(|part| name_in(part.trim())).collect();
    path_of(&names?)
}

fn name_in(part: &str) -> Option<String> {
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
    };
    match part.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|name| name.is_empty() || is_plain(name)).map(str::to_owned),
        None => is_plain(part).then(|| part.to_ascii_lowercase()),
    }
}

/// One session's search path.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchPath {
    start: Path,
    now: Known,
    /// What it becomes when the transaction is committed, and when it is rolled back.
    on_commit: Known,
    on_rollback: Known,
    /// Whether this transaction has changed it.
    is_changed: bool,
    /// Whether something is under way that may change it.
    is_pending: bool,
}

/// A path, or nothing where it could not be followed.
type Known = Option<Path>;

impl Default for SearchPath {
    fn default() -> Self {
        Self::starting(None)
    }
}

impl SearchPath {
    /// Of a session that begins with `start`.
    pub fn starting(start: Path) -> Self {
        let known = Some(start.clone());
        Self {
            start,
            now: known.clone(),
            on_commit: known.clone(),
            on_rollback: known,
            is_changed: false,
            is_pending: false,
        }
    }

    /// The path; the outer `None`: it is not known.
    pub fn now(&self) -> Option<&Path> {
        self.now.as_ref().filter(|_| !self.is_pending)
    }

    /// Says whether something was sent that may change it, of which the server has not said what became of it.
    pub fn pend(&mut self, is_pending: bool) {
        self.is_pending = is_pending;
    }

    /// Whether the end of the transaction that is under way may change it.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    pub(super) fn change(&mut self, change: &PathChange) {
        let path = Some(change.path.clone().or_else(|| self.start.clone()));
        if !change.is_local {
            self.on_commit = path.clone();
        }
        self.now = path;
        self.is_changed = true;
    }

    /// RESET ALL, DISCARD ALL.
    pub(super) fn reset(&mut self) {
        self.change(&PathChange { path: None, is_local: false });
    }

    /// COMMIT, or the end of a transaction that nobody began by hand.
    pub fn commit(&mut self) {
        self.now = self.on_commit.clone();
        self.on_rollback = self.on_commit.clone();
        self.is_changed = false;
    }

    pub(super) fn roll_back(&mut self) {
        self.on_commit = self.on_rollback.clone();
        self.commit();
    }

    /// ROLLBACK TO SAVEPOINT: what it was at the savepoint is not remembered.
    pub(super) fn roll_back_to(&mut self) {
        if self.is_changed {
            self.now = None;
            self.on_commit = None;
        }
    }

    /// The transaction failed: nothing of it can be committed.
    pub fn fail(&mut self) {
        self.on_commit = self.on_rollback.clone();
        self.now = self.on_rollback.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &mut SearchPath, schema: &str, is_local: bool) {
        path.change(&PathChange { path: path_in(schema), is_local });
    }

    fn shown(path: &SearchPath) -> String {
        match path.now() {
            None => "?".to_owned(),
            Some(None) => "default".to_owned(),
            Some(Some(names)) => names.join(","),
        }
    }

    #[test]
    fn a_transaction_decides_what_lasts() {
        let mut path = SearchPath::default();
        set(&mut path, "a", false);
        set(&mut path, "b", true);
        assert_eq!(shown(&path), "b");
        path.commit();
        assert_eq!(shown(&path), "a");
        set(&mut path, "b", false);
        path.roll_back();
        assert_eq!(shown(&path), "a");
        path.reset();
        path.commit();
        assert_eq!(shown(&path), "default");
    }

    #[test]
    fn a_failed_transaction_commits_nothing() {
        let mut path = SearchPath::starting(path_in("a"));
        set(&mut path, "b", false);
        path.fail();
        path.commit();
        assert_eq!(shown(&path), "a");
    }

    #[test]
    fn what_a_savepoint_brings_back_is_not_known_until_the_path_is_set_anew() {
        let mut path = SearchPath::default();
        path.roll_back_to();
        assert_eq!(shown(&path), "default");
        set(&mut path, "b", false);
        path.fail();
        path.roll_back_to();
        path.commit();
        assert_eq!(shown(&path), "?");
        set(&mut path, "c", false);
        path.commit();
        assert_eq!(shown(&path), "c");
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        let names = |text| path_in(text).map(|names| names.join("|"));
        assert_eq!(names("\"$user\", Public").as_deref(), Some("$user|public"));
        assert_eq!(names("").as_deref(), Some(""));
        assert_eq!(names("\"\"").as_deref(), Some(""));
        assert_eq!(names("\"Mixed\",b").as_deref(), Some("Mixed|b"));
        for text in ["a b", "\"a", "a\"b", "\"a\"\"b\"", "a,", "pg_temp, public", "pg_catalog, public", "pg_temp_3"] {
            assert_eq!(names(text), None, "{text}");
        }
    }
}
