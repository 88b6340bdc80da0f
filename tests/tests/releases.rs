//! Every supported release of PostgreSQL through the gate: login, masking, denial, COPY and the extended protocol.

use anyhow::{Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::{Postgres, Release, Tls, succeeded},
};

fn works(release: Release) -> Result<()> {
    let server = Postgres::with(release, Tls::Required, &[])?;
    let gate = Gate::with(&server, &Setup::default())?;
    let sql = "select name, email from customers where id = 1;\n\
        copy (select item from orders where id = 3) to stdout;\n\
        prepare p as select status from orders where id = $1;\nexecute p (1);\n\
        drop database shop;\nselect 'usable';\n\\d orders\n";
    let output = gate.psql(&server, sql)?;
    let shown = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    for part in ["Ada Lovelace", "bombe", "shipped", "42501", "usable", "customer_id"] {
        ensure!(shown.contains(part), "`{part}` is not in:\n{shown}\n{}", gate.log());
    }
    ensure!(!shown.contains("ada.lovelace@example.com"), "unmasked:\n{shown}");
    succeeded("verify", gate.command(["sessions", "verify", "--all"]).output()?).map(drop)
}

macro_rules! releases {
    ($($name:ident: $index:literal,)*) => {
        $(#[test] fn $name() -> Result<()> { works(Release::MAVEN[$index]) })*

        #[test]
        fn no_release_is_left_out() {
            assert_eq!([$($index),*].len(), Release::MAVEN.len());
        }
    };
}

releases! {
    postgresql_14: 0,
    postgresql_15: 1,
    postgresql_16: 2,
    postgresql_17: 3,
    postgresql_18: 4,
}
