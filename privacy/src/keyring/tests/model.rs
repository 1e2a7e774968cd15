//! Random histories of extensions, epochs and restarts against plain maps, and what growth does to buckets.

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::super::bucket::{MAX_ENTRIES, MAX_GRAVES};
use super::*;
use crate::{KeyId, Until};

const OWNERS: usize = 6;
const COLLECTIONS: u8 = 3;
/// The first of them is none.
const PERIODS: u64 = 4;
const FILES: u64 = 4;

#[derive(Debug, Clone)]
enum Act {
    /// Keys by owner, collection and period, and logs.
    Extend(Vec<(usize, u8, u64)>, Vec<u64>),
    /// Entries without keys.
    Meet(Vec<usize>),
    /// Prepared, then lost before its frame was synced.
    Lose(usize),
    Epoch {
        entities: Vec<usize>,
        collections: Vec<u8>,
        /// Every key of a period up to this one goes by its id.
        expired: u64,
        kept: Vec<u64>,
    },
    /// Computed, then abandoned before its root page was renamed.
    Abandon(Vec<usize>),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let entities = || vec(0..OWNERS, 0..3);
    prop_oneof![
        4 => (vec((0..OWNERS, 0..COLLECTIONS, 0..PERIODS), 0..5), vec(0..FILES, 0..3)).prop_map(|(d, f)| Act::Extend(d, f)),
        2 => entities().prop_map(Act::Meet),
        1 => (0..OWNERS).prop_map(Act::Lose),
        2 => (entities(), vec(0..COLLECTIONS, 0..2), 0..PERIODS, subsequence((0..FILES).collect::<Vec<_>>(), 0..=4))
            .prop_map(|(entities, collections, expired, kept)| Act::Epoch { entities, collections, expired, kept }),
        1 => entities().prop_map(Act::Abandon),
        2 => Just(Act::Restart),
    ]
}

/// What the keyring must hold, learnt only from what it served right after each extension.
#[derive(Default)]
struct Model {
    deks: HashMap<(Tag, u8, u64), (KeyId, [u8; 32])>,
    blinds: HashMap<Tag, [u8; 32]>,
    destroyed: HashSet<KeyId>,
    logs: HashMap<u64, [u8; 32]>,
}

impl Model {
    fn learn(&mut self, keyring: &Keyring, (owner, collection, period): (Tag, u8, u64)) {
        let (id, dek) = keyring.dek(&owner, [collection; 16], Until::from_ms(period)).unwrap();
        let fresh = !self.deks.values().any(|(known, key)| *known == id || key == dek.expose());
        match self.deks.get(&(owner, collection, period)) {
            Some(known) => assert_eq!(known, &(id, *dek.expose()), "an extension replaces nothing"),
            None => assert!(fresh && !self.destroyed.contains(&id), "a new key is new"),
        }
        self.deks.insert((owner, collection, period), (id, *dek.expose()));
        let blind = *keyring.blind(&owner).unwrap().expose();
        assert_eq!(*self.blinds.entry(owner).or_insert(blind), blind);
    }

    fn remove(&mut self, gone: impl Fn(&Tag, u8, u64) -> bool) -> Vec<KeyId> {
        let (mut ids, mut losers) = (Vec::new(), HashSet::new());
        self.deks.retain(|(owner, collection, period), (id, _)| {
            let gone = gone(owner, *collection, *period);
            ids.extend(gone.then_some(*id));
            losers.extend(gone.then_some(*owner));
            !gone
        });
        self.blinds.retain(|owner, _| !losers.contains(owner) || self.deks.keys().any(|(held, ..)| held == owner));
        self.destroyed.extend(&ids);
        ids.sort_unstable();
        ids
    }

