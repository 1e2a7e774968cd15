//! Whether a database takes writes: one word for operators and load balancers.

use serde::Serialize;

use crate::state::Shared;

/// What a database can do now. Reads go on in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// It reads and writes.
    Ready,
    /// The disk is full. Writes resume by themselves once there is room; erasures go on.
    Full,
    /// The outcome of a write or sync is unknown: no more writes until a restart.
    Poisoned,
}

impl Health {
    pub(crate) fn of(shared: &Shared) -> Self {
        if shared.latch.poisoned().is_some() {
            Self::Poisoned
        } else if shared.reserve.is_full() {
            Self::Full
        } else {
            Self::Ready
        }
    }
}
