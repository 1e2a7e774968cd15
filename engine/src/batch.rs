//! Records on their way to the log: each checked, with what the record that it replaces is expected to be.
//!
//! Invariant: no id is there twice; of several records with one id that can be stored by themselves only the last counts,
//! with its expectation. What is here may be logged as it is, because what is logged is replayed.
//!
//! Whoever may write of some data subjects alone puts in the place of nobody else's record: where one of another is, the write
//! answers as if nothing were there, and leaves it as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use privacy::EntityId;
use privacy::access::Entities;
use serde_json::Value;
use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;
use storage::wal::Entry;

use crate::consents::refusal;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;
use crate::record::{Expected, Record};
use crate::rules::Rules;
use crate::settings::Settings;
use crate::snapshot::View;
use crate::state::CollectionState;

/// Lists and objects that a payload may hold in one another: so many that whoever asks can read it back, whichever way. Readers
/// of protobuf stop at 100 messages in one another, of which an object takes three and what stands around a payload three.
const PAYLOAD_DEPTH_MAX: usize = 32;

/// A record and where the caller's batch had it.
pub(crate) struct Candidate {
    pub at: usize,
    pub expected: Expected,
    pub record: StoredRecord,
}

/// Records that can be stored.
pub(crate) struct Batch {
    pub candidates: Vec<Candidate>,
    /// Records that the collection may hold, if that is limited.
    records_max: Option<u64>,
    /// Whose records may be written; none if everybody's.
    subjects: Option<Arc<Entities>>,
    /// How many were taken out because they would have replaced a record of somebody else.
    passed_over: usize,
}

/// Records that cannot be stored, by their places in the batch.
pub(crate) type Errors = Vec<(usize, Error)>;

impl Batch {
    /// Checks every record by itself.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too large.
    pub fn gather(
        settings: &Settings,
        state: &CollectionState,
        subjects: Option<&Arc<Entities>>,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<(Self, Errors)> {
        let (mut candidates, mut errors, mut bytes) = (Vec::new(), Errors::new(), 0usize);
        let rules = state.rules();
        for (at, record) in records.into_iter().enumerate() {
            if at >= settings.batch_records_max {
                return Err(too_many(settings));
            }
            let expected = record.expected;
            match check(settings, state, &rules, record).and_then(|record| within(subjects, record)) {
                Ok(record) => {
                    bytes = bytes.saturating_add(record.bytes());
                    candidates.push(Candidate { at, expected, record });
                }
                Err(error) => errors.push((at, error)),
            }
            if bytes > settings.batch_bytes_max {
                return Err(too_large(settings));
            }
        }
        // The last one with an id wins, of those that are usable; the order of the others is kept.
        let last: BTreeMap<RecordId, usize> =
            candidates.iter().map(|candidate: &Candidate| (candidate.record.id, candidate.at)).collect();
        if last.len() < candidates.len() {
            candidates.retain(|candidate| last.get(&candidate.record.id) == Some(&candidate.at));
        }
        let (records_max, subjects) = (rules.limits.records_max, subjects.cloned());
        Ok((Self { candidates, records_max, subjects, passed_over: 0 }, errors))
    }

    /// What its records expect to be there, and how many there may be.
    pub fn conditions(&self) -> Conditions {
        let conditional = self.candidates.iter().filter(|candidate| candidate.expected != Expected::Anything);
        let condition = |candidate: &Candidate| (candidate.record.id, (candidate.at, candidate.expected));
        let room = self.records_max.map(|records_max| {
            let ids = self.candidates.iter().map(|candidate| (candidate.at, candidate.record.id));
            Room { records_max, ids: ids.collect() }
        });
        let ids = || self.candidates.iter().map(|candidate| candidate.record.id);
        let reach = self.subjects.as_ref().map(|subjects| Reach::new(subjects, ids()));
        Conditions { expected: conditional.map(condition).collect(), room, reach, unmet: Vec::new() }
    }

    /// Takes out the records that would have replaced one of somebody beyond the reach of whoever writes.
    pub fn pass_over(&mut self, conditions: &Conditions) {
        let (before, beyond) = (self.candidates.len(), conditions.beyond());
        self.candidates.retain(|candidate| !beyond.contains(&candidate.record.id));
        self.passed_over += before - self.candidates.len();
    }

    /// How many its writer is told were stored, once what is left of it is.
    pub fn count(&self) -> usize {
        self.candidates.len() + self.passed_over
    }

    /// Takes out the records whose conditions did not hold, and says so of each.
    pub fn refuse(&mut self, conditions: &Conditions) -> Errors {
        let is_met = |at: &usize| conditions.unmet.binary_search_by_key(at, |(unmet, _)| *unmet).is_err();
        self.candidates.retain(|candidate| is_met(&candidate.at));
        conditions.unmet.iter().map(|(at, unmet)| (*at, unmet.error())).collect()
    }

    /// Places of the records that are somebody's, and whose.
    pub fn owners(&self) -> impl Iterator<Item = (usize, &EntityId)> {
        self.candidates.iter().filter_map(|candidate| Some((candidate.at, candidate.record.entity.as_ref()?)))
    }

    /// Takes out all records, as the write `sequence` stores them.
    pub fn take(&mut self, sequence: Sequence) -> Vec<StoredRecord> {
        let with_sequence = |mut candidate: Candidate| {
            candidate.record.sequence = sequence;
            candidate.record
        };
        mem::take(&mut self.candidates).into_iter().map(with_sequence).collect()
    }
}

/// What must hold when a write is given its sequence.
#[derive(Default)]
pub(crate) struct Conditions {
    /// By the ids of the records: their places in the batch, and what is expected to be there.
    expected: BTreeMap<RecordId, (usize, Expected)>,
    room: Option<Room>,
    reach: Option<Reach>,
    /// Those that did not hold when it was looked last, by the places of the records.
    unmet: Vec<(usize, Unmet)>,
}

/// Whose records a write may replace or delete.
struct Reach {
    subjects: Arc<Entities>,
    /// Those of the write.
    ids: BTreeSet<RecordId>,
    /// Those of them under which, when it was looked last, there was a record of somebody else.
    beyond: BTreeSet<RecordId>,
}

impl Reach {
    fn new(subjects: &Arc<Entities>, ids: impl Iterator<Item = RecordId>) -> Self {
        Self { subjects: Arc::clone(subjects), ids: ids.collect(), beyond: BTreeSet::new() }
    }

