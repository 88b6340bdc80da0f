//! Classes that comments give, and those that a scan proposes.

use super::*;

/// A shop whose columns nobody has classified.
fn unclassified() -> Result<Pair> {
    Pair::with(&Setup { classes: "", ..Setup::default() })
}

fn scan(pair: &Pair, more: &[&str]) -> Result<std::process::Output> {
    let configuration = pair.gate.configuration();
    let words = ["target", "scan", "shop", "--database", "shop", "--config"];
    let mut command = pair.gate.command(words);
    Ok(command.arg(configuration).args(more).output()?)
}

#[test]
fn a_comment_classifies_and_who_removes_it_does_not_unmask() -> Result<()> {
    let pair = unclassified()?;
    contains(&pair.psql("select name from customers where id = 1")?, "Ada Lovelace")?;
    pair.server.shop("comment on column customers.name is 'Who buys. @class(pii)'")?;
    // The next survey sees it; a definition in any session causes one.
    let reads = "create temporary table nudge (id int);\nselect name from customers where id = 1;";
    let mut shown = pair.psql(reads)?;
    for _ in 0..60 {
        if !shown.contains("Ada Lovelace") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        shown = pair.psql("select name from customers where id = 1")?;
    }
    lacks(&shown, "Ada Lovelace")?;
    pair.server.shop("comment on column customers.name is null")?;
    let view = "create view names as select name from customers; grant select on names to app";
    pair.server.shop(view)?;
    // A relation that the catalogue lacks has it read again, now without the comment.
    lacks(&pair.psql("select name from names;\nselect name from customers;")?, "Ada Lovelace")
}

#[test]
fn a_class_that_no_rule_knows_is_refused_and_told() -> Result<()> {
    let pair = unclassified()?;
    pair.server
        .shop("comment on column customers.city is '@class(whereabouts)'; comment on table orders is '@class'")?;
    contains(&pair.psql("select city from customers")?, "whereabouts")?;
    contains(&pair.psql("select item from orders")?, "42501")?;
    let output = scan(&pair, &[])?;
    assert_eq!(output.status.code(), Some(1));
    contains(&said(&output), "`whereabouts`, which `site.cedarschema` does not list")?;
    contains(&said(&output), "write `@class(email)`")
}

#[test]
fn a_scan_proposes_classes_and_shows_no_value() -> Result<()> {
    let pair = unclassified()?;
    let file = pair.gate.place().join("proposal.toml");
    let path = file.to_string_lossy().into_owned();
    let output = scan(&pair, &["--write", &path])?;
    assert!(output.status.success(), "{}", said(&output));
    let proposal = std::fs::read_to_string(&file)?;
    for line in [
        r#""public.customers.email" = "email""#,
        r#""public.customers.ssn" = "ssn""#,
        r#""public.customers.card" = "credit_card""#,
    ] {
        contains(&proposal, line)?;
    }
    for value in ["ada", "Lovelace", "536-90", "4111", "London"] {
        lacks(&format!("{proposal}{}", said(&output)), value)?;
    }
    contains(&said(&output), "public.salaries could not be read: 42501")?;
    assert!(!scan(&pair, &["--write", &path])?.status.success(), "a file that exists is not overwritten");
    let json: serde_json::Value = serde_json::from_slice(&scan(&pair, &["--json"])?.stdout)?;
    contains(&json.to_string(), r#""class":"email""#)
}
