//! What is measured, and what is aimed at.

use anyhow::{Result, anyhow};

use super::rig::Route;

/// A group of scenarios that can be asked for alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    Throughput,
    Rows,
    Connects,
    Latency,
    Memory,
    /// What capture costs a connect: no scenario of the server's.
    Capture,
    /// What the gate's parts do by themselves: decisions, detectors, the record.
    Parts,
}

impl Area {
    const ALL: [Self; 7] =
        [Self::Throughput, Self::Rows, Self::Connects, Self::Latency, Self::Memory, Self::Capture, Self::Parts];

    /// Those of the given names; all of them when none is named.
    pub fn chosen(names: &[String]) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let listed = Self::ALL.map(Self::name).join(", ");
        let find = |name: &String| Self::ALL.into_iter().find(|area| area.name() == name);
        names
            .iter()
            .map(|name| find(name).ok_or_else(|| anyhow!("unknown area `{name}`\nhint: there are {listed}")))
            .collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Rows => "rows",
            Self::Connects => "connects",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Capture => "capture",
            Self::Parts => "parts",
        }
    }
}

/// How a scenario puts its load on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Load {
    /// pgbench's own select of one row; the protocol's name as pgbench knows it. Transactions a second.
    SelectOnly { protocol: &'static str, clients: u32 },
    /// A statement again and again, one client. Transactions a second.
    Statement(&'static str),
    /// A connection for every select, eight clients. Connections a second.
    Connects,
    /// The middle of many `select 1` of one client. Microseconds.
    Latency,
    /// `COPY … TO STDOUT`. Copies a second.
    Copy(&'static str),
    /// A statement with a long answer, once. KiB that the middleman's memory grows by at most meanwhile.
    Growth(&'static str),
    /// Idle sessions held open. KiB of the middleman's memory for each.
    Idle { sessions: u32 },
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least this share of a route's figure.
    AtLeast(f64, Route),
    /// At most this much more than a route's figure, in the figure's unit.
    AtMostAbove(f64, Route),
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub area: Area,
    pub name: String,
    pub load: Load,
    pub targets: Vec<Target>,
}

impl Scenario {
    /// Everything that the design sets a target for.
    pub fn all() -> Vec<Self> {
        use Target::{AtLeast, AtMostAbove};
        let mut all = Vec::new();
        for protocol in ["simple", "extended", "prepared"] {
            for clients in [1, 8, 64] {
                let mut targets = vec![AtLeast(0.95, Route::Relay)];
                if clients == 8 {
                    targets.push(AtLeast(1.0, Route::Pgbouncer));
                }
                let name = format!("select-only, {protocol}, {clients} client{}", if clients == 1 { "" } else { "s" });
                all.push(Self::new(Area::Throughput, &name, Load::SelectOnly { protocol, clients }, targets));
            }
        }
        let plain = "select id, label, amount, city, note from bench_plain";
        let masked = "select id, name, email, ssn, card from bench_people";
        let relay = |share| vec![AtLeast(share, Route::Relay)];
        all.push(Self::new(Area::Rows, "100,000-row scan, nothing masked", Load::Statement(plain), relay(0.95)));
        all.push(Self::new(Area::Rows, "100,000-row scan, three columns masked", Load::Statement(masked), relay(0.85)));
        all.push(Self::new(
            Area::Rows,
            "COPY out of 100,000 rows",
            Load::Copy("copy bench_plain to stdout"),
            relay(0.95),
        ));
        all.push(Self::new(
            Area::Rows,
            "COPY out of 100,000 rows, three columns masked",
            Load::Copy("copy (select id, name, email, ssn, card from bench_people) to stdout"),
            Vec::new(),
        ));
        let connects = vec![AtLeast(0.85, Route::Direct)];
        all.push(Self::new(Area::Connects, "connect, login, one query", Load::Connects, connects));
        let latency = vec![AtMostAbove(25.0, Route::Direct)];
        all.push(Self::new(Area::Latency, "`SELECT 1`, p50 of one client, µs", Load::Latency, latency));
        let memory = vec![AtMostAbove(64.0, Route::Relay)];
        all.push(Self::new(Area::Memory, "memory of an idle session, KiB", Load::Idle { sessions: 200 }, memory));
        // Ten times the rows of the scans above: an answer that was kept anywhere would show.
        let long = "select p.id, name, email, ssn, card from bench_people p, generate_series(1, 10)";
        let name = "memory that 1,000,000 masked rows take on their way, KiB";
        all.push(Self::new(Area::Memory, name, Load::Growth(long), Vec::new()));
        all
    }

    fn new(area: Area, name: &str, load: Load, targets: Vec<Target>) -> Self {
        Self { area, name: name.to_owned(), load, targets }
    }

    /// The ways that this scenario makes sense on.
    pub fn routes(&self) -> Vec<Route> {
        match self.load {
            Load::Idle { .. } | Load::Growth(_) => vec![Route::Relay, Route::Gate],
            _ => Route::ALL.to_vec(),
        }
    }
}
