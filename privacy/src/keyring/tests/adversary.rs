//! The time-travelling adversary: holds the root key, every byte ever written, and the anchors still alive.
//!
//! It opens what it can, takes every 32-byte string it finds for a key, and tries again until nothing new opens.
//! That is the whole claim of erasure in one loop; handing it the destroyed anchor shows that the loop would find
//! the key if it could be found.

use std::collections::BTreeSet;

use super::super::root_page::open_root;
use super::super::{Epoch, Keyring};
use super::*;
use crate::seal::{SectionContext, SectionKind, open_section};
use crate::secret::SectionKey;

/// Every page and frame ever written, cut where its neighbour begins, and every anchor that ever was.
#[derive(Default)]
pub(super) struct Archive {
    roots: Vec<Vec<u8>>,
    sections: Vec<(SectionContext, Vec<u8>)>,
    anchors: BTreeMap<u64, [u8; 32]>,
    page_keys: BTreeSet<[u8; 32]>,
}

impl Archive {
    pub(super) fn frame(&mut self, keyring: &Keyring, number: u64, frame: &[u8]) {
        let context = SectionContext {
            scope: keyring.scope(),
            kind: SectionKind::NewKeys,
            file: keyring.epoch_number(),
            place: number,
        };
        self.sections.push((context, frame.to_vec()));
    }

    pub(super) fn epoch(&mut self, epoch: &Epoch, anchor: &Anchor) {
        self.anchors.insert(epoch.number, *anchor.expose());
        self.roots.push(epoch.root_page.clone());
        for (number, bucket) in epoch.next.buckets.iter().enumerate() {
            let place = bucket.place.as_ref().unwrap();
            if place.generation == epoch.number {
                assert!(self.page_keys.insert(*place.key.expose()), "every page written has a fresh key");
                let file = epoch.bucket_file.as_ref().unwrap();
                let page = &file[place.offset as usize..(place.offset + place.length) as usize];
                let context = SectionContext {
                    scope: epoch.next.scope(),
                    kind: SectionKind::BucketPage,
                    file: epoch.number,
                    place: number as u64,
                };
                self.sections.push((context, page.to_vec()));
            }
        }
    }

    /// Everything that opens, to the fixpoint, with these anchors and the root key.
    fn opened(&self, root_key: &RootKey, anchors: &[[u8; 32]]) -> Vec<u8> {
        let scope = self.sections[0].0.scope;
        let mut plaintext = Vec::new();
        for (root, anchor) in self.roots.iter().flat_map(|root| anchors.iter().map(move |anchor| (root, anchor))) {
            if let Ok((_, content)) = open_root(scope, root_key, &Anchor::from_bytes(*anchor), root) {
                plaintext.extend_from_slice(&content);
            }
        }
        let mut closed: Vec<_> = self.sections.iter().collect();
        loop {
            let keys: Vec<SectionKey> = candidates(&plaintext).into_iter().map(SectionKey::from_bytes).collect();
            let before = closed.len();
            closed.retain(|(context, blob)| {
                let content = keys.iter().find_map(|key| open_section(key, context, blob).ok());
                plaintext.extend_from_slice(content.as_deref().map_or(&[], Vec::as_slice));
                content.is_none()
            });
            if closed.len() == before {
                return plaintext;
            }
        }
    }
}

/// Every byte string of 32 bytes in CBOR: a head of 0x58 0x20 before it.
fn candidates(plaintext: &[u8]) -> BTreeSet<[u8; 32]> {
    let strings = plaintext.windows(34).filter(|window| window.starts_with(&[0x58, 0x20]));
    strings.map(|window| window[2..].try_into().unwrap()).collect()
}

fn holds(plaintext: &[u8], secret: &[u8; 32]) -> bool {
    plaintext.windows(32).any(|window| window == secret)
}

/// Everything that must die with an entity.
struct Person {
    tag: Tag,
    dek: [u8; 32],
    blind: [u8; 32],
}

