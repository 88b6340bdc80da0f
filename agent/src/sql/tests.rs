//! The corpus: every statement with what it touches and what flows out of it, as reviewed text.

use std::{collections::BTreeSet, fmt::Write as _};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    request::sql::{self, Resource},
    target::Class,
};

/// A small shop, with classified columns.
fn shop() -> Catalogue {
    let table = |schema: &str, name: &str, columns: &[(&str, &str)]| {
        let columns = columns.iter().map(|&(column, class)| {
            let classes = (!class.is_empty()).then(|| Class::from(class)).into_iter().collect();
            (column.to_owned(), classes)
        });
        (schema.to_owned(), name.to_owned(), columns.collect::<Vec<_>>())
    };
    let mut catalogue = Catalogue::from_tables(
        "shop",
        &["pg_catalog", "public"],
        [
            table(
                "public",
                "customers",
                &[("id", ""), ("name", ""), ("email", "email"), ("ssn", "ssn"), ("card", "credit_card")],
            ),
            table("public", "orders", &[("id", ""), ("customer_id", ""), ("total", ""), ("note", "")]),
            table("public", "products", &[("id", ""), ("name", ""), ("price", "")]),
            table("public", "Weird Table", &[("The Column", "pii"), ("id", "")]),
            table("audit", "log", &[("id", ""), ("at", ""), ("message", "")]),
            table("pg_catalog", "pg_class", &[("oid", ""), ("relname", ""), ("relkind", "")]),
            table("pg_catalog", "pg_settings", &[("name", ""), ("setting", "")]),
            table("pg_catalog", "pg_stats", &[("tablename", ""), ("most_common_vals", "")]),
        ],
    );
    for (name, schema) in
        [("audit_note", "public"), ("lower", "public"), ("similarity", "public"), ("digest", "crypto")]
    {
        catalogue.functions.entry(name.to_owned()).or_default().insert(schema.to_owned());
    }
    for (schema, name) in [("public", "similarity"), ("crypto", "digest")] {
        catalogue.pure.insert((schema.to_owned(), name.to_owned()));
    }
    let audit_note = BTreeSet::from([("public".to_owned(), "audit_note".to_owned())]);
    catalogue.operators.insert("<~>".to_owned(), audit_note.clone());
    catalogue.casts.insert("loud".to_owned(), audit_note);
    for (name, signature, rest) in ROUTINES {
        catalogue.functions.entry(name.to_owned()).or_default().insert("public".to_owned());
        let definition = format!("CREATE OR REPLACE FUNCTION public.{name}{signature} {rest}");
        catalogue.routines.entry(("public".to_owned(), name.to_owned())).or_default().push(definition);
    }
    catalogue
}

/// Functions of the shop: name, parameters and result, body.
const ROUTINES: [(&str, &str, &str); 16] = [
    ("add_one", "(n integer) RETURNS integer", "LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + 1 $$"),
    (
        "spent",
        "(who integer) RETURNS numeric",
        "LANGUAGE sql AS $$ SELECT sum(total) FROM orders WHERE customer_id = who $$",
    ),
    ("atomic", "() RETURNS text", "LANGUAGE sql BEGIN ATOMIC SELECT customers.name FROM customers; END"),
    ("peek", "(who integer) RETURNS text", "LANGUAGE sql AS $$ SELECT ssn FROM customers WHERE id = $1 $$"),
    ("by_email", "(text) RETURNS integer", "LANGUAGE sql AS $$ SELECT id FROM customers WHERE email = $1 $$"),
    ("overloaded", "(n integer) RETURNS integer", "LANGUAGE sql AS $$ SELECT $1 $$"),
    ("overloaded", "(n text) RETURNS text", "LANGUAGE sql AS $$ SELECT ssn FROM customers WHERE name = n $$"),
    (
        "stamp",
        "(note text) RETURNS void",
        "LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit.log (message) VALUES (note); END $$",
    ),
    (
        "purge",
        "() RETURNS integer",
        "LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN DELETE FROM orders; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$",
    ),
    (
        "tell",
        "(guess text) RETURNS boolean",
        "LANGUAGE plpgsql AS $$ BEGIN IF guess LIKE '1%' THEN RETURN true; END IF; RETURN false; END $$",
    ),
    ("any_text", "(query text) RETURNS void", "LANGUAGE plpgsql AS $$ BEGIN EXECUTE query; END $$"),
    ("again", "(n integer) RETURNS integer", "LANGUAGE sql AS $$ SELECT again($1 - 1) $$"),
    ("elsewhere", "() RETURNS SETOF text", "LANGUAGE sql SET search_path TO 'audit' AS $$ SELECT message FROM log $$"),
    ("as_role", "() RETURNS integer", "LANGUAGE sql SET role TO 'admin' AS $$ SELECT 1 $$"),
    (
        "outs",
        "(who integer, OUT a text, OUT b integer)",
        "LANGUAGE plpgsql AS $$ BEGIN SELECT ssn, 1 INTO a, b FROM customers WHERE id = outs.who; END $$",
    ),
    (
        "keeps_rows",
        "() RETURNS trigger",
        "LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit.log (message) VALUES (NEW::text); RETURN NEW; END $$",
    ),
];

