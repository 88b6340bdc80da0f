//! Applications in SQLAlchemy with Alembic, and in Django, with their migrations.

use std::path::PathBuf;

use portcullis_tests::{cache, client::stage};

use super::*;

/// An application of `tests/tools`, by its folder and its first file.
#[derive(Clone, Copy)]
pub struct Application(&'static str, &'static str);

const SQLALCHEMY: Application = Application("sqlalchemy", "app.py");
const DJANGO: Application = Application("django", "manage.py");
/// libpq, asked for what drivers seldom ask.
pub const WIRE: Application = Application("wire", "wire.py");

impl Application {
    fn words(self, place: &std::path::Path) -> Result<[PathBuf; 3]> {
        let folder = stage(&place::repository().join("tests/tools").join(self.0), place)?;
        Ok([cache::tools_environment().join("bin/python"), "-B".into(), folder.join(self.1)])
    }

    pub fn directly(self, server: &Postgres) -> Result<Output> {
        let place = place::temporary()?;
        Ok(direct(server, self.words(place.path())?)?.output()?)
    }

    /// As a workload that is given the libraries to read.
    pub fn governed(self, gate: &Gate, server: &Postgres) -> Result<Output> {
        let libraries = format!("{}:ro", cache::tools_environment().display());
        let mut command = gate.command(["run", "--name", "agent", "--bind", ".", "--bind", &libraries, "--"]);
        postgres::environment(&mut command, server.port()).args(self.words(&gate.place())?);
        Ok(command.current_dir(gate.place()).output()?)
    }
}

/// Runs an application directly and through the gate; it must print the same.
fn works(application: Application) -> Result<()> {
    let ungoverned = said(&application.directly(&server()?)?)?;
    let rig = Rig::start()?;
    let governed = said(&application.governed(&rig.gate, &rig.server)?);
    assert_eq!(governed.with_context(|| format!("the daemon's log:\n{}", rig.gate.log()))?, ungoverned);
    rig.gate.ask(["sessions", "verify", "--all"]).map(drop)
}

#[test]
fn sqlalchemy_and_alembic_work_as_without_a_gate() -> Result<()> {
    works(SQLALCHEMY)
}

#[test]
fn django_works_as_without_a_gate() -> Result<()> {
    works(DJANGO)
}

#[test]
fn a_migration_without_a_rule_is_refused_with_the_access_that_it_lacks() -> Result<()> {
    let server = server()?;
    let gate = Gate::before(&server)?;
    let output = SQLALCHEMY.governed(&gate, &server)?;
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    let lacked = "no policy allows agent create_table on shop/shop/public.alembic_version";
    ensure!(!output.status.success() && shown.contains(lacked), "{shown}");
    ensure!(server.shop("select to_regclass('alembic_version') is null")? == "t", "the table was made");
    Ok(())
}
