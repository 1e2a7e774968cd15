//! How much one caller may ask for, and how many may wait.
//!
//! Invariant: what a setting of 0 means stands at each; a limit that nobody set never refuses anybody.

use serde::{Deserialize, Serialize};

/// Limits of what may be asked of the server at once and over time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests that may wait for a turn, of all environments together, and as many searches; 0 lets none wait.
    pub waiting_max: usize,
    /// How long a request waits for its turn while those of its environment come in faster than they are answered, in
    /// milliseconds, longer where work takes longer, and before that to be looked at while all come in faster than they are
    /// looked at. Who would wait for longer is refused at once. A burst of a tenth of a second may wait for longer all the
    /// same. 0 for as long as `server.wait_seconds` has it.
    pub standing_ms: u64,
    /// Memory that the bodies of all requests may take together until they are answered, in bytes; further ones are refused.
    /// Over gRPC about as much again may have come in that was not read yet.
    pub bodies_bytes_max: usize,
    /// How long a request may take before its client is told to ask again, in seconds; what it began goes on. Not for
    /// `/v1/admin`, where erasures and backups take their time. 0 for ever.
    pub request_seconds: u64,
    /// Units that one API key may spend a second, for ever; 0 for no limit.
    pub key_units: u32,
    /// Units that one end user may spend a second of those of a key, before the key is charged: for each key and `sub` of a
    /// token that is good, so that none of a page's users spends what is there for all. 0 for no limit.
    pub end_user_units: u32,
    /// Units that all callers of one environment may spend a second; 0 for no limit.
    pub environment_units: u32,
    /// Units that one address may spend a second, before it is asked for a key; 0 for no limit. Behind a proxy all
    /// clients have one address.
    pub address_units: u32,
    /// Seconds whose units may be spent at once by who spent none before; those of half as many may be owed on top for
    /// bodies of requests that were let in.
    pub burst_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_max: 256,
            standing_ms: 5,
            bodies_bytes_max: 256 << 20,
            request_seconds: 60,
            key_units: 0,
            end_user_units: 0,
            environment_units: 0,
            address_units: 0,
            burst_seconds: 10,
        }
    }
}
