//! One row of the table: what became of an attempt in each place, and whether that is as expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use nix::{errno::Errno, libc};
use serde_json::{Value, json};

use crate::{attacker::Said, attempts::Attempt, contest::Outcome, place::Place};

pub struct Row {
    pub attempt: &'static Attempt,
    pub outcomes: BTreeMap<Place, Outcome>,
    /// The layers of the daemon that are in force.
    layers: Rc<BTreeSet<String>>,
}

/// What became of one attempt in one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cell {
    /// It got out.
    Leaked,
    /// It would have got out, and was held by this.
    Held(String),
    /// It does not get out even where nothing holds it, for this reason.
    Powerless(String),
    /// It was not tried there.
    NotTried,
}

impl Row {
    pub fn new(attempt: &'static Attempt, outcomes: BTreeMap<Place, Outcome>, layers: Rc<BTreeSet<String>>) -> Self {
        Self { attempt, outcomes, layers }
    }

    /// Whether somebody got out who should not, or did not where the table says that the way is open.
    pub fn differs(&self) -> Vec<(Place, String)> {
        let governed = Place::ALL.into_iter().filter(|place| place.governed());
        governed.filter_map(|place| Some((place, self.difference(place)?))).collect()
    }

    fn difference(&self, place: Place) -> Option<String> {
        match (self.cell(place), self.open(place)) {
            (Cell::Leaked, None) => {
                let heard = self.outcomes.get(&place).map(|outcome| words(&outcome.heard)).unwrap_or_default();
                Some(format!("got out: {}", if heard.is_empty() { "the kernel agreed" } else { &heard }))
            }
            (Cell::Held(how), Some(needs)) => Some(format!("held by {how}, and the table says: open, needs {needs}")),
            (Cell::Leaked, Some(_)) | (Cell::Held(_), None) | (Cell::Powerless(_) | Cell::NotTried, _) => None,
        }
    }

    /// What would close it, where it is known to be open for lack of any layer that does.
    pub fn open(&self, place: Place) -> Option<&'static str> {
        let needs = match place {
            Place::FreeRoot | Place::FreeUser => None,
            Place::CgroupRoot => self.attempt.open_for_root,
            Place::CgroupUser => self.attempt.open_in_cgroup,
            Place::Jail => self.attempt.open_in_jail,
        }?;
        let closed = needs.layers.iter().any(|layer| self.layers.contains(*layer));
        (!closed).then_some(needs.what)
    }

    pub fn leaked(&self, place: Place) -> bool {
        self.outcomes.get(&place).is_some_and(|outcome| outcome.leaked(self.attempt))
    }

    pub fn cell(&self, place: Place) -> Cell {
        let Some(outcome) = self.outcomes.get(&place) else { return Cell::NotTried };
        if self.leaked(place) {
            return Cell::Leaked;
        }
        if outcome.said == Said::NotTried {
            return Cell::NotTried;
        }
        if !place.governed() || !self.leaked(place.freed()) {
            let free = self.outcomes.get(&place.freed()).unwrap_or(outcome);
            return Cell::Powerless(said(free));
        }
        Cell::Held(self.holder(place, outcome))
    }

    /// Who stopped it, by what can be seen: the kernel's counters, else the error.
    fn holder(&self, place: Place, outcome: &Outcome) -> String {
        if !outcome.refusals.is_empty() {
            return words(&outcome.refusals.keys().cloned().collect());
        }
        match &outcome.said {
            // A datagram that goes through in a jail stays on its own loopback.
            Said::Went if place == Place::Jail && self.attempt.name.contains("udp") => "netns".to_owned(),
            Said::Went => "redirected".to_owned(),
            Said::NotStarted | Said::NotTried => "launcher".to_owned(),
            Said::Died => "hung".to_owned(),
            Said::Refused { errno, .. } => by_error(place, *errno).to_owned(),
        }
    }

    pub fn json(&self) -> Value {
        let places = Place::ALL.map(|place| {
            let (outcome, by) = match self.cell(place) {
                Cell::Leaked => ("leaked", String::new()),
                Cell::Held(by) => ("held", by),
                Cell::Powerless(why) => ("powerless", why),
                Cell::NotTried => ("not tried", String::new()),
            };
            let heard = self.outcomes.get(&place).map(|outcome| &outcome.heard);
            let differs = place.governed().then(|| self.difference(place)).flatten();
            json!({
                "place": place.name(), "outcome": outcome, "by": by, "heard": heard, "open": self.open(place),
                "differs": differs,
            })
        });
        json!({ "name": self.attempt.name, "about": self.attempt.about, "places": places })
    }
}

