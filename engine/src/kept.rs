//! How long a collection keeps records, as it is stored and told.

use privacy::{Trusted, Until, Window};
use serde::{Deserialize, Serialize};

/// How long a collection keeps a record after its last write.
///
/// What is destroyed is keys, and writes use one key for a sixteenth of the window (an hour at least, a day at most), so a
/// record is kept for the whole window, and up to that much longer until the next run of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The window in milliseconds.
    pub window_ms: u64,
    /// Since when there is one, in milliseconds since the Unix epoch: what was in segments before counts from then.
    pub since_ms: u64,
}

impl Retention {
    /// The end of the period in which a write at `written_ms` falls; `None` for a window that is none.
    pub(crate) fn until(self, written_ms: u64) -> Option<Until> {
        self.window().map(|window| window.until(written_ms))
    }

    /// Whether what was written up to `until` must go now, or before there were periods.
    pub(crate) fn is_past(self, until: Option<Until>, now: Trusted) -> bool {
        let written_ms = until.map_or(self.since_ms, Until::as_ms);
        self.window().is_some_and(|window| window.is_past(written_ms, now))
    }

    /// The window; `None` for one that is none.
    pub(crate) fn window(self) -> Option<Window> {
        Window::from_ms(self.window_ms).ok()
    }
}
