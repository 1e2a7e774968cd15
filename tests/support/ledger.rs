//! What a store must hold after a crash: the oracle of the suites that run writers against a real process.
//!
//! Every change is written down before it is asked for. Invariants: no two changes that are under way touch the same
//! id, and an erasure under way shuts out every write of its person; so the state after a crash is what was
//! acknowledged plus each change under way, whole or not at all.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Numbers in a vector.
pub const DIMENSION: usize = 8;
/// Data subjects; every eighth of them is nobody.
const PERSONS: u64 = 32;
/// Record ids of one person.
const IDS: u64 = 16;
/// Records of one batch at most.
const BATCH_MAX: usize = 8;

/// Record id → version.
pub type State = BTreeMap<u64, u64>;

/// Record id → the version after it; none if it is gone then.
pub type Change = BTreeMap<u64, Option<u64>>;

/// A change that is under way.
#[derive(Clone, Debug)]
pub struct Ticket {
    number: u64,
    /// What it does.
    pub change: Change,
}

/// What was acknowledged, and what is under way.
#[derive(Default)]
pub struct Ledger {
    state: State,
    open: BTreeMap<u64, Change>,
    next: u64,
    /// Answers come too late to count.
    frozen: bool,
}

/// The data subject of a record.
#[must_use]
pub fn entity_of(id: u64) -> Option<String> {
    let person = id / IDS;
    (person % 8 != 7).then(|| format!("person-{person}"))
}

/// The vector that `version` of a record has: bits that no rounding would keep by chance.
#[must_use]
pub fn vector_of(id: u64, version: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(id << 32 | version);
    (0..DIMENSION).map(|_| rng.random_range(-(1 << 20)..1 << 20) as f32 / 1024.0).collect()
}

/// The payload that `version` of a record has.
#[must_use]
pub fn payload_of(id: u64, version: u64) -> Value {
    json!({ "version": version, "text": "x".repeat((id * 7 + version) as usize % 200) })
}

/// The version of a record as it was read, if that is exactly what was once written.
///
/// # Errors
/// What is different from what was written.
pub fn version_of(id: u64, entity: Option<&str>, vector: &[f32], payload: &Value) -> Result<u64, String> {
    let version = payload["version"].as_u64().ok_or_else(|| format!("record {id} has lost its payload"))?;
    if entity != entity_of(id).as_deref() {
        return Err(format!("record {id} belongs to somebody else"));
    }
    let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if bits(vector) != bits(&vector_of(id, version)) {
        return Err(format!("the vector of record {id}, version {version}, is not the one written"));
    }
    if *payload != payload_of(id, version) {
        return Err(format!("the payload of record {id}, version {version}, is not the one written"));
    }
    Ok(version)
}

impl Ledger {
    /// Everything that was acknowledged.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Every id that may ever be written.
    #[must_use]
    pub fn ids() -> std::ops::Range<u64> {
        0..PERSONS * IDS
    }

    /// Every data subject there may be.
    pub fn entities() -> impl Iterator<Item = String> {
        (0..PERSONS).filter_map(|person| entity_of(person * IDS))
    }

    /// A batch for a writer: new records and overwritten ones of one or two persons, or deletes.
    pub fn write(&mut self, rng: &mut StdRng) -> Ticket {
        let version = self.next + 1;
        let after = if rng.random_ratio(1, 6) { None } else { Some(version) };
        let persons = [rng.random_range(0..PERSONS), rng.random_range(0..PERSONS)];
        let count = rng.random_range(1..=BATCH_MAX);
        let any = |rng: &mut StdRng| persons[rng.random_range(0..2)] * IDS + rng.random_range(0..IDS);
        let ids: Vec<u64> = (0..count).map(|_| any(rng)).filter(|id| self.is_free(*id)).collect();
        self.begin(ids.into_iter().map(|id| (id, after)).collect())
    }

    /// A person whom nobody is writing to, erased.
    pub fn erase(&mut self, rng: &mut StdRng) -> Option<(String, Ticket)> {
        let person = rng.random_range(0..PERSONS);
        let ids = person * IDS..(person + 1) * IDS;
        let entity = entity_of(ids.start).filter(|_| ids.clone().all(|id| self.is_free(id)))?;
        Some((entity, self.begin(ids.map(|id| (id, None)).collect())))
    }

    fn is_free(&self, id: u64) -> bool {
        self.open.values().all(|change| !change.contains_key(&id))
    }

    fn begin(&mut self, change: Change) -> Ticket {
        self.next += 1;
        self.open.insert(self.next, change.clone());
        Ticket { number: self.next, change }
    }

