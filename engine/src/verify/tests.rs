//! An index that opens and lies is found; a scrub comes when it is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::backend::Memory;
use storage::segment::{EntityMap, IdMap};

use super::*;
use crate::clock::Clock;
use crate::database::Database;
use crate::environment::Environment;
use crate::record::Record;
use crate::root_key::RootKey;
use crate::scrub::{Scrub, scrub_due};
use crate::settings::Settings;

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn furnish(clock: &Arc<Hand>) -> Environment {
    let settings = Settings { background: false, flat_below: 8, degree: 8, ..Settings::default() };
    let db = Database::builder("memory").backend(Arc::new(Memory::new())).root_key(RootKey::bytes([7; 32]));
    let db = db.settings(settings).clock(Arc::clone(clock) as Arc<dyn Clock>).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert((1..40u64).map(|id| Record::new(id, vec![id as f32, 3.0]).entity(format!("owner-{}", id % 3))))
        .unwrap();
    env.flush().unwrap();
    env
}

fn rows(index: &Index) -> impl Iterator<Item = (RecordId, Sequence)> {
    (0..39).map(|at| (index.ids.id(at).unwrap(), index.ids.sequence(at).unwrap()))
}

#[test]
fn an_index_that_opens_and_lies_is_found() {
    let env = furnish(&Arc::default());
    let state = env.state.all().remove(0);
    let view = state.view().segments[0].clone();
    let fresh = || view.segment.decode_index(&view.segment.index_file(&env.state.keys).unwrap()).unwrap();
    let check = |index: &Index| compare(&env.state, &state, &view.segment, index);
    let sound = fresh();
    assert!(check(&sound).is_ok() && sound.ann.graph().is_some());

    let swapped: Vec<_> = rows(&sound).map(|(id, sequence)| (id, sequence + 1)).collect();
    assert!(check(&Index { ids: IdMap::build(swapped).unwrap(), ..fresh() }).is_err());
    let mut moved: Vec<_> = rows(&sound).collect();
    moved.rotate_left(1);
    assert!(check(&Index { ids: IdMap::build(moved).unwrap(), ..fresh() }).is_err());
    let disowned = vec![None; 39];
    assert!(check(&Index { entities: EntityMap::build(&disowned).unwrap(), ..fresh() }).is_err());
    let mut graph = sound.ann.encode_codes();
    let at = graph.len() / 2;
    graph[at] ^= 1;
    let ann = index::Ann::decode(&state.space, &graph, &sound.ann.encode_graph()).unwrap();
    assert!(check(&Index { ann, ..fresh() }).is_err());

    let mut seen = HashSet::new();
    assert!(check_once(&view, &sound, &mut seen).is_ok());
    assert!(check_once(&view, &sound, &mut seen).is_err());
}

#[test]
fn a_scrub_comes_when_it_is_due() {
    let clock = Arc::new(Hand::default());
    let env = furnish(&clock);
    let name = env.state.all()[0].view().segments[0].segment.path();
    let due = |day: u64| {
        clock.0.store(day * 24 * 60 * 60 * 1000, Ordering::Relaxed);
        scrub_due(&env.state, &|| false).unwrap()
    };
    assert_eq!(due(8), Scrub::Sound(name.clone()));
    assert_eq!(due(8), Scrub::Idle);
    assert_eq!(due(14), Scrub::Idle);
    assert_eq!(due(15), Scrub::Sound(name.clone()));
    // A clock that ran back makes nothing due.
    assert_eq!(due(3), Scrub::Idle);
    // A scrub that was stopped is no scrub.
    clock.0.store(30 * 24 * 60 * 60 * 1000, Ordering::Relaxed);
    assert_eq!(scrub_due(&env.state, &|| true).unwrap(), Scrub::Idle);
    assert_eq!(due(30), Scrub::Sound(name));
}