    fn check(&self, keyring: &Keyring, owners: &[Tag]) {
        for &owner in owners {
            for collection in 0..COLLECTIONS {
                for period in 0..PERIODS {
                    let want = self.deks.get(&(owner, collection, period)).copied();
                    let found = keyring.dek(&owner, [collection; 16], Until::from_ms(period));
                    assert_eq!(found.map(|(id, dek)| (id, *dek.expose())), want);
                }
            }
            assert_eq!(keyring.blind(&owner).map(|b| *b.expose()), self.blinds.get(&owner).copied());
        }
        for collection in 0..COLLECTIONS {
            let want = self.deks.iter().filter(|((_, of, _), _)| *of == collection);
            let want: HashSet<_> =
                want.map(|((owner, _, period), (id, _))| (*owner, *id, Until::from_ms(*period))).collect();
            assert_eq!(keyring.keys_of([collection; 16]).collect::<HashSet<_>>(), want);
        }
        for (id, key) in self.deks.values() {
            assert_eq!(keyring.dek_by_id(*id).unwrap().expose(), key);
            assert!(!keyring.is_destroyed(*id));
        }
        for id in &self.destroyed {
            assert!(keyring.dek_by_id(*id).is_none() && keyring.is_destroyed(*id));
        }
        for number in 0..FILES {
            let want = self.logs.get(&number);
            assert_eq!(keyring.log_key(number).map(|key| *key.expose()).as_ref(), want);
            assert!(keyring.index_key(number).is_none() && keyring.job_key(number).is_none());
        }
        assert_eq!(keyring.entity_count(), self.blinds.len());
        assert_eq!(keyring.destroyed_count(), self.destroyed.len());
    }
}

fn wanted(owner: Tag, collection: u8, period: u64) -> Wanted {
    Wanted::Dek { owner, collection: [collection; 16], until: Until::from_ms(period) }
}

fn run(acts: Vec<Act>, seed: u64) {
    let mut world = World::new(seed);
    let mut model = Model::default();
    let mut owners: Vec<Tag> = (1..OWNERS).map(|i| world.tag(&format!("user-{i}"))).collect();
    owners.push(Tag::COLLECTION);
    for act in acts {
        match act {
            Act::Extend(deks, logs) => {
                let wanted = deks.iter().map(|&(i, c, p)| wanted(owners[i], c, p));
                let wanted: Vec<_> = wanted.chain(logs.iter().copied().map(Wanted::Log)).collect();
                world.extend(&wanted);
                for (i, collection, period) in deks {
                    model.learn(&world.keyring, (owners[i], collection, period));
                }
                for number in logs {
                    let key = *world.keyring.log_key(number).unwrap().expose();
                    assert_eq!(*model.logs.entry(number).or_insert(key), key);
                }
            }
            Act::Meet(met) => {
                world.extend(&met.iter().map(|i| Wanted::Blind(owners[*i])).collect::<Vec<_>>());
                for owner in met.into_iter().map(|i| owners[i]) {
                    let blind = *world.keyring.blind(&owner).unwrap().expose();
                    assert_eq!(*model.blinds.entry(owner).or_insert(blind), blind);
                }
            }
            Act::Lose(i) => drop(world.keyring.extend(&[dek(owners[i]), Wanted::Log(0)], &mut world.rng)),
            Act::Epoch { entities, collections, expired, kept } => {
                let entities: Vec<Tag> = entities.into_iter().map(|i| owners[i]).collect();
                let keys = model.deks.iter().filter(|((_, _, period), _)| (1..=expired).contains(period));
                let removal = Removal {
                    keys: keys.map(|(_, (id, _))| *id).chain([KeyId([9; 16])]).collect(),
                    entities: entities.clone(),
                    collections: collections.iter().map(|c| [*c; 16]).collect(),
                    keep_logs: kept.clone(),
                    ..Removal::default()
                };
                let destroyed = world.epoch(&removal);
                let gone = |owner: &Tag, c, period| {
                    entities.contains(owner) || collections.contains(&c) || (1..=expired).contains(&period)
                };
                assert_eq!(destroyed, model.remove(gone));
                model.blinds.retain(|owner, _| !entities.contains(owner));
                model.logs.retain(|number, _| kept.contains(number));
            }
            Act::Abandon(entities) => {
                let entities = entities.into_iter().map(|i| owners[i]).collect();
                let removal = Removal { entities, ..Removal::default() };
                let anchor = Anchor::generate(&mut world.rng);
                drop(world.keyring.epoch(&removal, &world.root_key, &anchor, &mut world.rng));
            }
            Act::Restart => world.keyring = world.reopened(),
        }
        model.check(&world.keyring, &owners);
    }
    model.check(&world.reopened(), &owners);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn histories_match_the_model(acts in vec(act(), 0..24), seed: u64) {
        run(acts, seed);
    }
}