    fn look(&mut self, view: &View, keys: &Keys) -> Result<()> {
        let mut beyond = BTreeSet::new();
        for id in &self.ids {
            if view.is_of(id, &self.subjects, keys)? == Some(false) {
                beyond.insert(*id);
            }
        }
        self.beyond = beyond;
        Ok(())
    }
}

/// How many records there may be after a write.
struct Room {
    records_max: u64,
    /// Those of the write, with their places in the batch.
    ids: Vec<(usize, RecordId)>,
}

/// A condition that did not hold.
#[derive(Clone, Copy)]
enum Unmet {
    Expected(Expected),
    /// There may be so many records and no more.
    Room(u64),
    /// Whose it is revoked consent.
    Consent,
}

impl Unmet {
    fn error(self) -> Error {
        match self {
            Self::Expected(expected) => conflict(expected),
            Self::Consent => refusal(),
            Self::Room(records_max) => Error::new(
                ErrorKind::LimitReached,
                format!("the collection may hold at most {records_max} records; delete some or raise its limit"),
            ),
        }
    }
}

impl Conditions {
    /// Those of deleting `ids`, for whoever may delete records of `subjects` alone.
    pub fn of_deletion(subjects: Option<&Arc<Entities>>, ids: &[RecordId]) -> Self {
        let reach = subjects.map(|subjects| Reach::new(subjects, ids.iter().copied()));
        Self { reach, ..Self::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.room.is_none() && self.reach.is_none()
    }

    /// The ids under which, when it was looked last, there was a record that is not to be touched.
    fn beyond(&self) -> &BTreeSet<RecordId> {
        static NONE: BTreeSet<RecordId> = BTreeSet::new();
        self.reach.as_ref().map_or(&NONE, |reach| &reach.beyond)
    }

    /// Whether, when it was looked last, the write would have reached beyond what is its writer's, and nothing else spoke
    /// against it.
    pub fn reach_beyond(&self) -> bool {
        self.unmet.is_empty() && !self.beyond().is_empty()
    }

    /// Whether some did not hold when it was looked last.
    pub fn are_unmet(&self) -> bool {
        !self.unmet.is_empty()
    }

    /// Whether these writes, which are on their way into `view`, change whether they hold.
    pub fn depend_on<'a>(&self, writes: impl Iterator<Item = &'a Entry>, view: &View) -> bool {
        let concerns = |id: &RecordId| {
            self.expected.contains_key(id) || self.reach.as_ref().is_some_and(|reach| reach.ids.contains(id))
        };
        let (mut are_any, mut puts) = (false, 0);
        for entry in writes {
            are_any = true;
            let is_expected = match entry {
                Entry::Put { records, .. } => {
                    puts += records.len() as u64;
                    records.iter().any(|record| concerns(&record.id))
                }
                Entry::Delete { ids, .. } => ids.iter().any(concerns),
            };
            if is_expected {
                return true;
            }
        }
        are_any && self.room.as_ref().is_some_and(|room| room.is_scarce(view.live().saturating_add(puts)))
    }

    /// Refuses the records at these ascending places, whose owners revoked consent.
    ///
    /// # Errors
    /// That of the first, if there is any.
    pub fn refuse_revoked(&mut self, places: Vec<usize>) -> Result<()> {
        if let Some(first) = places.first().copied() {
            self.unmet = places.into_iter().map(|at| (at, Unmet::Consent)).collect();
            return Err(of_record(first, refusal()));
        }
        Ok(())
    }

