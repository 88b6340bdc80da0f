//! From an accepted socket to who dialled what: both from the kernel, or the connection is refused.

mod doorway;
pub mod identity;
pub mod workloads;

pub use doorway::{Doorway, DoorwayError};
pub use identity::Identities;
pub use workloads::{Workload, Workloads};
