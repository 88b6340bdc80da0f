//! What came of it all, for people and for programs.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::{
    place::Place,
    row::{Cell, Row, said},
};

/// Most open ways that the summary names.
const NAMED_MAX: usize = 4;

/// All rows of one run.
pub struct Table {
    pub kernel: String,
    pub lsm: bool,
    /// Layers that the configuration had to allow to be missing.
    pub allowed: Vec<String>,
    pub rows: Vec<Row>,
    /// Whether the launcher lets root in.
    pub root_enters: bool,
}

impl Table {
    pub fn well(&self) -> bool {
        !self.root_enters && self.rows.iter().all(|row| row.differs().is_empty())
    }

    /// The whole table, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<24}{:<11}{:<24}{:<24}{:<24}",
            "ATTEMPT", "WORKS FREE", "CGROUP, ROOT", "CGROUP, USER", "JAIL"
        );
        for row in &self.rows {
            let free = match (row.leaked(Place::FreeRoot), row.leaked(Place::FreeUser)) {
                (true, true) => "yes",
                (true, false) => "as root",
                (false, true) => "as user",
                (false, false) => "no",
            };
            let cells = [Place::CgroupRoot, Place::CgroupUser, Place::Jail].map(|place| self.shown(row, place));
            let [root, user, jail] = cells;
            let _ = writeln!(text, "{:<24}{free:<11}{root:<24}{user:<24}{jail}", row.attempt.name);
        }
        text.push_str(&self.reasons());
        text.push('\n');
        text.push_str(&self.summary());
        for row in &self.rows {
            for (place, how) in row.differs() {
                let _ = writeln!(text, "DIFFERS: {} ({}): {how}", row.attempt.name, place.name());
            }
        }
        text
    }

    fn shown(&self, row: &Row, place: Place) -> String {
        match row.cell(place) {
            Cell::Leaked if row.open(place).is_some() => "open".to_owned(),
            Cell::Leaked => "LEAKED".to_owned(),
            Cell::Held(how) => how,
            Cell::Powerless(_) | Cell::NotTried => "-".to_owned(),
        }
    }

    /// Why some do not work even free, and what would close those that are open.
    fn reasons(&self) -> String {
        let mut text = String::from("\nNot possible on this machine, governed or not:\n");
        for row in self.rows.iter().filter(|row| !row.leaked(Place::FreeRoot) && !row.leaked(Place::FreeUser)) {
            let why = row.outcomes.get(&Place::FreeRoot).map(said).unwrap_or_default();
            let _ = writeln!(text, "  {:<24}{why}", row.attempt.name);
        }
        text.push_str("\nOpen in a captured cgroup, and what closes it:\n");
        for row in &self.rows {
            let open = [Place::Jail, Place::CgroupUser, Place::CgroupRoot].into_iter().find(|place| row.leaked(*place));
            if let Some(place) = open {
                let who = match place {
                    Place::Jail => "jail too",
                    Place::CgroupUser => "anybody",
                    Place::CgroupRoot | Place::FreeRoot | Place::FreeUser => "root only",
                };
                let needs = row.open(place).unwrap_or("nothing known");
                let _ = writeln!(text, "  {:<24}{who:<10} {needs}", row.attempt.name);
            }
        }
        text
    }

    /// A few lines for the README.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} attempts on Linux {}{}{}\n",
            self.rows.len(),
            self.kernel,
            if self.lsm { " with BPF LSM" } else { "" },
            if self.allowed.is_empty() { String::new() } else { format!(", without {}", self.allowed.join(", ")) }
        );
        for place in [Place::Jail, Place::CgroupUser, Place::CgroupRoot] {
            let mut holders: BTreeMap<String, usize> = BTreeMap::new();
            let (mut held, mut open) = (0, Vec::new());
            for row in &self.rows {
                match row.cell(place) {
                    Cell::Held(how) => {
                        held += 1;
                        *holders.entry(how).or_default() += 1;
                    }
                    Cell::Leaked => open.push(row.attempt.name),
                    Cell::Powerless(_) | Cell::NotTried => {}
                }
            }
            let mut holders: Vec<_> = holders.into_iter().collect();
            holders.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
            let by: Vec<_> = holders.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let tried = held + open.len();
            let named = match open.as_slice() {
                [] => "0 open".to_owned(),
                few if few.len() <= NAMED_MAX => format!("{} open ({})", few.len(), few.join(", ")),
                many => format!("{} open", many.len()),
            };
            let _ = writeln!(
                text,
                "  {:<22}{tried:>4} that work free: {held} held, {named}; by {}",
                place.name(),
                by.join(", ")
            );
        }
        text
    }

    pub fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        json!({
            "kernel": self.kernel, "lsm": self.lsm, "allowed_missing": self.allowed, "well": self.well(), "root_enters": self.root_enters,
            "attempts": self.rows.len(), "rows": rows, "summary": self.summary(),
        })
    }
}
