//! An event of the audit log: who did what, when and by which way, as deterministic CBOR.
//!
//! ```text
//! [version, sequence, previous, time, actor, source, outcome, request, [act, [field, …]], detail]
//! ```
//!
//! Invariant: the first four members keep their place in every version, so that a log is walked and its chain checked
//! by versions that do not understand all of it. An event holds no identifier of a data subject in the clear, and
//! nothing of what was stored, asked or answered.

use std::net::IpAddr;

use minicbor::{Decoder, Encoder};
use thiserror::Error;

use super::act::Act;
use super::field::{Field, Name};
use super::pseudonym::Pseudonym;
use super::tree::Hash;
use crate::cbor::{Malformed, Sink, Written, array, decoded, fixed, length, written};

/// The version written, and the newest that is understood.
const VERSION: u64 = 1;
/// Members of an event of that version.
const MEMBERS: u64 = 10;

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The program that has the database open.
    Host,
    /// The engine itself: upkeep, retention, recovery.
    Engine,
    /// Whoever holds an API key.
    ApiKey {
        /// The public part of the key.
        key: Name,
        /// From where, if it came over a network.
        address: Option<IpAddr>,
    },
    /// An end user of the program, told by a token. An address would name a person, so there is none.
    EndUser(Pseudonym),
}

/// By which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Source {
    /// A call of the library.
    Library = 0,
    /// REST.
    Rest = 1,
    /// gRPC.
    Grpc = 2,
    /// The command line.
    CommandLine = 3,
    /// Nobody asked: background work.
    Worker = 4,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Done, and durable.
    Done = 0,
    /// Refused for want of a permission.
    Denied = 1,
    /// Failed for another reason.
    Failed = 2,
}

/// What is to be told; the log gives it its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who.
    pub actor: Actor,
    /// By which way.
    pub source: Source,
    /// What came of it.
    pub outcome: Outcome,
    /// The id of the request, if it had one.
    pub request: Option<[u8; 16]>,
    /// What.
    pub act: Act,
    /// More about the person it is about, sealed by [`seal_detail`](super::seal_detail).
    pub detail: Option<Vec<u8>>,
}

/// An event of any version: what is needed to walk the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The version that wrote it.
    pub version: u64,
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// The value of the chain before it.
    pub previous: Hash,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// An event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log, from 0: the name by which an event is referred to.
    pub sequence: u64,
    /// The value of the chain before it.
    pub previous: Hash,
    /// What it tells.
    pub entry: Entry,
}

/// Why bytes are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventError {
    /// Not the encoding of an event.
    #[error("an audit event is malformed")]
    Malformed,
    /// Written by a later version of this engine. Its head can be read.
    #[error("an audit event has version {found}, the newest known here is {max}")]
    Newer {
        /// The event's version.
        found: u64,
        /// The newest version that is understood here.
        max: u64,
    },
}

impl From<Malformed> for EventError {
    fn from(_: Malformed) -> Self {
        EventError::Malformed
    }
}

impl Head {
    /// Reads the head of an event of any version.
    pub fn decode(bytes: &[u8]) -> Result<Head, EventError> {
        let read = |d: &mut Decoder<'_>| {
            if length(d)? < 4 {
                return Err(Malformed);
            }
            Ok(Head { version: d.u64()?, sequence: d.u64()?, previous: array(d)?, time_ms: d.u64()? })
        };
        Ok(read(&mut Decoder::new(bytes))?)
    }
}

impl Event {
    /// The event as bytes, the leaf of the tree.
    pub fn encode(&self) -> Vec<u8> {
        let Event { sequence, previous, entry } = self;
        let bytes = written(|e| {
            e.array(MEMBERS)?.u64(VERSION)?.u64(*sequence)?.bytes(previous)?.u64(entry.time_ms)?;
            write_actor(&entry.actor, e)?;
            e.u8(entry.source as u8)?.u8(entry.outcome as u8)?;
            entry.request.write(e)?;
            entry.act.write(e)?;
            entry.detail.write(e)
        });
        bytes.to_vec()
    }

    /// Reads an event of this version or an earlier one.
    pub fn decode(bytes: &[u8]) -> Result<Event, EventError> {
        let head = Head::decode(bytes)?;
        if head.version > VERSION {
            return Err(EventError::Newer { found: head.version, max: VERSION });
        }
        Ok(decoded(
            bytes,
            |event: &Event| event.encode().into(),
            |d| {
                fixed(d, MEMBERS)?;
                d.u64()?;
                let (sequence, previous, time_ms) = (d.u64()?, array(d)?, d.u64()?);
                let entry = Entry {
                    time_ms,
                    actor: read_actor(d)?,
                    source: read_source(d)?,
                    outcome: read_outcome(d)?,
                    request: Field::read(d)?,
                    act: Field::read(d)?,
                    detail: Field::read(d)?,
                };
                Ok(Event { sequence, previous, entry })
            },
        )?)
    }
}

fn write_actor(actor: &Actor, e: &mut Encoder<Sink>) -> Written {
    match actor {
        Actor::Host => e.array(1)?.u8(0).map(drop),
        Actor::Engine => e.array(1)?.u8(1).map(drop),
        Actor::ApiKey { key, address } => {
            e.array(3)?.u8(2)?;
            key.write(e)?;
            address.write(e)
        }
        Actor::EndUser(subject) => {
            e.array(2)?.u8(3)?;
            subject.write(e)
        }
    }
}

fn read_actor(d: &mut Decoder<'_>) -> Result<Actor, Malformed> {
    Ok(match (length(d)?, d.u8()?) {
        (1, 0) => Actor::Host,
        (1, 1) => Actor::Engine,
        (3, 2) => Actor::ApiKey { key: Field::read(d)?, address: Field::read(d)? },
        (2, 3) => Actor::EndUser(Field::read(d)?),
        _ => return Err(Malformed),
    })
}

fn read_source(d: &mut Decoder<'_>) -> Result<Source, Malformed> {
    let all = [Source::Library, Source::Rest, Source::Grpc, Source::CommandLine, Source::Worker];
    all.get(usize::from(d.u8()?)).copied().ok_or(Malformed)
}

fn read_outcome(d: &mut Decoder<'_>) -> Result<Outcome, Malformed> {
    let all = [Outcome::Done, Outcome::Denied, Outcome::Failed];
    all.get(usize::from(d.u8()?)).copied().ok_or(Malformed)
}

#[cfg(test)]
pub(super) mod tests;
