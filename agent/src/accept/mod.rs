//! From an accepted socket to who dialled what: both from the kernel, or the connection is refused.

pub mod identity;
pub mod users;
pub mod workloads;

pub use identity::Identities;
pub use workloads::{Workload, Workloads};
