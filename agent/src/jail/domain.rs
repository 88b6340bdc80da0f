//! The Landlock domain of a workload.
//!
//! What it holds beside the namespaces, <https://docs.kernel.org/userspace-api/landlock.html>: no process outside is
//! traced, signalled (ABI 6) or spoken to over an abstract Unix socket (ABI 6), no mount is changed, and nothing is
//! opened for writing outside of the workload's own places (ABI 2). A mount for reading only does not do the last:
//! somebody outside may read what is written into a named pipe there.

use std::{io, os::fd::BorrowedFd, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::{
    descriptors,
    error::{LaunchError, system},
};

/// The version that can allow renaming between directories: with an older one, any domain refuses it (Linux 5.19).
const REFER_ABI: u32 = 2;

/// Where a process may open for writing what it may write by its permissions.
#[derive(Debug)]
pub(super) enum Writable {
    Everywhere,
    /// Below these, and what it was given as input and output.
    Below(Vec<PathBuf>),
}

/// Enters a new domain, as far as this kernel has it. Needs `no_new_privs`.
pub(super) fn enter(writable: &Writable) -> Result<(), LaunchError> {
    let outputs = descriptors::written().map_err(system("look at the outputs"))?;
    restrict(writable, &outputs).map_err(|error| system("enter a Landlock domain")(io::Error::other(error)))
}

/// Whether this kernel keeps a workload from writing into named pipes outside.
pub(super) fn holds_writing() -> bool {
    abi() >= REFER_ABI
}

fn restrict(writable: &Writable, outputs: &[BorrowedFd<'_>]) -> Result<(), RulesetError> {
    // A domain needs something to handle. Renaming between directories is refused unless it is handled and allowed.
    let (handled, places): (BitFlags<AccessFs>, &[PathBuf]) = match writable {
        Writable::Below(places) if holds_writing() => (AccessFs::Refer | AccessFs::WriteFile, places),
        Writable::Below(_) | Writable::Everywhere => (AccessFs::Refer.into(), &[]),
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    if let Ok(root) = PathFd::new("/") {
        ruleset = ruleset.add_rule(PathBeneath::new(root, AccessFs::Refer))?;
    }
    if handled.contains(AccessFs::WriteFile) {
        ruleset = allow_writing(ruleset, places, outputs)?;
    }
    ruleset.restrict_self().map(drop)
}

fn allow_writing(
    mut ruleset: RulesetCreated,
    places: &[PathBuf],
    outputs: &[BorrowedFd<'_>],
) -> Result<RulesetCreated, RulesetError> {
    // What is not there, or cannot be reached, is not written to either.
    for place in places.iter().filter_map(|path| PathFd::new(path).ok()) {
        ruleset = ruleset.add_rule(PathBeneath::new(place, AccessFs::WriteFile))?;
    }
    // So that `/dev/stdout` can be opened.
    for output in outputs {
        ruleset = ruleset.add_rule(PathBeneath::new(output, AccessFs::WriteFile))?;
    }
    Ok(ruleset)
}

/// The version of Landlock that the kernel has; zero for none.
pub(super) fn abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call takes no attributes and answers a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    u32::try_from(version).unwrap_or(0)
}
