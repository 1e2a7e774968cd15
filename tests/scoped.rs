//! What a key for some data subjects may write: theirs, as if nobody else were there.
//!
//! The oracle is a second database in which nobody else is: whatever the key does in the first must answer there, done by the
//! host, word for word and sequence for sequence the same, and both must hold the same of those data subjects afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{
    ApiKeyClass, ApiKeyRequest, Collection, Credentials, Database, Environment, Error, ErrorKind, Filter, Limits,
    Record,
};
use lethedb_tests::world::over;
use proptest::prelude::*;
use serde_json::json;
use storage::backend::{Memory, StorageBackend};

const ENVIRONMENT: &str = "acme";
const MINE: [&str; 3] = ["mine:1", "mine:2", "named"];
const OTHERS: [Option<&str>; 3] = [Some("other:1"), Some("mines:1"), None];
const IDS: u64 = 8;

struct World {
    env: Environment,
    host: Collection,
    /// As the key has it.
    scoped: Collection,
    /// Where writes go that only count.
    aside: Collection,
    _db: Database,
}

impl World {
    fn new(seed: u64) -> Self {
        let memory: Arc<dyn StorageBackend> = Arc::new(Memory::default());
        let db = over(memory, seed).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        let host = env.collection("docs").dimension(2).create().unwrap();
        let aside = env.collection("aside").dimension(2).create().unwrap();
        let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, ENVIRONMENT);
        request.roles = vec!["Developer".to_owned()];
        request.entity_types = Some(vec!["mine".to_owned()]);
        request.entities = Some(vec!["named".to_owned()]);
        let key = db.access().create(&request).unwrap().text;
        let session = db.authorize(&Credentials::api_key(&key)).unwrap();
        let scoped = session.environment(ENVIRONMENT).unwrap().open_collection("docs").unwrap();
        Self { env, host, scoped, aside, _db: db }
    }

    /// Takes one sequence and changes nothing that is looked at.
    fn pass(&self) {
        self.aside.upsert([Record::new(1, vec![1.0, 0.0])]).unwrap();
    }

    /// Every record, by its id: whose, its payload and its vector, and when it was written.
    fn all(&self) -> BTreeMap<String, (Option<String>, String, u64)> {
        let page = self.host.scroll().limit(1000).with_vector(true).run().unwrap();
        let one = |record: &Record| {
            let text = format!("{:?} {:?}", record.payload_json(), record.vector());
            (format!("{:?}", record.id()), (record.entity_id().map(str::to_owned), text, record.sequence()))
        };
        page.records.iter().map(one).collect()
    }
}

/// A record that is to be written, and what is expected to be there.
#[derive(Clone, Debug)]
struct Written {
    id: u64,
    entity: Option<&'static str>,
    expects: Expects,
}

#[derive(Clone, Copy, Debug)]
enum Expects {
    Anything,
    Absent,
    /// The version that the host sees there, whosever it is.
    Present,
}

#[derive(Clone, Debug)]
enum Act {
    Upsert(Vec<Written>),
    UpsertEach(Vec<Written>),
    Delete(Vec<u64>),
    DeleteMatching(u64),
    Update(Vec<u64>),
    UpdateMatching(u64),
    /// Somebody else's record, written by the host.
    Foreign(u64, usize),
    ForeignGoes(u64),
    Flush,
}

fn act() -> impl Strategy<Value = Act> {
    let entity = prop_oneof![
        8 => (0..MINE.len()).prop_map(|at| Some(MINE[at])),
        1 => (0..OTHERS.len()).prop_map(|at| OTHERS[at]),
    ];
    let expects = prop_oneof![Just(Expects::Anything), Just(Expects::Absent), Just(Expects::Present)];
    let written = (0..IDS, entity, expects).prop_map(|(id, entity, expects)| Written { id, entity, expects });
    let batch = || prop::collection::vec(written.clone(), 1..5);
    let ids = || prop::collection::vec(0..IDS, 1..5);
    prop_oneof![
        4 => batch().prop_map(Act::Upsert),
        4 => batch().prop_map(Act::UpsertEach),
        2 => ids().prop_map(Act::Delete),
        1 => (0..4_u64).prop_map(Act::DeleteMatching),
        2 => ids().prop_map(Act::Update),
        1 => (0..4_u64).prop_map(Act::UpdateMatching),
        4 => (0..IDS, 0..OTHERS.len()).prop_map(|(id, of)| Act::Foreign(id, of)),
        1 => (0..IDS).prop_map(Act::ForeignGoes),
        1 => Just(Act::Flush),
    ]
}

