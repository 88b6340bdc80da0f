//! From an accepted socket to who dialled what: both from the kernel, or the connection is refused.

pub mod closures;
pub mod identity;
pub mod users;
pub mod workloads;

pub use closures::Closures;
pub use identity::Identities;
pub use workloads::{Workload, Workloads};
