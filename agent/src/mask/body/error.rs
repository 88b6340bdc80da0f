//! Why a body is not passed on.

use super::json::Malformed;

/// Why a body could not be masked to its end. What came out of it before is masked and may have been sent; no more of it
/// may be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    #[error("malformed JSON at byte {at}: {what}")]
    Json { at: u64, what: Malformed },
}