fn record(id: u64, entity: Option<&str>, n: u64) -> Record {
    let record = Record::new(id, vec![1.0, n as f32]).payload(json!({"n": n % 4}));
    match entity {
        Some(entity) => record.entity(entity),
        None => record,
    }
}

fn told(error: &Error) -> String {
    format!("{:?}: {error}", error.kind())
}

fn is_mine(entity: Option<&str>) -> bool {
    entity.is_some_and(|entity| MINE.contains(&entity))
}

/// The collection of others, the one without them, and how many writes the key has tried.
struct Pair {
    with: World,
    without: World,
    tries: u64,
}

impl Pair {
    fn records(&self, batch: &[Written], only_mine: bool) -> Vec<Record> {
        let seen = self.with.all();
        let version =
            |id: u64| seen.get(&format!("{:?}", engine::RecordId::from(id))).map_or(7_777_777, |found| found.2);
        let batch = batch.iter().filter(|written| !only_mine || is_mine(written.entity));
        let one = |written: &Written| {
            let record = record(written.id, written.entity, self.tries);
            match written.expects {
                Expects::Anything => record,
                Expects::Absent => record.if_absent(),
                Expects::Present => record.if_version(version(written.id)),
            }
        };
        batch.map(one).collect()
    }

    fn upsert(&mut self, batch: &[Written]) {
        let (all, mine) = (self.records(batch, false), self.records(batch, true));
        let answer = self.with.scoped.upsert(all).map(|as_of| as_of.sequence);
        if let Some(at) = batch.iter().position(|written| !is_mine(written.entity)) {
            let refused = answer.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Denied);
            assert!(refused.to_string().contains(&format!("records[{at}]")), "{refused}");
            return;
        }
        let expected = self.without.host.upsert(mine).map(|as_of| as_of.sequence);
        assert_eq!(answer.map_err(|e| told(&e)), expected.map_err(|e| told(&e)), "{batch:?}");
    }

    fn upsert_each(&mut self, batch: &[Written]) {
        let (all, mine) = (self.records(batch, false), self.records(batch, true));
        let answer = self.with.scoped.upsert_each(all).unwrap();
        let places: Vec<usize> = (0..batch.len()).filter(|at| is_mine(batch[*at].entity)).collect();
        let expected = self.without.host.upsert_each(mine).unwrap();
        let mut errors: Vec<(usize, String)> =
            expected.errors.iter().map(|(at, error)| (places[*at], told(error))).collect();
        let (denied, others): (Vec<_>, Vec<_>) =
            answer.errors.iter().partition(|(_, error)| error.kind() == ErrorKind::Denied);
        assert!(denied.iter().map(|(at, _)| *at).eq((0..batch.len()).filter(|at| !places.contains(at))), "{batch:?}");
        errors.sort_unstable();
        let others: Vec<_> = others.iter().map(|(at, error)| (*at, told(error))).collect();
        assert_eq!((answer.written, others), (expected.written, errors), "{batch:?}");
        assert_eq!(answer.as_of.sequence, expected.as_of.sequence, "{batch:?}");
    }

    fn run(&mut self, act: &Act) {
        self.tries += 1;
        let set = json!({ "n": self.tries % 4, "tried": self.tries });
        let (with, without) = (&self.with, &self.without);
        let counts = match act {
            Act::Upsert(batch) => return self.upsert(&batch.clone()),
            Act::UpsertEach(batch) => return self.upsert_each(&batch.clone()),
            Act::Delete(ids) => [&with.scoped, &without.host].map(|docs| {
                let deleted = docs.delete(ids.iter().copied()).unwrap();
                (deleted.count, deleted.as_of.sequence)
            }),
            Act::DeleteMatching(n) => [&with.scoped, &without.host].map(|docs| {
                let deleted = docs.delete_matching(&Filter::eq("n", *n as i64)).unwrap();
                (deleted.count, deleted.as_of.sequence)
            }),
            Act::Update(ids) => [&with.scoped, &without.host].map(|docs| {
                let updated = docs.update(ids.iter().copied()).set(set.clone()).run().unwrap();
                (updated.count, updated.as_of.sequence)
            }),
            Act::UpdateMatching(n) => [&with.scoped, &without.host].map(|docs| {
                let updated = docs.update_matching(Filter::eq("n", *n as i64)).set(set.clone()).run().unwrap();
                (updated.count, updated.as_of.sequence)
            }),
            Act::Foreign(id, of) => {
                with.host.upsert([record(*id, OTHERS[*of], self.tries)]).unwrap();
                // What of theirs it replaces is gone there, too.
                if without.host.delete([*id]).unwrap().count == 0 {
                    without.pass();
                }
                return;
            }
            Act::ForeignGoes(id) => {
                let found = with.host.get(*id).unwrap();
                if found.is_some_and(|found| !is_mine(found.entity_id())) {
                    with.host.delete([*id]).unwrap();
                    without.pass();
                }
                return;
            }
            Act::Flush => {
                with.env.flush().unwrap();
                without.env.flush().unwrap();
                return;
            }
        };
        assert_eq!(counts[0], counts[1], "{act:?}");
    }

    /// Compares what there is, and takes out of the second what the first let nobody put in the place of somebody else's.
    fn settle(&mut self, before: &BTreeMap<String, (Option<String>, String, u64)>, act: &Act) {
        let (with, without) = (self.with.all(), self.without.all());
        let is_foreign = |found: &&(Option<String>, String, u64)| !is_mine(found.0.as_deref());
        if !matches!(act, Act::Foreign(..) | Act::ForeignGoes(_)) {
            let of_others = |all: &BTreeMap<_, _>| -> Vec<_> {
                let others = all.iter().filter(|(_, found)| is_foreign(found));
                others
                    .map(|(id, found): (&String, &(Option<String>, String, u64))| (id.clone(), found.clone()))
                    .collect()
            };
            assert_eq!(of_others(before), of_others(&with), "{act:?} touched what is somebody else's");
        }
        let taken: BTreeSet<u64> = (0..IDS)
            .filter(|id| {
                let id = format!("{:?}", engine::RecordId::from(*id));
                with.get(&id).as_ref().is_some_and(is_foreign) && without.contains_key(&id)
            })
            .collect();
        if !taken.is_empty() {
            self.without.host.delete(taken.iter().copied()).unwrap();
            self.with.pass();
        }
        let mine: BTreeMap<_, _> = with.into_iter().filter(|(_, found)| !is_foreign(&found)).collect();
        assert_eq!(mine, self.without.all(), "{act:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn who_writes_for_some_learns_of_nobody_else(acts in prop::collection::vec(act(), 1..40), seed: u64) {
        let mut pair = Pair { with: World::new(seed), without: World::new(seed), tries: 0 };
        for act in &acts {
            let before = pair.with.all();
            pair.run(act);
            pair.settle(&before, act);
        }
    }
}

