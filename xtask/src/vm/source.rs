//! Where each kernel of the matrix comes from: a suite of Debian's archive, or of Ubuntu's where Debian has none.

use crate::apt::{Archive, Suite};

/// A kernel that a distribution ships, by the release of its branch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    /// What `--kernel` takes.
    pub name: &'static str,
    pub archive: Archive,
    /// The newest package of all of them is taken.
    pub suites: &'static [Suite],
    /// The package that depends on the current kernel.
    pub package: &'static str,
    pub emulation: Emulation,
    /// Why this kernel is here.
    pub reason: &'static str,
}

/// What a kernel bears of the machine that it would get. Older ones stand still in their first moments where the clock
/// counts instructions: some as they start a second processor, some in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Emulation {
    /// Two processors, and a clock that counts instructions.
    Whole,
    OneProcessor,
    ClockOfTheHost,
}

impl Source {
    /// From the oldest to the newest.
    pub const ALL: [Self; 5] = [
        Self {
            name: "5.10",
            archive: Archive::Debian,
            suites: &[Suite::of("bullseye"), Suite::security("bullseye-security")],
            package: "linux-image-amd64",
            emulation: Emulation::ClockOfTheHost,
            reason: "Debian 11; older than what capture needs: the daemon must refuse to start",
        },
        Self {
            name: "5.15",
            archive: Archive::Ubuntu,
            suites: &[Suite::of("jammy"), Suite::of("jammy-updates"), Suite::of("jammy-security")],
            package: "linux-image-generic",
            emulation: Emulation::OneProcessor,
            reason: "Ubuntu 22.04; the oldest that capture supports, and Debian never released it",
        },
        Self {
            name: "6.1",
            archive: Archive::Debian,
            suites: &[Suite::of("bookworm"), Suite::security("bookworm-security")],
            package: "linux-image-amd64",
            emulation: Emulation::OneProcessor,
            reason: "Debian 12",
        },
        Self {
            name: "6.12",
            archive: Archive::Debian,
            suites: &[Suite::of("trixie"), Suite::security("trixie-security")],
            package: "linux-image-amd64",
            emulation: Emulation::Whole,
            reason: "Debian 13",
        },
        Self {
            name: "newest",
            archive: Archive::Debian,
            suites: &[Suite::of("trixie-backports")],
            package: "linux-image-amd64",
            emulation: Emulation::Whole,
            reason: "the newest that Debian offers to users of its stable release",
        },
    ];

    pub fn named(name: &str) -> anyhow::Result<Self> {
        let known = || Self::ALL.map(|source| source.name).join(", ");
        let found = Self::ALL.into_iter().find(|source| source.name == name);
        found.ok_or_else(|| anyhow::anyhow!("unknown kernel `{name}`\nhint: the kernels are {}", known()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_is_an_error_that_lists_the_kernels() {
        let error = Source::named("4.19").unwrap_err().to_string();
        assert!(error.contains("`4.19`") && error.contains("5.10, 5.15, 6.1, 6.12, newest"), "{error}");
    }
}
