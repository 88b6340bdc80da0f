//! Bodies, and the SQL that they hold; libpg_query's own parser must not find any that this one does not.

use super::*;

fn pieces(body: &str) -> Vec<Piece> {
    parse(body, "", &["found"]).unwrap_or_else(|reason| panic!("{body}: {reason}")).pieces
}

fn value(expression: &str, into: &[&str]) -> Piece {
    Piece::Value { expression: expression.to_owned(), into: into.iter().map(|&name| name.to_owned()).collect() }
}

fn statement(text: &str, into: &[&str]) -> Piece {
    Piece::Statement { text: text.to_owned(), into: into.iter().map(|&name| name.to_owned()).collect() }
}

fn condition(text: &str) -> Piece {
    Piece::Condition(text.to_owned())
}

#[test]
fn into_is_taken_out_wherever_it_stands_and_left_where_it_belongs() {
    for (body, text, into) in [
        ("SELECT a INTO x FROM t", "SELECT a FROM t", &["x"][..]),
        ("SELECT INTO STRICT x, y a, b FROM t", "SELECT a, b FROM t", &["x", "y"]),
        ("SELECT a FROM t INTO x", "SELECT a FROM t ", &["x"]),
        ("INSERT INTO t VALUES (1) RETURNING a INTO x", "INSERT INTO t VALUES (1) RETURNING a ", &["x"]),
        ("INSERT INTO t SELECT 1", "INSERT INTO t SELECT 1", &[]),
        (
            "WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a INTO y FROM w",
            "WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM w",
            &["y"],
        ),
        (
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING",
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING",
            &[],
        ),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER v INTO public", "IMPORT FOREIGN SCHEMA s FROM SERVER v INTO public", &[]),
        ("SELECT 'a;b', \"INTO\" -- ; INTO x\n FROM t", "SELECT 'a;b', \"INTO\" -- ; INTO x\n FROM t", &[]),
    ] {
        let found = pieces(&format!("DECLARE x int; y int; BEGIN {body}; END"));
        assert_eq!(found.last(), Some(&statement(text, into)), "{body}");
    }
}

#[test]
fn every_kind_of_statement_gives_its_sql() {
    let found = pieces(
        "<<b>> DECLARE x int NOT NULL := f(1); r record; BEGIN
           IF a THEN x := 1; ELSIF b THEN NULL; ELSE b.x = 2; END IF;
           CASE x WHEN 1, 2 THEN NULL; END CASE;
           WHILE c LOOP CONTINUE WHEN d; END LOOP;
           FOR i IN REVERSE 1..f(2) BY 3 LOOP EXIT b; END LOOP;
           FOR r IN SELECT 1 LOOP NULL; END LOOP;
           PERFORM g(x);
           EXECUTE 'SELECT $1' INTO x USING 7, 8;
           RAISE WARNING 'a % %', x, h(1) USING HINT = 'i', DETAIL = j;
           RETURN QUERY SELECT k;
           RETURN l;
         EXCEPTION WHEN division_by_zero OR SQLSTATE '22012' THEN GET STACKED DIAGNOSTICS x = ROW_COUNT;
         END b;",
    );
    let expected = [
        Piece::Type(Some("int".to_owned())),
        value("f(1)", &["x"]),
        Piece::Type(Some("record".to_owned())),
        condition("a"),
        Piece::Assignment { text: "x := 1".to_owned(), target: "x".to_owned() },
        condition("b"),
        Piece::Assignment { text: "b.x = 2".to_owned(), target: "x".to_owned() },
        condition("x"),
        condition("NULL IN (1, 2)"),
        condition("c"),
        condition("d"),
        condition("1"),
        condition("f(2)"),
        condition("3"),
        statement("SELECT 1", &["r"]),
        statement("SELECT g(x)", &[]),
        Piece::Dynamic {
            expression: "'SELECT $1'".to_owned(),
            using: vec!["7".to_owned(), "8".to_owned()],
            into: vec!["x".to_owned()],
        },
        Piece::Said("x".to_owned()),
        Piece::Said("h(1)".to_owned()),
        Piece::Said("'i'".to_owned()),
        Piece::Said("j".to_owned()),
        Piece::ReturnedQuery("SELECT k".to_owned()),
        Piece::Returned("l".to_owned()),
        Piece::Diagnostics(vec!["x".to_owned()]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_certain_is_not_read() {
    for body in [
        "",
        "BEGIN NULL; END; DROP TABLE t",
        "BEGIN SELECT 1",
        "BEGIN x := 1; END",
        "BEGIN SELECT 1 INTO x; END",
        "DECLARE x int; BEGIN SELECT 1 INTO x INTO x; END",
        "DECLARE x int; BEGIN SELECT t.insert INTO x FROM t; END",
        "DECLARE x int; y ALIAS FOR x; BEGIN NULL; END",
        "DECLARE next int; BEGIN RETURN next; END",
        "BEGIN CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); END",
        "BEGIN IF a THEN NULL; END; END",
        "BEGIN PERFORM f(1; DROP TABLE t; END",
        "BEGIN $1 := 2; END",
        "BEGIN PERFORM 'open; END",
    ] {
        assert!(parse(body, "", &[]).is_err(), "{body}");
    }
    let deep = format!("{}NULL;{}", "BEGIN ".repeat(BLOCK_DEPTH_MAX + 1), "END;".repeat(BLOCK_DEPTH_MAX + 1));
    assert_eq!(parse(&deep, "", &[]).err(), Some(Misread::Deep));
    let long = format!("BEGIN {} END", "PERFORM 1;".repeat(PIECES_MAX + 1));
    assert_eq!(parse(&long, "", &[]).err(), Some(Misread::Long));
}

/// Every piece of SQL that libpg_query's tree of PL/pgSQL holds. What it makes up itself is left out.
fn queries(tree: &serde_json::Value, found: &mut Vec<String>) {
    match tree {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("argquery", _) => {}
                    ("query", serde_json::Value::String(query)) if !query.starts_with("\"__Case__") => {
                        found.push(query.clone());
                    }
                    _ => queries(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

fn without_space(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[test]
fn no_sql_is_lost_that_another_parser_finds() {
    let mut compared = 0;
    for text in include_str!("../corpus/code.sql").split("\n\n") {
        let Some(body) = text.trim().strip_prefix("DO $$").and_then(|text| text.split("$$").next()) else { continue };
        let (Ok(code), Ok(tree)) = (parse(body, "", &["found"]), pg_query::parse_plpgsql(&format!("DO $${body}$$")))
        else {
            continue;
        };
        let ours = without_space(&format!("{:?}", code.pieces)).replace("\\\"", "\"").replace("\\n", "");
        let mut theirs = Vec::new();
        queries(&tree, &mut theirs);
        for query in theirs {
            assert!(ours.contains(&without_space(&query)), "{query} is not among {:?}", code.pieces);
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} pieces were compared");
}
