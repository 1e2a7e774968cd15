//! Every page and frame changed, cut, moved and exchanged: a typed error each time, the right one where it matters.

use std::io;

use super::super::bucket::Place;
use super::super::page::encode_root;
use super::super::root_page::{self, FORMAT};
use super::super::{KeyringError, Part};
use super::*;
use crate::InspectError;

type OpenError = OpenKeyringError<Infallible>;

fn world() -> World {
    let mut world = World::new(1);
    world.populate(5);
    world.extend(&[Wanted::Index(3), Wanted::Job(4)]);
    world.epoch(&Removal::nothing(&world.keyring));
    world
}

fn anchor(world: &World) -> Anchor {
    Anchor::from_bytes(world.anchor)
}

/// Makes the checksum right again, as someone who changes a page on purpose would.
fn mend(page: &mut [u8]) {
    use sha2::Digest;
    let digest = sha2::Sha256::new().chain_update(&page[..28]).chain_update(&page[36..]).finalize();
    page[28..36].copy_from_slice(&digest[..8]);
}

#[test]
fn a_changed_root_page_is_damaged() {
    let world = world();
    for at in 0..world.root_page.len() {
        let mut page = world.root_page.clone();
        page[at] ^= 1;
        let error = world.open_with(&world.root_key, &anchor(&world), &page).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { part: Part::Root }), "byte {at}: {error}");
        assert_eq!(Keyring::inspect(&page), Err(InspectError::Damaged));
        let cut = world.open_with(&world.root_key, &anchor(&world), &world.root_page[..at]).err().unwrap();
        assert!(matches!(cut, OpenError::Damaged { part: Part::Root }), "cut to {at}: {cut}");
    }
}

#[test]
fn a_root_page_changed_on_purpose_is_refused() {
    let world = world();
    for at in (0..world.root_page.len()).filter(|at| !(28..36).contains(at)) {
        let mut page = world.root_page.clone();
        page[at] ^= 0x10;
        mend(&mut page);
        assert!(world.open_with(&world.root_key, &anchor(&world), &page).is_err(), "byte {at}");
    }
}

#[test]
fn each_wrong_thing_is_named() {
    let mut world = world();
    let right = anchor(&world);
    let stranger = RootKey::from_bytes([9; 32]);
    match world.open_with(&stranger, &right, &world.root_page) {
        Err(OpenError::WrongRootKey { expected, found }) => {
            assert_eq!((expected, found), (world.root_key.fingerprint(), stranger.fingerprint()));
        }
        _ => panic!("the wrong root key must be named"),
    }
    let wrong = Anchor::from_bytes([9; 32]);
    let error = world.open_with(&world.root_key, &wrong, &world.root_page).err().unwrap();
    assert!(matches!(error, OpenError::WrongAnchor));

    for scope in [Scope::new([1; 16], "other"), Scope::new([2; 16], "acme")] {
        let read = |_| -> Result<Vec<u8>, Infallible> { panic!("no bucket is read before the root page opens") };
        let error = Keyring::open(scope, &world.root_key, &right, &world.root_page, read).err().unwrap();
        assert!(matches!(error, OpenError::WrongAnchor));
    }

    let unreadable = |_| Err(io::Error::other("gone"));
    let error = Keyring::open(world.keyring.scope(), &world.root_key, &right, &world.root_page, unreadable);
    assert!(matches!(error, Err(OpenKeyringError::Read(_))));

    world.root_page[8..12].copy_from_slice(&(FORMAT + 1).to_be_bytes());
    mend(&mut world.root_page);
    let (found, max) = (FORMAT + 1, FORMAT);
    assert_eq!(Keyring::inspect(&world.root_page), Err(InspectError::NewerFormat { found, max }));
    assert!(matches!(world.open(), Err(OpenError::NewerFormat { found: 8, max: FORMAT })));
}

#[test]
fn a_changed_bucket_file_is_damaged() {
    let mut world = world();
    let generation = world.keyring.epoch_number();
    let whole = world.bucket_files[&generation].clone();
    let refused = |world: &World, what: &str| {
        let error = world.open().err().unwrap_or_else(|| panic!("{what} was not seen"));
        assert!(matches!(error, OpenError::Damaged { part: Part::Buckets { generation: g } } if g == generation));
    };
    for at in 0..whole.len() {
        let mut file = whole.clone();
        file[at] ^= 1;
        world.bucket_files.insert(generation, file);
        refused(&world, "a flip");
        world.bucket_files.insert(generation, whole[..at].to_vec());
        refused(&world, "a cut");
    }
    world.bucket_files.insert(generation, whole);
    assert!(world.open().is_ok());
}

#[test]
fn an_older_page_of_the_same_bucket_is_refused() {
    let mut world = world();
    let tag = world.tag("user-0");
    let before = world.bucket_files[&world.keyring.epoch_number()].clone();
    world.erase(&[tag]);
    let generation = world.keyring.epoch_number();
    let length = world.bucket_files[&generation].len();
    world.bucket_files.insert(generation, [before, vec![0; length]].concat());
    assert!(matches!(world.open(), Err(OpenError::Damaged { part: Part::Buckets { .. } })));
}

