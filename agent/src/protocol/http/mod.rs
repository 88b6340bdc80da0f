//! HTTP.

pub mod codec;
