//! Where audit logs are told a second time, and what happens while they cannot be.
//!
//! Invariant: a path alone stands here; the engine writes the files. How looks are told, and how often the log is hashed
//! anew, are settings of the engine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The second sink of the audit log: none without a directory.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// A directory, best on another volume, that gets one with files of JSON lines for each environment.
    pub sink: Option<PathBuf>,
    /// Whether acts are refused while it takes no events; otherwise it catches up once it does.
    pub sink_required: bool,
    /// How long an event may wait for it, in milliseconds; 0 has it synced there before its act takes effect.
    pub sink_lag_ms: u64,
    /// Bytes after which a file is ended at its next checkpoint and another begun.
    pub sink_file_bytes: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { sink: None, sink_required: false, sink_lag_ms: 0, sink_file_bytes: 64 << 20 }
    }
}
