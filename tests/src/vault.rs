//! The vault: a planted value in each type, and a gate that lets everything through but these.

use std::fs;

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    gate::{Gate, Setup},
    place,
    postgres::Postgres,
};

/// Everything that policy can permit, and a method of each kind.
const OPEN: &str = r#"
@id("open-tables") permit (principal, action, resource is Sql::Table) when { resource.name like "*" };
@id("open-functions") permit (principal, action, resource is Sql::Function) when { resource.name like "*" };
@id("open-settings") permit (principal, action, resource is Sql::Setting) when { resource.name like "*" };
@id("open-databases") permit (principal, action, resource is Sql::Database)
  when { resource.name like "*" } unless { action == Sql::Action::"unknown" };
@id("masked") @mask("secret=redact,pii=hash,ssn=pseudonym,credit_card=last4,email=partial") @predicates("allow")
forbid (principal, action, resource)
  unless { context.masked.containsAll([DataClass::"secret", DataClass::"pii", DataClass::"ssn",
                                       DataClass::"credit_card", DataClass::"email"]) };
"#;

/// Each column of the vault but `id` and `marker`, with a class for each method that can show something.
const CLASSES: &str = r#""public.vault.plain" = "secret"
"public.vault.fixed" = "pii"
"public.vault.digits" = "ssn"
"public.vault.n2" = "ssn"
"public.vault.n4" = "ssn"
"public.vault.n8" = "ssn"
"public.vault.exact" = "pii"
"public.vault.f4" = "pii"
"public.vault.f8" = "pii"
"public.vault.flag" = "pii"
"public.vault.born" = "pii"
"public.vault.seen" = "pii"
"public.vault.noon" = "pii"
"public.vault.span" = "pii"
"public.vault.uid" = "pii"
"public.vault.host" = "pii"
"public.vault.raw" = "pii"
"public.vault.doc" = "pii"
"public.vault.docb" = "secret"
"public.vault.words" = "pii"
"public.vault.numbers" = "ssn"
"public.vault.grid" = "ssn"
"public.vault.range" = "pii"
"public.vault.ranges" = "pii"
"public.vault.mood" = "pii"
"public.vault.pair" = "pii"
"public.vault.code" = "pii"
"public.vault.insens" = "pii"
"public.vault.bag" = "pii"
"public.vault.mark" = "pii"
"public.vault.terms" = "pii"
"public.vault.bits" = "pii"
"public.vault.mac" = "pii"
"public.vault.place" = "pii"
"public.vault.cash" = "pii"
"public.strict.digits" = "ssn"
"public.strict.small" = "pii""#;

/// Text that may stand in no answer: the planted values as they are written, and some of them reversed.
pub const PLANTED: [&str; 19] = [
    "planted",
    "detnalp",
    "PLANTED",
    "536-90-4399",
    "9934-09-635",
    "536904399",
    "4539578763621486",
    "98765432101234",
    "271828182845",
    "1971-03-14",
    "15:09:26",
    "c0ffee00-dead",
    "203.0.113.77",
    "1011011101111011111011111101",
    "ca:fe:ca:fe",
    "271.828",
    "271828.18",
    "271 days",
    "16777213",
];

/// A server with the vault, and the gate before it. The directory holds the gate's policies.
pub fn start() -> Result<(TempDir, Postgres, Gate)> {
    let policies = place::temporary()?;
    fs::write(policies.path().join("open.cedar"), OPEN)?;
    fs::copy(place::repository().join("policies/site.cedarschema"), policies.path().join("site.cedarschema"))?;
    let server = Postgres::start()?;
    server.shop(&fs::read_to_string(place::repository().join("tests/rigs/vault.sql"))?)?;
    let setup = Setup { policies: Some(policies.path().to_owned()), classes: CLASSES, ..Setup::default() };
    let gate = Gate::with(&server, &setup)?;
    Ok((policies, server, gate))
}