    /// Looks whether all of them hold. What lies beyond the writer's reach is not there.
    ///
    /// # Errors
    /// That of the first record for which they do not; `Corrupt` where nobody can say which record is there. Any, if nothing
    /// but the reach speaks against it ([`Conditions::reach_beyond`]): that is for nobody to see.
    pub fn check(&mut self, view: &View, keys: &Keys) -> Result<()> {
        self.unmet.clear();
        if let Some(reach) = &mut self.reach {
            reach.look(view, keys)?;
        }
        self.unmet = self.find_unmet(view, keys)?;
        if let Some((at, unmet)) = self.unmet.first() {
            return Err(of_record(*at, unmet.error()));
        }
        if self.reach_beyond() {
            Err(Error::new(ErrorKind::Busy, "others write the same records; retry"))
        } else {
            Ok(())
        }
    }

    fn find_unmet(&self, view: &View, keys: &Keys) -> Result<Vec<(usize, Unmet)>> {
        let mut unmet = BTreeMap::new();
        let version = |id: &RecordId| if self.beyond().contains(id) { Ok(None) } else { view.version(id, keys) };
        for (id, (at, expected)) in &self.expected {
            let found = version(id)?;
            let holds = match expected {
                Expected::Anything => true,
                Expected::Absent => found.is_none(),
                Expected::Version(version) => found == Some(*version),
            };
            if !holds {
                unmet.insert(*at, Unmet::Expected(*expected));
            }
        }
        if let Some(room) = self.room.as_ref().filter(|room| room.is_scarce(view.live())) {
            let mut free = room.records_max.saturating_sub(view.live());
            for (at, id) in &room.ids {
                if unmet.contains_key(at) || version(id)?.is_some() {
                    continue;
                }
                match free.checked_sub(1) {
                    Some(less) => free = less,
                    None => drop(unmet.insert(*at, Unmet::Room(room.records_max))),
                }
            }
        }
        Ok(unmet.into_iter().collect())
    }
}

impl Room {
    /// Whether it has to be looked which records are new, where so many may be there.
    fn is_scarce(&self, present: u64) -> bool {
        present.saturating_add(self.ids.len() as u64) > self.records_max
    }
}

fn conflict(expected: Expected) -> Error {
    Error::new(
        ErrorKind::Conflict,
        match expected {
            Expected::Absent => "a record of this id is there",
            _ => "the record is not there in this version; read it again",
        },
    )
}

/// The error about the record at a place of the batch, saying so.
pub(crate) fn of_record(at: usize, error: Error) -> Error {
    error.within(&format!("records[{at}]"))
}

/// What a batch of too many is told.
pub(crate) fn too_many(settings: &Settings) -> Error {
    Error::invalid(format!("a batch may hold at most {} records; send it in parts", settings.batch_records_max))
}

fn too_large(settings: &Settings) -> Error {
    Error::invalid(format!("a batch may hold at most {} bytes; send it in parts", settings.batch_bytes_max))
}

fn is_deeper(value: &Value, depth: usize) -> bool {
    let below = |value| depth == 0 || is_deeper(value, depth - 1);
    match value {
        Value::Array(items) => items.iter().any(below),
        Value::Object(members) => members.values().any(below),
        _ => false,
    }
}

/// The record, if it is of somebody of whom whoever writes it may.
fn within(subjects: Option<&Arc<Entities>>, record: StoredRecord) -> Result<StoredRecord> {
    let is_within = |subjects: &Arc<Entities>| record.entity.as_ref().is_some_and(|entity| subjects.has(entity));
    if subjects.is_none_or(is_within) {
        return Ok(record);
    }
    Err(Error::new(ErrorKind::Denied, "the record's entity is none of those for which record.write was granted"))
}

fn check(settings: &Settings, state: &CollectionState, rules: &Rules, record: Record) -> Result<StoredRecord> {
    state
        .metric
        .check(&record.vector, state.space.dimension())
        .map_err(|e| Error::with(ErrorKind::Invalid, "the vector is not usable", e))?;
    let entity = record
        .entity
        .map(|id| EntityId::new(id).map_err(|e| Error::with(ErrorKind::Invalid, "the entity is not usable", e)))
        .transpose()?;
    if record.payload.as_ref().is_some_and(|payload| is_deeper(payload, PAYLOAD_DEPTH_MAX)) {
        return Err(Error::invalid(format!("the payload is nested over {PAYLOAD_DEPTH_MAX} deep")));
    }
    rules.shape.check(record.payload.as_ref())?;
    let payload = record
        .payload
        .as_ref()
        .map(serde_json::to_vec)
        .transpose()
        .map_err(|_| Error::invalid("the payload is not JSON"))?;
    let bytes_max = rules.limits.payload_bytes_max.unwrap_or(usize::MAX).min(settings.payload_bytes_max);
    if payload.as_ref().is_some_and(|text| text.len() > bytes_max) {
        return Err(Error::invalid(format!("the payload is over {bytes_max} bytes")));
    }
    Ok(StoredRecord { id: record.id, sequence: 0, entity, vector: record.vector, payload })
}