fn person(world: &World, name: &str) -> Person {
    let tag = world.tag(name);
    let dek = *world.keyring.dek(&tag, COLLECTION, None).unwrap().1.expose();
    Person { tag, dek, blind: *world.keyring.blind(&tag).unwrap().expose() }
}

#[test]
fn what_an_epoch_removed_is_out_of_reach() {
    let mut world = World::new(1);
    world.populate(8);
    world.extend(&[Wanted::Log(1), Wanted::Index(1), Wanted::Index(2)]);
    // One life in frames and pages over several epochs, one in a frame alone.
    world.epoch(&Removal::nothing(&world.keyring));
    let erased = person(&world, "user-3");
    let survivor = person(&world, "user-4");
    world.erase(&[world.tag("user-5")]);
    let late = world.tag("late");
    world.extend(&[dek(late)]);
    let late = person(&world, "late");
    let log = *world.keyring.log_key(1).unwrap().expose();
    let (index, kept) = (world.keyring.index_key(1).unwrap(), world.keyring.index_key(2).unwrap());

    let before = [world.anchor];
    let everything = world.archive.opened(&world.root_key, &before);
    for secret in [erased.dek, erased.blind, *erased.tag.as_bytes(), late.dek, log, *index.expose()] {
        assert!(holds(&everything, &secret), "before the erasure the adversary finds it all");
    }

    let ids =
        world.epoch(&Removal { entities: vec![erased.tag, late.tag], keep_indexes: vec![2], ..Removal::default() });
    world.extend(&[dek(world.tag("user-9"))]);
    world.epoch(&Removal::nothing(&world.keyring));

    let everything = world.archive.opened(&world.root_key, &[world.anchor]);
    for person in [&erased, &late] {
        for secret in [&person.dek, &person.blind, person.tag.as_bytes()] {
            assert!(!holds(&everything, secret), "an erased person is still in reach");
        }
    }
    assert!(!holds(&everything, &log) && !holds(&everything, index.expose()), "a dropped key is still in reach");
    for id in &ids {
        assert!(everything.windows(16).any(|window| window == id.0), "the graveyard names every destroyed key");
    }
    for secret in [&survivor.dek, &survivor.blind, kept.expose()] {
        assert!(holds(&everything, secret), "the adversary is competent: what lives, it finds");
    }

    // The test bites: with the destroyed anchor back, the same loop finds everything again.
    let (live, old) = (world.anchor, before[0]);
    let everything = world.archive.opened(&world.root_key, &[live, old]);
    for secret in [erased.dek, erased.blind, *erased.tag.as_bytes(), late.dek, log] {
        assert!(holds(&everything, &secret), "the old anchor must be what stands between");
    }
}

#[test]
fn every_erasure_of_a_long_history_holds() {
    let mut world = World::new(2);
    let tags = world.populate(40);
    let mut erased = Vec::new();
    for (round, tag) in tags.iter().take(12).enumerate() {
        world.extend(&[dek(world.tag(&format!("extra-{round}")))]);
        erased.push(person(&world, &format!("user-{round}")));
        world.erase(&[*tag]);
    }
    let everything = world.archive.opened(&world.root_key, &[world.anchor]);
    assert!(erased.iter().all(|person| !holds(&everything, &person.dek) && !holds(&everything, &person.blind)));
    let anchors: Vec<_> = world.archive.anchors.values().copied().collect();
    let everything = world.archive.opened(&world.root_key, &anchors);
    assert!(erased.iter().all(|person| holds(&everything, &person.dek)), "with every anchor, everything is found");
}

#[test]
fn an_anchor_without_the_root_key_opens_nothing() {
    let mut world = World::new(3);
    world.populate(3);
    world.epoch(&Removal::default());
    let stranger = RootKey::from_bytes([0; 32]);
    assert!(world.archive.opened(&stranger, &[world.anchor]).is_empty());
}