fn classifier() -> Classifier {
    Classifier::new(shop())
}

fn classify(classifier: &Classifier, text: &str) -> std::sync::Arc<Classified> {
    classifier.classify(&Bytes::copy_from_slice(text.as_bytes()), &SessionState::default())
}

/// What a text turned out to be, for people to review.
fn report(classifier: &Classifier, text: &str, state: &SessionState) -> String {
    let classified = classifier.classify(&Bytes::copy_from_slice(text.as_bytes()), state);
    let mut out = String::new();
    for access in classified.footprint.sql() {
        write!(out, "  {:?} {}", access.operation, access.resource).unwrap();
        if let Resource::Table(table) = &access.resource {
            let columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
            write!(out, "({})", columns.join(", ")).unwrap();
            if !table.read_classes.is_empty() {
                let classes: Vec<String> = table.read_classes.iter().map(Class::to_string).collect();
                write!(out, " reads {}", classes.join("+")).unwrap();
            }
        }
        write!(out, " [{}", access.facts.verb).unwrap();
        for (fact, name) in [(access.facts.has_where, " where"), (access.facts.has_limit, " limit")] {
            out.push_str(if fact { name } else { "" });
        }
        out.push_str("]\n");
    }
    for predicate in &classified.footprint.predicates {
        writeln!(out, "  % {predicate}").unwrap();
    }
    for caveat in &classified.footprint.caveats {
        writeln!(out, "  ! {caveat}").unwrap();
    }
    for statement in &classified.statements {
        writeln!(out, "  = {}", flows(classifier, statement)).unwrap();
    }
    out
}

fn flows(classifier: &Classifier, statement: &Statement) -> String {
    let name = |column: &ColumnRef| {
        let relation = &classifier.catalogue().relations[&column.relation];
        let column = relation.columns.iter().find(|known| known.number == column.column).unwrap();
        format!("{}.{}", relation.name, column.name)
    };
    let mut out = statement.verb.to_owned();
    match &statement.outputs {
        _ if !statement.returns_rows && statement.kind != StatementKind::CopyOut => out.push_str(" silent"),
        Some(outputs) => {
            let columns = outputs.iter().map(|output| {
                let mut parts: Vec<String> = output.columns.iter().map(name).collect();
                parts.extend(output.opaque.then(|| "?".to_owned()));
                let computed = if output.computed && !parts.is_empty() { "~" } else { "" };
                format!("{computed}{}", parts.join("+"))
            });
            write!(out, " ({})", columns.collect::<Vec<_>>().join(", ")).unwrap();
        }
        None => {
            let mut parts: Vec<String> = statement.flows.iter().map(name).collect();
            parts.extend(statement.opaque_flow.then(|| "?".to_owned()));
            write!(out, " any of ({})", parts.join("+")).unwrap();
        }
    }
    if statement.sink {
        let classes: Vec<String> = statement.stored_classes.iter().map(Class::to_string).collect();
        write!(out, " stores {}{}", classes.join("+"), if statement.stored_opaque { "+?" } else { "" }).unwrap();
    }
    out
}

