//! One server, and every way to it that is compared.

use std::{fs, net::TcpStream, os::unix::fs::chown, os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, User, sysconf};
use portcullis_tests::{
    gate::{Gate, Setup},
    place, port,
    postgres::{self, Postgres, Release, Tls},
    service::{Service, Signal},
};
use tempfile::TempDir;

use crate::prerequisites;

/// Columns of the scanned table that the gate masks.
const CLASSES: &str = r#""public.bench_people.email" = "email"
"public.bench_people.ssn" = "ssn"
"public.bench_people.card" = "credit_card""#;

/// 100,000 rows without and with personal data. The card numbers pass Luhn's check.
const TABLES: &str = "
create table bench_plain as
    select n as id, 'label ' || n as label, n * 1.25 as amount, 'Rotterdam' as city, repeat('note ', 6) as note
    from generate_series(1, 100000) n;
create table bench_people as
    select n as id, 'Person ' || n as name, 'person' || n || '@example.com' as email,
        '536-90-' || lpad((n % 9999 + 1)::text, 4, '0') as ssn, '4111111111111111'::text as card
    from generate_series(1, 100000) n;
analyze;
";

/// A way to the server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Route {
    Direct,
    Relay,
    Pgbouncer,
    Gate,
}

impl Route {
    pub const ALL: [Self; 4] = [Self::Direct, Self::Relay, Self::Pgbouncer, Self::Gate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "bare relay",
            Self::Pgbouncer => "pgbouncer",
            Self::Gate => "gate",
        }
    }
}

/// Everything that runs while it is measured. No TLS anywhere, so that only the middlemen differ.
pub struct Rig {
    relay: Service,
    relay_port: u16,
    pgbouncer: Service,
    pgbouncer_port: u16,
    gate: Gate,
    server: Postgres,
    place: TempDir,
}

impl Rig {
    pub fn start(portcullis: &Path, relay: &Path) -> Result<Self> {
        let server = Postgres::with(
            Release::Debian,
            Tls::Offered,
            &["log_statement=none", "log_connections=off", "log_disconnections=off"],
        )?;
        server.shop(TABLES)?;
        server.pgbench_tables(10)?;
        let place = place::temporary()?;
        // Captured clients are nobody in particular, and pgbench leaves its log here.
        place::open(place.path(), 0o777)?;
        let setup = Setup { tls: false, binary: Some(portcullis.to_owned()), classes: CLASSES, ..Setup::default() };
        let gate = Gate::with(&server, &setup)?;
        let (relay, relay_port) = start_relay(relay, &server, place.path())?;
        let (pgbouncer, pgbouncer_port) = start_pgbouncer(&server, place.path())?;
        Ok(Self { relay, relay_port, pgbouncer, pgbouncer_port, gate, server, place })
    }

    /// A client's command on a route, with nothing asked and no TLS.
    pub fn client(&self, route: Route, words: &[&str]) -> Command {
        let mut command = match route {
            Route::Gate => {
                let mut command = self.gate.command(["run", "--name", "agent", "--bind", ".", "--"]);
                command.args(words);
                command
            }
            Route::Direct | Route::Relay | Route::Pgbouncer => {
                let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
                let mut command = Command::new(program);
                command.args(arguments).env("PGPASSWORD", postgres::PASSWORD);
                command
            }
        };
        let port = match route {
            Route::Direct | Route::Gate => self.server.port(),
            Route::Relay => self.relay_port,
            Route::Pgbouncer => self.pgbouncer_port,
        };
        postgres::environment(&mut command, port).env("PGSSLMODE", "disable").current_dir(self.place.path());
        command
    }

    /// Where clients run and leave their logs.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// The process between client and server.
    pub fn middleman(&self, route: Route) -> Option<u32> {
        match route {
            Route::Direct => None,
            Route::Relay => Some(self.relay.pid()),
            Route::Pgbouncer => Some(self.pgbouncer.pid()),
            Route::Gate => self.gate.pid(),
        }
    }

    /// Microseconds of processor time that the gate's process has used so far, in steps of the kernel's clock tick.
    pub fn gate_cpu(&self) -> Result<f64> {
        let pid = self.gate.pid().context("the gate does not run")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields 14 and 15 of proc(5); the name in field 2 may hold spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
        Ok(ticks * 1_000_000.0 / per_second as f64)
    }
}

fn start_relay(program: &Path, server: &Postgres, place: &Path) -> Result<(Service, u16)> {
    let port = port::free()?;
    let mut command = Command::new(program);
    command.arg(format!("127.0.0.1:{port}")).arg(format!("127.0.0.1:{}", server.port()));
    let mut service = Service::start("relay", &mut command, &place.join("relay.log"), Signal::SIGTERM)?;
    service.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok((service, port))
}

/// pgbouncer pooling by session, which is what leaves PostgreSQL's semantics alone. It refuses to run as root.
fn start_pgbouncer(server: &Postgres, place: &Path) -> Result<(Service, u16)> {
    let port = port::free()?;
    let (configuration, users) = (place.join("pgbouncer.ini"), place.join("users.txt"));
    fs::write(&users, format!("\"app\" \"{}\"\n", postgres::PASSWORD))?;
    fs::write(
        &configuration,
        format!(
            "[databases]\n{database} = host=127.0.0.1 port={upstream}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\npool_mode = session\n\
             max_client_conn = 1000\ndefault_pool_size = 250\nserver_tls_sslmode = disable\n\
             log_connections = 0\nlog_disconnections = 0\nignore_startup_parameters = extra_float_digits\n",
            database = postgres::DATABASE,
            upstream = server.port(),
            users = users.display(),
        ),
    )?;
    let user = User::from_name("postgres")?.context("no account `postgres`")?;
    for path in [&configuration, &users] {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let program = prerequisites::found("pgbouncer").context("pgbouncer is not installed")?;
    let mut command = Command::new(program);
    command.arg(&configuration).uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    let mut service = Service::start("pgbouncer", &mut command, &place.join("pgbouncer.log"), Signal::SIGTERM)?;
    service.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok((service, port))
}
