//! The audit log as lines of JSON, for exports and for the second sink: what others keep and check without this engine.
//!
//! ```text
//! {"log": its name, "key": who signs, "first": the place of the first event, "watermark": the log before it}
//! {"sequence": …, "time_ms": …, "action": …, …, "chain_hash": …, "event": the event's bytes in hex}      one an event
//! {"checkpoint": a C2SP note over all events before this line}
//! ```
//!
//! Invariant: a line of an event is a function of the event's bytes and of the chain after them, so it is checked by
//! writing it once more. A file says nothing but what the log holds: pseudonyms, and no name of a person.

use privacy::VerifyingKey;
use privacy::audit::{Act, Event, Log, Origin};
use serde::{Deserialize, Serialize};

use crate::audit_event::{AuditEvent, hex, unhex};

/// A line, as it is read back.
pub(crate) enum Line {
    /// The head of a file.
    Head(Head),
    /// An event's bytes.
    Event(Vec<u8>),
    /// A signed checkpoint.
    Checkpoint(String),
}

/// The head of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The name of the log, under which it is signed.
    pub log: String,
    /// What its checkpoints are checked with, in hex. Whoever wrote the file claims so.
    pub key: String,
    /// The place of the first event.
    pub first: u64,
    /// The log before that event, in hex.
    pub watermark: String,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    event: Option<&'a AuditEvent>,
    #[serde(rename = "event")]
    bytes: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    checkpoint: String,
}

#[derive(Deserialize)]
struct Bytes {
    event: String,
}

/// The head of a file whose first event is the next of `log`.
pub(crate) fn head(origin: &Origin, key: &VerifyingKey, log: &Log) -> String {
    let head =
        Head { log: origin.as_str().to_owned(), key: hex(&key.0), first: log.size(), watermark: hex(&log.watermark()) };
    line(&head)
}

/// The line of the event of these bytes, `log` being the log with it. One that a later version wrote is its bytes alone.
pub(crate) fn event(bytes: &[u8], event: Option<&Event>, log: &Log) -> String {
    let shown = event.map(|event| AuditEvent::of(event, bytes, &log.chain()));
    line(&Told { event: shown.as_ref(), bytes: hex(bytes) })
}

/// The line of a checkpoint.
pub(crate) fn checkpoint(note: &str) -> String {
    line(&Signed { checkpoint: note.to_owned() })
}

/// Whether the line of this event says all that there is to say of it: an act of a later version has fields that are
/// not known here.
pub(crate) fn is_whole(event: Option<&Event>) -> bool {
    event.is_some_and(|event| !matches!(event.entry.act, Act::Unknown(_)))
}

impl Line {
    /// Reads a line, without its end; `None` if nobody here wrote it so.
    pub fn read(text: &str) -> Option<Self> {
        if text.starts_with("{\"log\"") {
            let head: Head = serde_json::from_str(text).ok()?;
            return (line(&head).trim_end() == text).then_some(Self::Head(head));
        }
        if text.starts_with("{\"checkpoint\"") {
            let Signed { checkpoint: note } = serde_json::from_str(text).ok()?;
            return (checkpoint(&note).trim_end() == text).then_some(Self::Checkpoint(note));
        }
        serde_json::from_str::<Bytes>(text).ok().and_then(|bytes| unhex(&bytes.event)).map(Self::Event)
    }
}

fn line(value: &impl Serialize) -> String {
    // Strings and numbers alone: there is nothing that JSON cannot say.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}