    /// The store said that the change is safe.
    pub fn acknowledge(&mut self, ticket: &Ticket) {
        if let Some(change) = self.open.get(&ticket.number).filter(|_| !self.frozen).cloned() {
            self.open.remove(&ticket.number);
            self.apply(&change);
        }
    }

    /// From now to the next [`Ledger::settle`] no answer counts: who has lost power could not have given it.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// The store said that the change did not happen.
    pub fn refuse(&mut self, ticket: &Ticket) {
        self.open.remove(&ticket.number);
    }

    fn apply(&mut self, change: &Change) {
        for (id, version) in change {
            match version {
                Some(version) => self.state.insert(*id, *version),
                None => self.state.remove(id),
            };
        }
    }

    /// Holds what a store has after a crash against what it must have, and goes on from there.
    ///
    /// # Errors
    /// What is missing, torn or made up.
    pub fn settle(&mut self, found: &State) -> Result<(), String> {
        self.frozen = false;
        for change in std::mem::take(&mut self.open).into_values() {
            if change.iter().all(|(id, version)| found.get(id) == version.as_ref()) {
                self.apply(&change);
            } else if change.keys().any(|id| found.get(id) != self.state.get(id)) {
                return Err(format!("an unanswered change of {} records is there in part", change.len()));
            }
        }
        let lost = self.state.iter().filter(|(id, version)| found.get(id) != Some(version)).count();
        let invented = found.keys().filter(|id| !self.state.contains_key(id)).count();
        if lost + invented > 0 {
            return Err(format!(
                "{lost} acknowledged records are gone or older, {invented} are there that must not be"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (Ledger, Ticket, Ticket) {
        let mut ledger = Ledger::default();
        let safe = ledger.begin([(1, Some(7)), (2, Some(7))].into());
        ledger.acknowledge(&safe);
        let open = ledger.begin([(2, Some(8)), (3, Some(8))].into());
        (ledger, safe, open)
    }

    fn settle(found: &[(u64, u64)]) -> Result<(), String> {
        ledger().0.settle(&found.iter().copied().collect())
    }

    #[test]
    fn a_change_under_way_may_be_there_or_not() {
        assert_eq!(settle(&[(1, 7), (2, 7)]), Ok(()));
        assert_eq!(settle(&[(1, 7), (2, 8), (3, 8)]), Ok(()));
    }

    #[test]
    fn what_is_lost_torn_or_made_up_is_caught() {
        for wrong in [&[(2, 7)][..], &[(1, 6), (2, 7)], &[(1, 7), (2, 8)], &[(1, 7), (2, 7), (3, 8)], &[]] {
            assert!(settle(wrong).is_err(), "{wrong:?}");
        }
        assert!(settle(&[(1, 7), (2, 7), (9, 9)]).is_err());
    }

    #[test]
    fn a_refused_change_must_not_be_there() {
        let (mut ledger, _, open) = ledger();
        ledger.refuse(&open);
        assert!(ledger.settle(&[(1, 7), (2, 8), (3, 8)].into()).is_err());
    }

    #[test]
    fn an_answer_after_the_end_does_not_count() {
        let (mut ledger, _, open) = ledger();
        ledger.freeze();
        ledger.acknowledge(&open);
        assert_eq!(ledger.settle(&[(1, 7), (2, 7)].into()), Ok(()));
    }

    #[test]
    fn changes_under_way_do_not_meet() {
        let (mut ledger, mut rng) = (Ledger::default(), StdRng::seed_from_u64(1));
        for _ in 0..500 {
            let ticket = ledger.write(&mut rng);
            let others = ledger.open.iter().filter(|(number, _)| **number != ticket.number);
            assert!(others.flat_map(|(_, change)| change.keys()).all(|id| !ticket.change.contains_key(id)));
            if rng.random_ratio(1, 2) {
                ledger.acknowledge(&ticket);
            }
        }
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let (vector, payload) = (vector_of(5, 9), payload_of(5, 9));
        assert_eq!(version_of(5, Some("person-0"), &vector, &payload), Ok(9));
        let mut other = vector.clone();
        other[3] = f32::from_bits(other[3].to_bits() ^ 1);
        assert!(version_of(5, Some("person-0"), &other, &payload).is_err());
        assert!(version_of(5, Some("person-1"), &vector, &payload).is_err());
        assert!(version_of(5, Some("person-0"), &vector, &payload_of(5, 10)).is_err());
    }
}
