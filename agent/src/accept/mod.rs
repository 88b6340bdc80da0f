//! From an accepted socket to who dialled what: both from the kernel, or the connection is refused.

pub mod closures;
mod doorway;
pub mod findings;
pub mod identity;
pub mod places;
pub mod standings;
pub mod users;
pub mod workloads;

pub use closures::Closures;
pub use doorway::{Doorway, DoorwayError, Keeper};
pub use identity::Identities;
pub use places::Places;
pub use standings::Standings;
pub use workloads::{Workload, Workloads};