#[test]
fn buckets_split_and_one_erasure_changes_few_pages() {
    let mut world = World::new(1);
    let tags = world.populate(3000);
    world.epoch(&Removal::nothing(&world.keyring));
    let buckets = world.keyring.buckets.iter().len();
    assert!(buckets >= 16, "3000 entries need at least twelve buckets");
    assert!(world.keyring.buckets.iter().all(|b| b.entries.len() <= MAX_ENTRIES && b.graves.len() <= MAX_GRAVES));
    let whole: usize = world.bucket_files.values().map(Vec::len).sum();

    world.erase(&tags[..1]);
    let written = world.bucket_files[&world.keyring.epoch_number()].len();
    assert!(written * 4 < whole, "one erasure wrote {written} of {whole} bytes");

    for tag in &tags[1..200] {
        world.erase(&[*tag]);
        assert!(world.bucket_files.len() <= 8, "small files merge");
    }
    let keyring = world.reopened();
    assert_eq!((keyring.entity_count(), keyring.destroyed_count()), (2800, 200));
    assert!(tags[200..].iter().all(|tag| keyring.dek(tag, COLLECTION, None).is_some()));
    assert_eq!(keyring.buckets.iter().len(), buckets, "erasures alone split nothing");
}

#[test]
fn an_epoch_that_changes_no_entry_writes_no_bucket() {
    let mut world = World::new(2);
    world.populate(3);
    world.epoch(&Removal::default());
    world.extend(&[Wanted::Log(1)]);
    let anchor = Anchor::generate(&mut world.rng);
    let epoch = world.keyring.epoch(&Removal::default(), &world.root_key, &anchor, &mut world.rng);
    assert!(epoch.bucket_file.is_none() && epoch.destroyed.is_empty());
    assert!(epoch.next.log_key(1).is_none(), "a key that is not kept goes");
    assert!(world.keyring.log_key(1).is_some(), "computing an epoch changes nothing");
}

#[test]
fn a_returning_entity_gets_a_new_generation() {
    let mut world = World::new(3);
    let tag = world.populate(1)[0];
    let generation = |world: &World| world.keyring.buckets.entry(&tag).unwrap().generation;
    let (before, (old, _)) = (generation(&world), world.keyring.dek(&tag, COLLECTION, None).unwrap());
    assert_eq!(world.erase(&[tag]), [old]);
    assert!(world.keyring.blind(&tag).is_none());
    world.extend(&[dek(tag)]);
    let (new, _) = world.keyring.dek(&tag, COLLECTION, None).unwrap();
    assert!(new != old && generation(&world) > before);
    assert!(world.keyring.is_destroyed(old) && !world.keyring.is_destroyed(new));
}

#[test]
fn the_root_key_can_be_replaced() {
    let mut world = World::new(4);
    let tag = world.populate(1)[0];
    let (old, old_page) = (*world.root_key.expose(), world.root_page.clone());
    world.root_key = RootKey::generate(&mut world.rng);
    world.epoch(&Removal::nothing(&world.keyring));
    assert!(world.reopened().dek(&tag, COLLECTION, None).is_some());
    assert_eq!(Keyring::inspect(&world.root_page).unwrap().root_key, world.root_key.fingerprint());
    assert_eq!(Keyring::inspect(&old_page).unwrap().root_key, RootKey::from_bytes(old).fingerprint());
}

#[test]
fn durable_keys_survive_every_epoch() {
    let mut world = World::new(5);
    let entity = EntityId::new("alice").unwrap();
    let before = world.keyring.clone();
    world.epoch(&Removal::default());
    let after = world.reopened();
    assert_eq!(before.table_key().expose(), after.table_key().expose());
    assert_eq!(before.order_key().order_hash(&[1; 16]), after.order_key().order_hash(&[1; 16]));
    assert_eq!(before.rotation_seed([1; 16]).expose(), after.rotation_seed([1; 16]).expose());
    assert_eq!(before.tag(&entity), after.tag(&entity));
    assert_eq!(before.signing_key().verifying_key(), after.signing_key().verifying_key());
    assert_eq!(before.audit_key().expose(), after.audit_key().expose());
    assert_ne!(before.audit_key().expose(), before.table_key().expose());
    assert_ne!(before.tag(&entity), World::new(6).keyring.tag(&entity), "tags differ between environments");
}

/// A key added since the epoch changes a bucket in memory; the root page on disk still names its file.
#[test]
fn the_root_page_keeps_its_bucket_files_until_the_next_epoch() {
    let mut world = World::new(11);
    let wanted = |name: &str, world: &World| {
        let owner = world.keyring.tag(&EntityId::new(name).unwrap());
        Wanted::Dek { owner, collection: COLLECTION, until: None }
    };
    let first = wanted("a", &world);
    world.extend(&[first]);
    world.epoch(&Removal::default());
    let named = world.keyring.bucket_files();
    assert!(!named.is_empty());
    let second = wanted("b", &world);
    world.extend(&[second]);
    assert_eq!(world.keyring.bucket_files(), named);
}