/// The texts of a corpus file, which blank lines set apart.
fn texts(corpus: &str) -> impl Iterator<Item = &str> {
    corpus.split("\n\n").map(str::trim).filter(|text| !text.is_empty())
}

fn reviewed(name: &str, corpus: &str) {
    let classifier = classifier();
    let mut out = String::new();
    for text in texts(corpus) {
        write!(out, "{text}\n{}\n", report(&classifier, text, &SessionState::default())).unwrap();
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, out);
    });
}

const CORPUS: [(&str, &str); 10] = [
    ("queries", include_str!("corpus/queries.sql")),
    ("flows", include_str!("corpus/flows.sql")),
    ("writes", include_str!("corpus/writes.sql")),
    ("utility", include_str!("corpus/utility.sql")),
    ("definitions", include_str!("corpus/definitions.sql")),
    ("tricks", include_str!("corpus/tricks.sql")),
    ("predicates", include_str!("corpus/predicates.sql")),
    ("persisted", include_str!("corpus/persisted.sql")),
    ("code", include_str!("corpus/code.sql")),
    ("bodies", include_str!("corpus/bodies.sql")),
];

#[test]
fn the_corpus_is_as_reviewed() {
    for (name, corpus) in CORPUS {
        reviewed(name, corpus);
    }
}

#[test]
fn the_cache_never_changes_an_answer() {
    let classifier = classifier();
    let state = SessionState::default();
    for (_, corpus) in CORPUS {
        for text in texts(corpus) {
            let fresh = classifier.classify_afresh(text.as_bytes(), &state);
            assert_eq!(*classify(&classifier, text), fresh, "first: {text}");
            assert_eq!(*classify(&classifier, text), fresh, "again: {text}");
        }
    }
    for number in ["1", "2", "999999999", "1234567890", "1.5", "0x1f", "1e5"] {
        for text in [
            format!("SELECT name FROM customers WHERE id = {number}"),
            format!("SELECT name, ssn FROM customers ORDER BY {number}"),
            format!("SELECT count(1) FROM orders GROUP BY ROLLUP ({number})"),
            format!("SET standard_conforming_strings = {number}"),
            format!("SET row_security = {number}; SELECT {number}"),
            format!("SELECT {number}; DROP TABLE orders"),
        ] {
            let fresh = classifier.classify_afresh(text.as_bytes(), &state);
            assert_eq!(*classify(&classifier, &text), fresh, "{text}");
        }
    }
}

#[test]
fn a_temporary_table_never_hides_behind_the_cache() {
    let classifier = classifier();
    let text = "SELECT ssn FROM customers";
    let before = report(&classifier, text, &SessionState::default());
    let mut state = SessionState::default();
    let created = classify(&classifier, "CREATE TEMP TABLE customers (ssn text)");
    created.statements.iter().for_each(|statement| state.apply(statement));

    let shadowed = report(&classifier, text, &state);
    assert!(shadowed.contains("pg_temp.customers") && shadowed.contains("public.customers"), "{shadowed}");
    assert!(shadowed.contains('?'), "what it holds is not known: {shadowed}");
    assert_eq!(report(&classifier, text, &SessionState::default()), before);
}

#[test]
fn an_extensions_overload_of_a_server_function_that_only_computes_is_no_access() {
    let mut catalogue = shop();
    for name in ["replace", "pg_read_file"] {
        catalogue.functions.entry(name.to_owned()).or_default().insert("public".to_owned());
        catalogue.pure.insert(("public".to_owned(), name.to_owned()));
    }
    let classifier = Classifier::new(catalogue);
    let called = |text: &str| {
        let classified = classify(&classifier, text);
        let accesses = classified.footprint.sql().map(|access| access.resource.to_string());
        (accesses.collect::<Vec<_>>(), classified.statements[0].opaque_flow)
    };
    assert_eq!(called("SELECT replace('a', 'b', 'c')"), (vec!["shop/pg_catalog.replace()".to_owned()], false));
    assert_eq!(called("SELECT public.replace('a', 'b', 'c')"), (vec!["shop/public.replace()".to_owned()], false));
    // What is not known to compute only stays an access, whichever of the two is meant.
    let (accesses, _) = called("SELECT lower('A')");
    assert_eq!(accesses.len(), 2, "{accesses:?}");
    assert!(called("SELECT pg_read_file('x')").1);
}