/// What an error says of who refused, where no counter moved.
fn by_error(place: Place, errno: i32) -> &'static str {
    match (place, errno) {
        (Place::Jail, libc::ENOSYS | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => "seccomp",
        (Place::Jail, libc::EBADF) => "launcher",
        (Place::Jail, libc::ENOENT | libc::EROFS | libc::ENXIO) => "mounts",
        (Place::Jail, libc::ESRCH) => "pids",
        (Place::Jail, libc::ENETUNREACH | libc::ENODEV | libc::ECONNREFUSED | libc::EAGAIN) => "netns",
        (Place::Jail, libc::EPERM | libc::EACCES) => "jail",
        (_, libc::EPERM | libc::EACCES) => "no privilege",
        // All that are redirected from one port have one peer, so there is no second from the same.
        (_, libc::EADDRNOTAVAIL | libc::EADDRINUSE) => "redirected",
        (_, libc::ECONNREFUSED | libc::ECONNRESET | libc::EPIPE | libc::EINPROGRESS | libc::EAGAIN) => "redirected",
        (..) => "kernel",
    }
}

pub fn said(outcome: &Outcome) -> String {
    match &outcome.said {
        Said::Went => "nobody heard it".to_owned(),
        Said::Died => "it hung".to_owned(),
        Said::NotStarted => "it did not begin".to_owned(),
        Said::NotTried => "only in a guest".to_owned(),
        Said::Refused { step, errno: 0 } => format!("{step}: not there"),
        Said::Refused { step, errno } => format!("{step}: {}", Errno::from_raw(*errno).desc()),
    }
}

fn words(of: &BTreeSet<String>) -> String {
    of.iter().map(String::as_str).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_tests::guard::Refusals;

    use crate::attempts;

    fn outcome(said: Said, heard: &[&str]) -> Outcome {
        Outcome { said, heard: heard.iter().map(|place| (*place).to_owned()).collect(), refusals: Refusals::new() }
    }

    fn row(name: &str, governed: &Outcome) -> Row {
        let attempt = attempts::find(name).unwrap();
        let outcomes = Place::ALL.map(|place| {
            let free = outcome(Said::Went, &["the wire"]);
            (place, if place.governed() { governed.clone() } else { free })
        });
        Row::new(attempt, outcomes.into(), Rc::default())
    }

    #[test]
    fn a_leak_differs_where_nothing_may_leak() {
        let row = row("tcp-v4", &outcome(Said::Went, &["the wire"]));
        assert_eq!(row.differs().len(), 3);
    }

    #[test]
    fn a_way_that_is_said_to_be_open_and_is_not_differs_too() {
        let refused = Said::Refused { step: "socket".into(), errno: libc::EPERM };
        let places: Vec<_> =
            row("packet-raw", &outcome(refused, &[])).differs().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [Place::CgroupRoot]);
    }

    #[test]
    fn a_layer_in_force_closes_what_it_promises_to() {
        let mut row = row("packet-raw", &outcome(Said::Went, &["the wire"]));
        assert_eq!(row.difference(Place::CgroupRoot), None);
        row.layers = Rc::new(BTreeSet::from(["lsm".to_owned()]));
        assert_eq!(row.difference(Place::CgroupRoot), Some("got out: the wire".to_owned()));
    }

    #[test]
    fn an_attempt_that_works_nowhere_is_no_success_of_ours() {
        let mut row = row("tcp-v4", &outcome(Said::Went, &[]));
        row.outcomes.insert(Place::FreeUser, outcome(Said::Went, &[]));
        assert!(matches!(row.cell(Place::Jail), Cell::Powerless(_)));
        assert!(matches!(row.cell(Place::CgroupRoot), Cell::Held(_)));
    }

    #[test]
    fn consent_counts_only_where_it_is_the_evidence() {
        assert!(outcome(Said::Went, &[]).leaked(attempts::find("module").unwrap()));
        assert!(!outcome(Said::Went, &[]).leaked(attempts::find("tcp-v4").unwrap()));
    }
}
