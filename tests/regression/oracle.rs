//! What the server says that it did: the trees that it analysed, and the relations that it has locked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::server::{Message, Server};

/// Reading leaves this lock and no stronger one.
const READ_LOCK: &str = "AccessShareLock";

/// Everything that one text did, as the server saw it.
#[derive(Debug, Default)]
pub struct Observed {
    /// Relations that stand in the trees of the text's own statements, before views are expanded.
    pub named: BTreeMap<u32, Named>,
    /// Relations on which a lock was taken, and whether for more than reading.
    pub locked: BTreeMap<u32, Locked>,
    /// Names of relations that the transaction has locked, by this text or before.
    pub names: BTreeMap<u32, (String, String)>,
    /// How many statements were completed.
    pub completed: usize,
    pub error: Option<String>,
}

/// How a statement's own text uses a relation.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Whether rows are written or locked for writing.
    pub writes: bool,
    /// Attribute numbers that are read; zero is the whole row.
    pub columns: BTreeSet<i32>,
}

#[derive(Clone, Debug)]
pub struct Locked {
    pub name: Option<(String, String)>,
    pub writes: bool,
}

/// A notice that tells of a tree, or `None` when it is a notice for people.
///
/// `debug_print_parse` sends one for each statement as it is analysed. Those with a context are of functions, which a
/// text does not hold.
pub fn tree(notice: &Message) -> Option<String> {
    let is_tree = notice.tag == b'N' && notice.field(b'M').as_deref() == Some("parse tree:");
    is_tree.then(|| if notice.field(b'W').is_some() { String::new() } else { notice.field(b'D').unwrap_or_default() })
}

impl Observed {
    /// Notes the relations of one tree.
    ///
    /// Each range table entry of a relation reads `:rtekind 0 :relid N … :requiredPerms N … :selectedCols (b N …)`, as
    /// `outfuncs.c` of the server writes it up to release 15.
    pub fn read(&mut self, tree: &str) {
        const ENTRY: &str = ":rtekind 0 :relid ";
        /// `ACL_INSERT`, `ACL_UPDATE` and `ACL_DELETE` of `parsenodes.h`.
        const WRITES: u32 = 0b1101;
        /// What the server adds to attribute numbers, so that those of system columns are not negative.
        const SHIFT: i32 = 7;
        // The server breaks lines for terminals, at spaces.
        let tree = tree.replace('\n', " ");
        for entry in tree.split(ENTRY).skip(1) {
            // An entry of a system catalogue, as the server makes for its own purposes, has no number.
            let Some(oid) = word(entry).and_then(|word| word.parse().ok()) else { continue };
            let number = |key: &str| entry.split_once(key).and_then(|(_, rest)| word(rest)?.parse::<u32>().ok());
            let required = number(":requiredPerms ").unwrap_or_default();
            let named = self.named.entry(oid).or_default();
            named.writes |= required & WRITES != 0;
            let columns = entry.split_once(":selectedCols (b").and_then(|(_, rest)| rest.split_once(')'));
            let numbers = columns.map(|(numbers, _)| numbers.split_whitespace()).into_iter().flatten();
            named.columns.extend(numbers.filter_map(|number| Some(number.parse::<i32>().ok()? - SHIFT)));
        }
    }

    /// Notes the locks that the transaction holds.
    pub fn look(&mut self, server: &mut Server) -> Result<()> {
        const LOCKS: &str = "select l.relation, l.mode, coalesce(n.nspname::text, ''), coalesce(c.relname::text, ''), \
            coalesce(c.relkind, '?') from pg_catalog.pg_locks l \
            left join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) l.relation \
            left join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
            where l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid() \
            and l.locktype operator(pg_catalog.=) 'relation' \
            and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d \
                where d.datname operator(pg_catalog.=) pg_catalog.current_database())";
        for row in server.ask(LOCKS)? {
            let [oid, mode, schema, name, kind] = row.as_slice() else { continue };
            let Ok(oid) = oid.parse() else { continue };
            // Indexes and toast tables come with their tables; composite types hold no rows.
            if !matches!(kind.as_str(), "r" | "p" | "v" | "m" | "f" | "S" | "?") {
                continue;
            }
            let name = (!name.is_empty()).then(|| (schema.clone(), name.clone()));
            self.names.extend(name.clone().map(|name| (oid, name)));
            let locked = self.locked.entry(oid).or_insert(Locked { name, writes: false });
            locked.writes |= mode != READ_LOCK;
        }
        Ok(())
    }
}

fn word(text: &str) -> Option<&str> {
    text.split([' ', '}', ')']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_columns_and_writes_are_read_from_a_tree() {
        let tree = "{QUERY :rtable ({RTE :alias <> :rtekind 0 :relid 16385 :relkind r :requiredPerms 2\n\
            :selectedCols (b 8 9) :insertedCols (b)} {RTE :rtekind 1 :subquery {QUERY :rtable ({RTE :rtekind 0 :relid 77 \
            :requiredPerms 4 :selectedCols (b 7)})}})}";
        let mut observed = Observed::default();
        observed.read(tree);
        assert_eq!(observed.named[&16385].columns, [1, 2].into());
        assert!(!observed.named[&16385].writes && observed.named[&77].writes);
        assert_eq!(observed.named[&77].columns, [0].into());
    }
}
