//! The Landlock domain of a workload.
//!
//! What it holds beside the namespaces, <https://docs.kernel.org/userspace-api/landlock.html>: no process outside is
//! traced, signalled (ABI 6) or spoken to over an abstract Unix socket (ABI 6), and no mount is changed. Files are
//! left to the mount namespace and to their permissions.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope,
};

use super::error::{LaunchError, system};

/// Enters a new domain, as far as this kernel has it. Needs `no_new_privs`.
pub(super) fn enter() -> Result<(), LaunchError> {
    restrict().map_err(|error| system("enter a Landlock domain")(std::io::Error::other(error)))
}

fn restrict() -> Result<(), RulesetError> {
    let root = PathFd::new("/").ok();
    // A domain needs something to handle. Renaming between directories is refused unless it is handled and allowed.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::Refer)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let ruleset = match root {
        Some(root) => ruleset.add_rule(PathBeneath::new(root, AccessFs::Refer))?,
        None => ruleset,
    };
    ruleset.restrict_self().map(drop)
}

/// The version of Landlock that the kernel has; zero for none.
pub(super) fn abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call takes no attributes and answers a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    u32::try_from(version).unwrap_or(0)
}
