//! An event of the audit log as answers, exports and sinks tell it.
//!
//! Invariant: it is a function of the event's bytes and of the chain after them, so that whoever holds both can tell
//! whether a text that claims to show them was changed. A leaf, because the trail and the reading of it both show events.

use privacy::audit::{Actor, Event, Hash, Outcome, Source, leaf_hash};
use serde::Serialize;

/// What an act is about, if one of these is among its fields: the first that is.
const RESOURCES: [&str; 8] = ["subject", "collection", "key", "role", "environment", "setting", "operation", "job"];

/// An event as an answer tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// Its place in the log, from 0: its name.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What, such as `entity.erased`; `unknown` for an act of a later version.
    pub action: String,
    /// Who: `host`, `engine`, `api-key:` and its public part, or `end-user:` and a pseudonym.
    pub actor: String,
    /// By which way: `library`, `rest`, `grpc`, `command_line` or `worker`.
    pub source: &'static str,
    /// What came of it: `done`, `denied` or `failed`.
    pub outcome: &'static str,
    /// What it is about, such as `collection:` and its id, or `subject:` and a pseudonym; none for what is about the
    /// environment as a whole.
    pub resource: Option<String>,
    /// What the act tells more: numbers in decimal, bytes in hex. An ε is in units of 2⁻²⁰ in lines, whose text is checked,
    /// and the number that it is in answers.
    pub fields: Vec<(String, String)>,
    /// The value of the chain before it, in hex.
    pub previous: String,
    /// Its leaf in the tree, in hex.
    pub leaf: String,
    /// The value of the chain after it, in hex: what the next event names as the one before.
    pub chain_hash: String,
}

impl AuditEvent {
    /// The event of these bytes, after which the chain has the value `chain`.
    pub(crate) fn of(event: &Event, bytes: &[u8], chain: &Hash) -> Self {
        let entry = &event.entry;
        let fields: Vec<(String, String)> =
            entry.act.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let named = |name: &&str| fields.iter().find(|(of, value)| of == name && value != "none");
        Self {
            sequence: event.sequence,
            time_ms: entry.time_ms,
            action: entry.act.action().to_owned(),
            actor: match &entry.actor {
                Actor::Host => "host".to_owned(),
                Actor::Engine => "engine".to_owned(),
                Actor::ApiKey { key, .. } => format!("api-key:{}", key.as_str()),
                Actor::EndUser(subject) => format!("end-user:{}", hex(subject.as_bytes())),
            },
            source: match entry.source {
                Source::Library => "library",
                Source::Rest => "rest",
                Source::Grpc => "grpc",
                Source::CommandLine => "command_line",
                Source::Worker => "worker",
            },
            outcome: match entry.outcome {
                Outcome::Done => "done",
                Outcome::Denied => "denied",
                Outcome::Failed => "failed",
            },
            resource: RESOURCES.iter().find_map(named).map(|(name, value)| format!("{name}:{value}")),
            fields,
            previous: hex(&event.previous),
            leaf: hex(&leaf_hash(bytes)),
            chain_hash: hex(chain),
        }
    }
}

/// Bytes in hex. Most of what an exported event costs is this, so no byte is formatted by itself.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What [`hex`] wrote.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
