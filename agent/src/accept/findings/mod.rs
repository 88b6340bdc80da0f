//! What capture alone cannot hold of a process tree that it did not start: the privileges that its processes have, and
//! what they already hold. `portcullis run` starts processes without any of it.

mod drop_in;
mod examine;
mod process;
mod starters;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use drop_in::drop_in;
pub use examine::{ExamineError, examine, examine_family};
pub use starters::{Starter, starters};

/// A way around the gate that stays open for a captured process tree, by the name with which an operator accepts it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    Root,
    Capabilities,
    NewPrivileges,
    SharedUser,
    Sockets,
    Descriptors,
    Helpers,
    SystemCalls,
}

impl Risk {
    pub const ALL: [Self; 8] = [
        Self::Root,
        Self::Capabilities,
        Self::NewPrivileges,
        Self::SharedUser,
        Self::Sockets,
        Self::Descriptors,
        Self::Helpers,
        Self::SystemCalls,
    ];

    /// As it stands in `accept_risks` and after `--accept-risk`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Capabilities => "capabilities",
            Self::NewPrivileges => "new-privileges",
            Self::SharedUser => "shared-user",
            Self::Sockets => "sockets",
            Self::Descriptors => "descriptors",
            Self::Helpers => "helpers",
            Self::SystemCalls => "system-calls",
        }
    }

    /// What such a process can do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Root => "root moves itself to another cgroup, and starts programs and containers outside",
            Self::Capabilities => "each of these lets a process leave its cgroup, or send past it",
            Self::NewPrivileges => "a setuid program, such as `sudo`, gives back what was taken",
            Self::SharedUser => "processes of the same user outside can be steered, and dial for it",
            Self::Sockets => "a socket that was made in another cgroup sends by that cgroup's rules",
            Self::Descriptors => "what these are open for leaves by no hook of a cgroup",
            Self::Helpers => "whoever listens there dials, or starts processes outside, for whoever asks",
            Self::SystemCalls => "without a filter, AF_VSOCK, AF_RDS and key requests leave by no hook of a cgroup",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.name() == name)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A risk that a process tree has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finding {
    pub risk: Risk,
    /// Which processes, and what of them: `uid 0: 17 (bash), 18 (node), and 3 more`.
    pub detail: String,
}

/// Those that nobody accepted, for a sentence: ``root (uid 0: 17 (bash)), new-privileges (…)``.
pub fn unaccepted(findings: &[Finding], accepted: &[Risk]) -> Option<String> {
    let open: Vec<_> = findings.iter().filter(|finding| !accepted.contains(&finding.risk)).collect();
    let told: Vec<_> = open.iter().map(|finding| format!("{} ({})", finding.risk, finding.detail)).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_risk_is_accepted_by_its_name_alone() {
        for risk in Risk::ALL {
            assert_eq!(Risk::named(risk.name()), Some(risk));
            assert_eq!(serde_json::to_value(risk).unwrap(), risk.name());
        }
        assert_eq!(Risk::named("all"), None);
        assert_eq!(Risk::named("Root"), None);
    }

    #[test]
    fn what_is_accepted_is_not_told_and_nothing_else_is_left_out() {
        let finding = |risk| Finding { risk, detail: "x".into() };
        let findings = [finding(Risk::Root), finding(Risk::Helpers)];
        assert_eq!(unaccepted(&findings, &[]).as_deref(), Some("root (x), helpers (x)"));
        assert_eq!(unaccepted(&findings, &[Risk::Root]).as_deref(), Some("helpers (x)"));
        assert_eq!(unaccepted(&findings, &Risk::ALL), None);
    }
}
