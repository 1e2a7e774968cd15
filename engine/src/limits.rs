//! How much a collection may hold.

use serde::{Deserialize, Serialize};

/// Limits of a collection; none by default. They concern writes alone: what is there stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Records that it may hold. Once it does, records that are there can be replaced, and a new one is refused with
    /// [`LimitReached`](crate::ErrorKind::LimitReached).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_max: Option<u64>,
    /// Bytes of one payload as JSON text, as far as they are fewer than
    /// [`Settings::payload_bytes_max`](crate::Settings::payload_bytes_max).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bytes_max: Option<usize>,
}
