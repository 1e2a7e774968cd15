//! A person goes while a search goes by that person's record: at any point of the erasure, also where a disk that fails
//! ends it half way, the answer is that of somebody who asks afterwards.

use std::sync::{Arc, Mutex};

use storage::backend::Faulty;
use storage::backend::faulty::{Fault, FaultKind};

use crate::clock::Clock;
use crate::collection::Collection;
use crate::database::Database;
use crate::environment::Environment;
use crate::error::ErrorKind;
use crate::record::{Record, RecordId};
use crate::root_key::RootKey;
use crate::settings::Settings;

const RECORDS: u64 = 8;

/// A clock by which a search that times itself does something once, after it has read its examples.
#[derive(Clone, Default)]
struct Trap(Arc<Mutex<Option<Act>>>);

type Act = Box<dyn FnOnce() + Send>;

impl Trap {
    fn set(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(act));
    }

    fn is_set(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }
}

impl Clock for Trap {
    fn now_ms(&self) -> u64 {
        1
    }

    fn now_us(&self) -> u64 {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        1
    }
}

struct World {
    disk: Faulty,
    trap: Trap,
    env: Environment,
    docs: Collection,
    _db: Database,
}

/// Records of one owner each, half of them in a segment.
fn world() -> World {
    let (disk, trap) = (Faulty::new(), Trap::default());
    let settings = Settings { background: false, threads: 1, reserve_bytes: 0, ..Settings::default() };
    let db = Database::builder("memory").backend(Arc::new(disk.clone())).root_key(RootKey::bytes([7; 32]));
    let db = db.settings(settings).clock(Arc::new(trap.clone())).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).create().unwrap();
    let record = |id: u64| Record::new(id, vec![id as f32, 3.0]).entity(format!("owner-{id}"));
    docs.upsert((0..RECORDS / 2).map(record)).unwrap();
    env.flush().unwrap();
    docs.upsert((RECORDS / 2..RECORDS).map(record)).unwrap();
    World { disk, trap, env, docs, _db: db }
}

#[test]
fn no_search_goes_by_a_record_that_was_erased_meanwhile() {
    for victim in [1, 6] {
        let World { trap, env, docs, .. } = world();
        let erase = move || drop(env.erase(format!("owner-{victim}")).run().unwrap());
        trap.set(erase);
        let found = docs.recommend([victim]).explain(true).run();
        assert!(!trap.is_set());
        assert_eq!(found.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn no_search_goes_by_a_record_that_was_hidden_meanwhile() {
    let mut hidden_alone = 0;
    for (victim, after) in [1, 6].into_iter().flat_map(|victim| (0..60).map(move |after| (victim, after))) {
        for by_example in [true, false] {
            let World { disk, trap, env, docs, .. } = world();
            let fails = move || {
                disk.fail(Some(Fault { at: disk.operations() + after, kind: FaultKind::Io, sticky: true }));
                let erased = env.erase(format!("owner-{victim}")).run();
                disk.fail(None);
                drop(erased);
            };
            trap.set(fails);
            let search = if by_example { docs.recommend([victim]) } else { docs.search(&[1.0, 3.0]) };
            let found = search.explain(true).run();
            assert!(!trap.is_set());
            let is_there = docs.get(victim).unwrap().is_some();
            let knows = match found {
                Ok(hits) => by_example || hits.iter().any(|hit| hit.id == RecordId::Num(victim)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    false
                }
            };
            assert_eq!(knows, is_there, "of {victim}, {after} operations on");
            hidden_alone += usize::from(!docs.env.hidden.lock().is_empty());
        }
    }
    assert!(hidden_alone > 0, "no erasure ended between masking and the destruction of keys");
}