#[test]
fn places_exchanged_between_buckets_are_refused() {
    let mut world = World::new(2);
    world.populate(600);
    world.epoch(&Removal::default());
    let keyring = &world.keyring;
    let mut places: Vec<Place> = keyring.buckets.iter().map(|b| b.place.clone().unwrap()).collect();
    let reseal = |places: &[Place], rng: &mut StdRng| {
        let Keyring { durable, new_keys, files, floor, stamp, .. } = keyring;
        let content = encode_root(durable, new_keys, files, floor, places.iter(), stamp);
        let (scope, epoch) = (keyring.scope(), keyring.epoch_number());
        root_page::seal_root(scope, epoch, &world.root_key, &anchor(&world), &content, rng)
    };
    let open = |page: &[u8]| world.open_with(&world.root_key, &anchor(&world), page);
    let mut rng = StdRng::seed_from_u64(3);
    assert!(open(&reseal(&places, &mut rng)).is_ok());
    places.swap(0, 1);
    assert!(matches!(open(&reseal(&places, &mut rng)), Err(OpenError::Damaged { .. })));
    places.swap(0, 1);
    places[0].offset = u64::MAX;
    assert!(matches!(open(&reseal(&places, &mut rng)), Err(OpenError::Damaged { .. })));
    assert!(matches!(open(&reseal(&places[..1], &mut rng)), Err(OpenError::Damaged { .. })));
}

#[test]
fn frames_open_once_in_order_and_whole() {
    let mut world = world();
    world.populate(7);
    world.extend(&[Wanted::Log(1)]);
    world.extend(&[Wanted::Log(2)]);
    let frames = world.frames.clone();
    let fresh = world.open().unwrap();
    assert!(fresh.log_key(1).is_none());

    let mut keyring = fresh.clone();
    let out_of_order = |expected, found| Err(KeyringError::OutOfOrder { expected, found });
    assert_eq!(keyring.replay(1, &frames[1]), out_of_order(0, 1));
    assert_eq!(keyring.replay(0, &frames[1]), Err(KeyringError::Foreign), "renumbered");
    assert_eq!(keyring.replay(0, &frames[0]), Ok(()));
    assert_eq!(keyring.replay(0, &frames[0]), out_of_order(1, 0), "repeated");
    assert_eq!(keyring.replay(1, &frames[0]), Err(KeyringError::Foreign), "repeated under the next number");
    assert_eq!(keyring.replay(1, &frames[2]), Err(KeyringError::Foreign), "one left out");
    assert!(keyring.log_key(2).is_none());
    assert_eq!(keyring.replay(1, &frames[1]), Ok(()));
    assert_eq!(keyring.replay(2, &frames[2]), Ok(()));

    for at in 0..frames[0].len() {
        let mut changed = frames[0].clone();
        changed[at] ^= 1;
        let mut keyring = fresh.clone();
        assert!(matches!(keyring.replay(0, &changed), Err(KeyringError::Foreign | KeyringError::Damaged)));
        assert!(keyring.replay(0, &frames[0][..at]).is_err());
        assert_eq!(keyring.replay(0, &frames[0]), Ok(()), "a refused frame leaves the keyring as it was");
    }
}

#[test]
fn frames_of_another_epoch_or_environment_are_refused() {
    let mut world = world();
    world.extend(&[Wanted::Log(1)]);
    let frame = world.frames[0].clone();
    world.epoch(&Removal::nothing(&world.keyring));
    assert_eq!(world.open().unwrap().replay(0, &frame), Err(KeyringError::Foreign));
    assert_eq!(World::new(9).keyring.replay(0, &frame), Err(KeyringError::Foreign));
}

#[test]
fn only_the_state_it_was_prepared_on_takes_an_extension() {
    let mut world = world();
    let tag = world.tag("new");
    let (first, second) = {
        let (keyring, rng) = (&world.keyring, &mut world.rng);
        (keyring.extend(&[dek(tag)], rng), keyring.extend(&[dek(tag)], rng))
    };
    assert!(world.keyring.dek(&tag, COLLECTION, None).is_none(), "nothing is served before it is applied");
    world.commit(first);
    let known = world.keyring.dek(&tag, COLLECTION, None).unwrap().0;
    assert_eq!(world.keyring.apply(second), Err(KeyringError::Stale));
    assert_eq!(world.keyring.dek(&tag, COLLECTION, None).unwrap().0, known);

    let present = world.keyring.extend(&[dek(tag), dek(tag)], &mut world.rng);
    assert!(present.is_empty() && present.frame().is_empty());
    world.erase(&[tag]);
    assert_eq!(world.keyring.apply(present), Err(KeyringError::Stale), "what was present then is gone now");
}