#[test]
fn names_are_resumed_with_what_they_stand_for() {
    let classifier = classifier();
    let mut state = SessionState::default();
    let run = |text: &str, state: &mut SessionState| {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let classified = classifier.classify(&text, state);
        classified.statements.iter().for_each(|statement| state.apply(statement));
        classified
    };
    run("PREPARE p (int) AS SELECT ssn FROM customers WHERE id = $1", &mut state);
    let executed = run("EXECUTE p (1)", &mut state);
    assert_eq!(executed.statements[0].flow_classes, [Class::from("ssn")].into());
    assert!(
        matches!(&executed.footprint.accesses[..], [access] if access.resource().to_string() == "shop/public.customers")
    );

    run("BEGIN; DECLARE c CURSOR FOR SELECT email FROM customers", &mut state);
    assert_eq!(run("FETCH 5 FROM c", &mut state).statements[0].flow_classes, [Class::from("email")].into());
    run("CLOSE c; DEALLOCATE ALL", &mut state);
    for text in ["FETCH c", "EXECUTE p (1)"] {
        assert!(is_unknown(&run(text, &mut state)), "{text}");
    }
}

#[test]
fn a_temporary_table_holds_what_was_put_into_it_and_nothing_else() {
    let classifier = classifier();
    let mut state = SessionState::default();
    let mut run = |text: &str| {
        let classified = classifier.classify(&Bytes::copy_from_slice(text.as_bytes()), &state);
        classified.statements.iter().for_each(|statement| state.apply(statement));
        classified
    };
    let output = |classified: &Classified| classified.statements.last().unwrap().outputs.clone().unwrap();

    run("CREATE TEMP TABLE t (a int, b text)");
    run("CREATE TEMP TABLE u AS SELECT id, name AS n FROM customers");
    run("INSERT INTO t VALUES (1, 'x')");
    let clean = run("SELECT b, * FROM t WHERE a = 1");
    assert_eq!(output(&clean).len(), 3);
    assert!(output(&clean).iter().all(|output| output.is_temporary && !output.opaque && output.classes.is_empty()));
    assert_eq!(clean.footprint.predicates, BTreeSet::new());
    assert_eq!(output(&run("SELECT n FROM u"))[0].classes, BTreeSet::new());

    run("INSERT INTO t (b) SELECT ssn FROM customers");
    let tainted = run("SELECT a FROM t WHERE b LIKE '1%'");
    assert_eq!(output(&tainted)[0].classes, [Class::from("ssn")].into());
    assert_eq!(tainted.footprint.predicates.len(), 1);
    // What was dropped comes back with a rollback.
    run("DROP TABLE t; CREATE TEMP TABLE t (a int, b text)");
    assert_eq!(output(&run("SELECT a FROM t"))[0].classes, [Class::from("ssn")].into());

    run("SELECT audit_note('x')");
    assert!(output(&run("SELECT n FROM u"))[0].opaque, "a function of unknown body may have filled it");
    run("DISCARD TEMP");
    assert!(run("SELECT n FROM u").unknown_relations);
}

/// What a query of `t (a, b)` is once these were run in the transaction that makes it.
fn made_and(statements: &[&str]) -> std::sync::Arc<Classified> {
    let classifier = classifier();
    let mut state = SessionState::default();
    let mut run = |text: &str| {
        let classified = classifier.classify(&Bytes::copy_from_slice(text.as_bytes()), &state);
        classified.statements.iter().for_each(|statement| state.apply(statement));
        classified
    };
    run("BEGIN; CREATE TABLE t (a int PRIMARY KEY, b text)");
    statements.iter().for_each(|statement| drop(run(statement)));
    run("SELECT b, a FROM t WHERE a = 1 ORDER BY b")
}

