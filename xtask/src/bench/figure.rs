//! Medians, ratios, and the table.

use std::{collections::BTreeMap, fmt::Write, fs, process::Command};

use anyhow::Result;

use super::{
    rig::{Rig, Route},
    scenario::{Area, Scenario, Target},
};

/// One scenario's medians.
pub struct Figure {
    scenario: Scenario,
    medians: BTreeMap<Route, f64>,
    /// Microseconds of the gate's processor time for one request.
    cost: Option<f64>,
}

impl Figure {
    pub fn new(scenario: Scenario, values: BTreeMap<Route, Vec<f64>>, costs: Vec<f64>) -> Self {
        let medians = values.iter().filter_map(|(route, values)| Some((*route, median(values)?))).collect();
        Self { scenario, medians, cost: median(&costs) }
    }

    fn cell(&self, route: Route) -> String {
        self.medians.get(&route).map_or_else(|| "–".to_owned(), |value| number(*value))
    }

    fn ratio(&self, route: Route) -> String {
        let ratio = self.medians.get(&Route::Gate).zip(self.medians.get(&route)).map(|(gate, other)| gate / other);
        ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    /// The target in words, and whether it is met.
    fn verdict(&self, target: Target) -> String {
        let (words, met) = match target {
            Target::AtLeast(share, route) => {
                let met = self.compared(route, |gate, other| gate >= share * other);
                (format!("≥ {share:.2} of {}", route.name()), met)
            }
            Target::AtMostAbove(margin, route) => {
                let met = self.compared(route, |gate, other| gate <= other + margin);
                (format!("≤ {} + {margin:.0}", route.name()), met)
            }
        };
        format!("{} {words}", if met { "✓" } else { "✗" })
    }

    fn compared(&self, route: Route, holds: impl Fn(f64, f64) -> bool) -> bool {
        let both = self.medians.get(&Route::Gate).zip(self.medians.get(&route));
        both.is_some_and(|(gate, other)| holds(*gate, *other))
    }
}

/// The machine that measured, in the words of its kernel and its programs.
pub struct Machine {
    lines: Vec<String>,
}

impl Machine {
    pub fn here(rig: &Rig) -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let model =
            processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|part| part.1);
        let count = std::thread::available_parallelism()?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let total =
            memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim().to_owned();
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        let lines = vec![
            format!("Date: {}", said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])),
            format!("Machine: {count} × {}, {total} of memory, Linux {}", model.unwrap_or("?"), said("uname", &["-r"])),
            format!("Load average at the end: {load} (client, gate and server share the processors)"),
            format!("Server: {}", rig.server().shop("select version()")?),
            format!("Peers: {}, {}", said("pgbouncer", &["--version"]), said("pgbench", &["--version"])),
        ];
        Ok(Self { lines })
    }
}

/// The table in Markdown.
pub fn markdown(figures: &[Figure], machine: &Machine, quick: bool) -> String {
    let mut text = String::from("# Benchmark\n\n");
    let how = "`cargo xtask bench` measures direct, through a bare tokio relay, through pgbouncer (session pooling) and \
               through the gate (captured, with policy, masking and recording on), interleaved in one run. Figures are \
               medians, a second unless a unit is named.\n\n";
    text.push_str(how);
    if quick {
        text.push_str("**A quick run: it shows that the benchmark works, not how fast anything is.**\n\n");
    }
    for line in &machine.lines {
        let _ = writeln!(text, "- {line}");
    }
    text.push_str("\n| workload | direct | relay | pgbouncer | gate | ÷ direct | ÷ relay | gate CPU µs | target |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for figure in figures {
        let targets: Vec<_> = figure.scenario.targets.iter().map(|target| figure.verdict(*target)).collect();
        let cells = Route::ALL.map(|route| figure.cell(route)).join(" | ");
        let ratios = [Route::Direct, Route::Relay].map(|route| figure.ratio(route)).join(" | ");
        let cost = figure.cost.filter(|_| figure.scenario.area != Area::Memory).map_or("–".to_owned(), number);
        let _ = writeln!(text, "| {} | {cells} | {ratios} | {cost} | {} |", figure.scenario.name, targets.join("; "));
    }
    text
}

/// The middle of some values; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    match sorted.len() % 2 {
        0 => sorted.get(middle - 1).map(|lower| (lower + upper) / 2.0),
        _ => Some(*upper),
    }
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_missed_target_shows() {
        let scenario = Scenario::all().swap_remove(0);
        let values = BTreeMap::from([(Route::Relay, vec![100.0]), (Route::Gate, vec![94.0])]);
        let figure = Figure::new(scenario, values, vec![]);
        assert_eq!(figure.verdict(Target::AtLeast(0.95, Route::Relay)), "✗ ≥ 0.95 of bare relay");
        assert_eq!(figure.verdict(Target::AtMostAbove(0.0, Route::Relay)), "✓ ≤ bare relay + 0");
    }
}
