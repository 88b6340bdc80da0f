//! What the protocol allows and few programs do, spoken by libpq with every supported release of the server.

use portcullis_tests::{client::stage, wait};

use super::{application::WIRE, *};

/// A value that no process may hold whole, in bytes.
const LARGE: u64 = 256 << 20;
/// The same for a long run, asked for by the environment: as large as the server makes one.
const LARGEST: u64 = (1 << 30) - 1024;
/// Most memory that the daemon may have held at any time, in kB.
const MEMORY_MAX: u64 = 160 << 10;

/// Everything may be done, and nothing is masked.
const OPEN: &str = r#"
@id("tables") permit (principal, action, resource is Sql::Table);
@id("databases") permit (principal, action, resource is Sql::Database);
@id("functions") permit (principal, action, resource is Sql::Function);
@id("settings") permit (principal, action, resource is Sql::Setting);
"#;

fn speaks(release: Release) -> Result<()> {
    let server = Postgres::with(release, Tls::Required, &[])?;
    let gate = Gate::before(&server)?;
    let ungoverned = said(&WIRE.directly(&server)?)?;
    let governed = said(&WIRE.governed(&gate, &server)?);
    assert_eq!(governed.with_context(|| format!("the daemon's log:\n{}", gate.log()))?, ungoverned);
    ensure!(!ungoverned.contains("False"), "{ungoverned}");
    gate.ask(["sessions", "verify", "--all"]).map(drop)
}

macro_rules! releases {
    ($($name:ident: $index:literal,)*) => {
        $(#[test] fn $name() -> Result<()> { speaks(Release::MAVEN[$index]) })*

        #[test]
        fn no_release_is_left_out() {
            assert_eq!([$($index),*].len(), Release::MAVEN.len());
        }
    };
}

releases! {
    the_wire_of_postgresql_14_is_as_without_a_gate: 0,
    the_wire_of_postgresql_15_is_as_without_a_gate: 1,
    the_wire_of_postgresql_16_is_as_without_a_gate: 2,
    the_wire_of_postgresql_17_is_as_without_a_gate: 3,
    the_wire_of_postgresql_18_is_as_without_a_gate: 4,
}

/// A directory with [`OPEN`].
pub fn open_policies() -> Result<TempDir> {
    let policies = place::temporary()?;
    std::fs::write(policies.path().join("open.cedar"), OPEN)?;
    std::fs::copy(place::repository().join("policies/site.cedarschema"), policies.path().join("site.cedarschema"))?;
    Ok(policies)
}

/// The most memory that a process has held, in kB.
fn peak(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    line.trim().trim_end_matches(" kB").parse().context("VmHWM")
}

#[test]
fn a_value_of_any_length_streams_through_bounded_memory() -> Result<()> {
    let length = if std::env::var_os("PORTCULLIS_LONG").is_some() { LARGEST } else { LARGE };
    let policies = open_policies()?;
    // The server's log would write an argument in hexadecimal, which is longer than a value may be.
    let server = Postgres::with(Release::Debian, Tls::Required, &["log_parameter_max_length=0"])?;
    let setup = Setup { policies: Some(policies.path().to_owned()), classes: "", ..Setup::default() };
    let gate = Gate::with(&server, &setup)?;
    stage(&place::repository().join("tests/tools/wire/long_bind.py"), &gate.place())?;
    let value = format!("select repeat('x', {length})");
    for script in [
        format!("psql -X -At -c \"{value}\" | wc -c"),
        format!("psql -X -c \"copy ({value}) to stdout\" | wc -c"),
        format!(
            "(printf '1\\t'; head -c {length} /dev/zero | tr '\\0' x; echo) | psql -X -q -c 'copy imports from stdin' && psql -X -At -c 'select length(label) + 1 from imports'"
        ),
        format!("echo $((1 + $(python3 -B long_bind.py {length})))"),
    ] {
        let shown = said(&gate.workload(&server, ["sh", "-c", &script]).output()?)?;
        assert_eq!(shown.trim(), (length + 1).to_string(), "{script}");
    }
    let peak = peak(gate.pid().context("a daemon")?)?;
    ensure!(peak < MEMORY_MAX, "the daemon held {peak} kB");
    wait::until("the sessions' records are whole", || Ok(gate.ask(["sessions", "verify", "--all"]).is_ok()))
}
