//! Applications with their migrations: SQLAlchemy and Alembic, Django, Prisma, Hibernate.

use std::path::PathBuf;

use portcullis_tests::{cache, client::stage};

use super::*;

/// An application of `tests/tools`.
#[derive(Clone, Copy)]
pub struct Application {
    folder: &'static str,
    /// What the shell does in that folder. `$LIBRARIES` is where the libraries are.
    script: &'static str,
    libraries: fn() -> PathBuf,
    database: &'static str,
}

const SQLALCHEMY: Application = python("sqlalchemy", "exec $LIBRARIES/bin/python -B app.py");
const DJANGO: Application = python("django", "exec $LIBRARIES/bin/python -B manage.py");
/// libpq, asked for what drivers seldom ask.
pub const WIRE: Application = python("wire", "exec $LIBRARIES/bin/python -B wire.py");

/// Migrations, a change of the schema without one, the schema read back, and the application.
///
/// Prisma wants a database of its own to migrate. It asks for the address once more, and uses the adapter's.
const PRISMA: Application = Application {
    folder: "prisma",
    script: "ln -s $LIBRARIES node_modules && export CHECKPOINT_DISABLE=1 DATABASE_URL=postgresql:///library && \
             prisma() { node node_modules/prisma/build/index.js \"$@\" >said 2>&1 || { cat said; exit 1; }; } && \
             prisma migrate deploy && prisma migrate status && prisma db push && node app.js && \
             prisma db pull --print && sed -n '/^model/,$p' said",
    libraries: cache::tools_modules,
    database: "library",
};

/// Tables made, altered and validated by Hibernate itself, and the application.
const HIBERNATE: Application = Application {
    folder: "hibernate",
    script: "javac -d . -cp \"$LIBRARIES/*\" App.java && { java -cp \".:$LIBRARIES/*\" App 2>log || { cat log; exit 1; }; }",
    libraries: cache::tools_jars,
    database: postgres::DATABASE,
};

/// Reads the databases as a person with a mouse would.
pub const PGADMIN: Application = Application {
    libraries: cache::pgadmin_environment,
    ..python("pgadmin", "$LIBRARIES/bin/python -B walk.py 2>log || { tail -5 log >&2; exit 1; }")
};

const fn python(folder: &'static str, script: &'static str) -> Application {
    Application { folder, script, libraries: cache::tools_environment, database: postgres::DATABASE }
}

impl Application {
    pub fn directly(self, server: &Postgres) -> Result<Output> {
        let place = place::temporary()?;
        Ok(self.fill(&mut direct(server, ["sh", "-c", self.script])?, place.path())?.output()?)
    }

    /// As a workload that is given the libraries to read.
    pub fn governed(self, gate: &Gate, server: &Postgres) -> Result<Output> {
        let libraries = format!("{}:ro", (self.libraries)().display());
        let bound = ["run", "--name", "agent", "--bind", ".", "--bind", &libraries, "--", "sh", "-c", self.script];
        let mut command = gate.command(bound);
        postgres::environment(&mut command, server.port());
        Ok(self.fill(&mut command, &gate.place())?.output()?)
    }

    fn fill<'a>(self, command: &'a mut Command, place: &std::path::Path) -> Result<&'a mut Command> {
        let folder = stage(&place::repository().join("tests/tools").join(self.folder), place)?;
        command.env("PGDATABASE", self.database).env("LIBRARIES", (self.libraries)());
        Ok(command.current_dir(folder))
    }
}

/// Runs an application directly and through the gate; it must print the same.
fn works(application: Application) -> Result<()> {
    let start = || {
        let server = server()?;
        if application.database != postgres::DATABASE {
            server.superuser("postgres", &format!("create database {} owner app", application.database))?;
        }
        Ok::<_, anyhow::Error>(server)
    };
    let ungoverned = said(&application.directly(&start()?)?)?;
    let rig = Rig::before(start()?)?;
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
fn prisma_works_as_without_a_gate() -> Result<()> {
    works(PRISMA)
}

#[test]
fn hibernate_works_as_without_a_gate() -> Result<()> {
    works(HIBERNATE)
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