/// A collection that is full is full for whoever would add to it, whatever lies there already.
#[test]
fn room_is_no_way_to_find_out_who_is_there() {
    let world = World::new(1);
    world.host.upsert([record(1, Some("other:1"), 0), record(2, Some("mine:1"), 0)]).unwrap();
    world.host.set_limits(Limits { records_max: Some(2), payload_bytes_max: None }).unwrap();
    let refused = |id: u64| told(&world.scoped.upsert([record(id, Some("mine:1"), 1)]).unwrap_err());
    assert_eq!(refused(1), refused(3));
    world.scoped.upsert([record(2, Some("mine:2"), 1)]).unwrap();
    assert_eq!(world.host.get(1).unwrap().unwrap().entity_id(), Some("other:1"));
}

/// What is refused for want of reach is told, and writes that reach nothing are told as writes of nothing.
#[test]
fn the_log_tells_what_was_refused_and_what_was_written() {
    let world = World::new(2);
    world.host.upsert([record(1, Some("other:1"), 0)]).unwrap();
    assert_eq!(world.scoped.upsert([record(2, Some("other:1"), 0)]).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(world.scoped.upsert([record(2, None, 0)]).unwrap_err().kind(), ErrorKind::Denied);
    world.scoped.upsert([record(1, Some("mine:1"), 0)]).unwrap();
    assert!(world.scoped.get(1).unwrap().is_none());
    world.env.flush().unwrap();
    let told = |action: &str| world.env.audit().action(action).limit(100).run().unwrap().events;
    let denied = told("access.denied");
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].actor.starts_with("api-key:"), "{denied:?}");
    let written = told("records.written");
    assert!(written.iter().any(|event| event.actor.starts_with("api-key:")), "{written:?}");
}