/// Whether every column of the answer and every predicate is known to be of no class.
fn is_known_clean(classified: &Classified) -> bool {
    let outputs = classified.statements[0].outputs.as_deref().unwrap_or_default();
    let is_clean = |output: &Output| output.is_temporary && !output.opaque && output.classes.is_empty();
    outputs.len() == 2 && outputs.iter().all(is_clean) && classified.footprint.predicates.is_empty()
}

#[test]
fn a_table_is_known_to_the_transaction_that_makes_it() {
    for statements in [
        &[][..],
        &["INSERT INTO t VALUES (1, 'x')", "INSERT INTO public.t SELECT id, name FROM customers"],
        &[
            "CREATE INDEX ON t (b)",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
            "ALTER TABLE t ALTER b SET NOT NULL",
        ],
        &["CREATE TABLE u (a int REFERENCES t (a))", "COMMENT ON TABLE t IS 'x'", "GRANT SELECT ON t TO public"],
        &["SAVEPOINT s", "RELEASE s", "COPY t FROM STDIN", "UPDATE t SET b = 'y'"],
        &["ALTER TABLE orders ADD COLUMN more text", "CREATE SEQUENCE s", "CREATE TYPE e AS ENUM ('x')"],
        &["ALTER TABLE t ADD COLUMN c int"],
        &["ALTER TABLE t RENAME COLUMN b TO c"],
    ] {
        assert!(is_known_clean(&made_and(statements)), "{statements:?}: {:?}", made_and(statements));
    }
}

#[test]
fn a_table_holds_what_its_transaction_has_put_into_it() {
    let made = made_and(&["INSERT INTO t (b) SELECT ssn FROM customers"]);
    assert_eq!(made.statements[0].flow_classes, [Class::from("ssn")].into());
    assert_eq!(made.footprint.predicates.len(), 2);
}

#[test]
fn a_table_that_may_be_another_one_may_hold_anything() {
    for statement in [
        "DROP TABLE t",
        "ALTER TABLE customers RENAME TO c",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE orders INHERIT t",
        "CREATE TABLE u (c int) INHERITS (t)",
        "CREATE TABLE u (b text REFERENCES customers (name) ON UPDATE CASCADE)",
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION audit_note()",
        "CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1",
        "ROLLBACK TO s",
        "DO $$ begin end $$",
        "CALL audit_note('x')",
        "SELECT audit_note('x')",
        "COPY t FROM '/tmp/x'",
        "CREATE TABLE IF NOT EXISTS t (a int, b text)",
        "ALTER SCHEMA audit RENAME TO other",
    ] {
        assert!(!is_known_clean(&made_and(&[statement])), "{statement}");
    }
}

#[test]
fn what_a_view_of_a_transactions_own_table_shows_is_not_known() {
    for view in ["CREATE VIEW v AS SELECT b FROM t", "CREATE MATERIALIZED VIEW v AS SELECT b FROM t"] {
        let classifier = classifier();
        let text = format!("BEGIN; CREATE TABLE t (a int, b text); {view}; SELECT b FROM v");
        let classified = classifier.classify(&Bytes::from(text), &SessionState::default());
        assert!(classified.statements[3].opaque_flow, "{view}");
    }
    let text = "CREATE TEMP TABLE t (b text); CREATE VIEW v AS SELECT b FROM t; SELECT b FROM v";
    assert!(classify(&classifier(), text).statements[2].opaque_flow);
}

#[test]
fn a_table_of_a_schema_that_is_looked_in_first_is_the_one_that_is_meant() {
    let classifier = std::sync::Arc::new(classifier());
    let path: std::sync::Arc<[String]> = ["audit".to_owned(), "public".to_owned()].into();
    let mut state = SessionState::default();
    let made = classifier.under(&Some(path.clone()));
    let text = Bytes::from_static(b"CREATE TABLE orders (id int)");
    made.classify(&text, &state).statements.iter().for_each(|statement| state.apply(statement));
    let found = report(&made, "SELECT id FROM orders", &state);
    assert!(found.contains("audit.orders") && !found.contains("public.orders"), "{found}");
    assert!(report(&made, "SELECT id FROM orders", &SessionState::default()).contains("public.orders"));
}

