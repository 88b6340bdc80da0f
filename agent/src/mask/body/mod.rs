//! Bodies of messages, masked as they stream.
//!
//! Pure: bytes in, bytes out, a bounded number of them held.

mod error;
pub mod json;
mod media;
pub mod path;
mod plan;

pub use self::{
    error::BodyError,
    media::{Format, MediaType},
    plan::BodyPlan,
};
