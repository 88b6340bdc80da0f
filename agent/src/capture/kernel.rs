//! The release of the running kernel.

use std::fs;

/// Major and minor number; a kernel that does not say is older than all.
pub(super) type Release = (u32, u32);

/// The first release that has every helper that the programs call.
pub(super) const RELEASE_MIN: Release = (5, 15);

/// The first release in which programs on socket options may ask for the process.
pub(super) const OPTIONS_KNOW_PROCESS: Release = (6, 1);

/// As `uname -r` has it.
pub(super) fn name() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

pub(super) fn release() -> Release {
    parse(&name())
}

fn parse(name: &str) -> Release {
    let mut numbers = name.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_two_numbers() {
        assert_eq!(parse("6.12.63+deb13-amd64"), (6, 12));
        assert_eq!(parse("7.0-rc1"), (7, 0));
        assert_eq!(parse("nonsense"), (0, 0));
    }
}