#[test]
fn a_temporary_table_that_is_only_announced_may_hold_anything() {
    let classifier = classifier();
    let mut state = SessionState::default();
    let created = classify(&classifier, "CREATE TEMP TABLE t (a int)");
    created.statements.iter().for_each(|statement| state.announce(statement));
    let select = Bytes::from_static(b"SELECT a FROM t");
    assert!(classifier.classify(&select, &state).statements[0].opaque_flow);
    created.statements.iter().for_each(|statement| state.apply(statement));
    assert!(!classifier.classify(&select, &state).statements[0].opaque_flow);
}

fn is_unknown(classified: &Classified) -> bool {
    classified.footprint.sql().any(|access| access.operation == sql::Operation::Unknown)
}

#[test]
fn what_is_too_much_is_unknown() {
    let classifier = classifier();
    for text in [
        format!("SELECT 1{}", "+1".repeat(35_000)),
        format!("SELECT {}1{}", "(".repeat(9_000), ")".repeat(12_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(60), ")".repeat(60)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(5_000)),
        "SELECT 1;".repeat(STATEMENTS_MAX + 1),
        (0..300).map(|number| format!("SELECT f{number}();")).collect(),
        format!("SELECT {}", "customers, ".repeat(90_000)) + "1 FROM customers",
        "SELECT 1\0".to_owned(),
        " ".repeat(STATEMENT_BYTES_MAX + 1),
        format!("{}SELECT 1{}", "WITH RECURSIVE a AS (".repeat(18), ") SELECT * FROM a".repeat(18)),
    ] {
        let classified = classify(&classifier, &text);
        assert!(is_unknown(&classified), "{:.60} {:?}", text, classified.footprint.caveats);
        assert!(!classified.footprint.caveats.is_empty());
        assert!(classified.footprint.accesses.len() <= crate::request::ACCESSES_MAX + 1);
    }
}

#[test]
fn what_alter_table_computes_is_stored() {
    let classifier = classifier();
    for (text, stored) in [
        ("ALTER TABLE customers ALTER COLUMN name TYPE text USING ssn", Some("ssn")),
        ("ALTER TABLE customers ALTER name TYPE text USING upper(customers.email) || name", Some("email")),
        ("ALTER TABLE customers ADD COLUMN copy text GENERATED ALWAYS AS (ssn) STORED", Some("ssn")),
        ("ALTER TABLE customers ADD COLUMN copy text DEFAULT 'x' CHECK (copy <> '')", None),
        ("ALTER TABLE customers ALTER COLUMN ssn TYPE varchar(11) USING trim(ssn)", None),
        ("ALTER TABLE orders ALTER COLUMN note TYPE varchar(80) USING left(note, 80)", None),
    ] {
        let classified = classify(&classifier, text);
        let [statement] = classified.statements.as_slice() else { panic!("{text}") };
        let classes: Vec<_> = statement.stored_classes.iter().map(|class| class.0.as_ref()).collect();
        assert_eq!(classes, stored.into_iter().collect::<Vec<_>>(), "{text}");
        assert!(!is_unknown(&classified) && !statement.opaque_flow && statement.sink == stored.is_some(), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        classifier().classify(&text.into(), &SessionState::default());
    }

    /// Texts that mean something more often than not, cut and joined anywhere.
    #[test]
    fn arbitrary_statements_never_panic(
        pieces in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let all: Vec<&str> = CORPUS.iter().flat_map(|(_, corpus)| texts(corpus)).collect();
        let mut text = String::new();
        for (which, cut) in pieces {
            let words: Vec<&str> = which.get(&all).split_inclusive(' ').collect();
            text.extend(words.into_iter().take(cut.index(30) + 1));
        }
        let classifier = classifier();
        let first = classify(&classifier, &text);
        prop_assert_eq!(&*first, &classifier.classify_afresh(text.as_bytes(), &SessionState::default()));
    }
}
