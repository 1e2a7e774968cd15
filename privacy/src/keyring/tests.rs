//! The keyring as a whole: against a model, against sabotage, and against an adversary who kept everything.
//!
//! [`World`] plays the caller: it keeps pages, frames and anchors as the engine would, and archives every byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod adversary;
mod model;
mod sabotage;

use std::collections::BTreeMap;
use std::convert::Infallible;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Extension, Keyring, OpenKeyringError, Removal, Tag, Wanted};
use crate::EntityId;
use crate::seal::Scope;
use crate::secret::{Anchor, RootKey};

const COLLECTION: [u8; 16] = [7; 16];

struct World {
    keyring: Keyring,
    root_key: RootKey,
    anchor: [u8; 32],
    root_page: Vec<u8>,
    bucket_files: BTreeMap<u64, Vec<u8>>,
    frames: Vec<Vec<u8>>,
    archive: adversary::Archive,
    rng: StdRng,
}

impl World {
    /// An environment that has just had its first epoch.
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World {
            keyring: Keyring::create(Scope::new([1; 16], "acme"), &mut rng),
            root_key: RootKey::generate(&mut rng),
            anchor: [0; 32],
            root_page: Vec::new(),
            bucket_files: BTreeMap::new(),
            frames: Vec::new(),
            archive: adversary::Archive::default(),
            rng,
        };
        world.epoch(&Removal::default());
        world
    }

    fn extend(&mut self, wanted: &[Wanted]) {
        let extension = self.keyring.extend(wanted, &mut self.rng);
        self.commit(extension);
    }

    fn commit(&mut self, extension: Extension) {
        if !extension.is_empty() {
            self.archive.frame(&self.keyring, extension.number(), extension.frame());
            self.frames.push(extension.frame().to_vec());
        }
        self.keyring.apply(extension).unwrap();
    }

    /// An epoch that removes `removal`, through to the destruction of the old anchor.
    fn epoch(&mut self, removal: &Removal) -> Vec<crate::KeyId> {
        let anchor = Anchor::generate(&mut self.rng);
        let epoch = self.keyring.epoch(removal, &self.root_key, &anchor, &mut self.rng);
        assert_eq!(epoch.number, self.keyring.epoch_number() + 1);
        self.archive.epoch(&epoch, &anchor);
        self.anchor = *anchor.expose();
        self.root_page = epoch.root_page;
        self.bucket_files.extend(epoch.bucket_file.map(|file| (epoch.number, file)));
        self.keyring = epoch.next;
        self.frames.clear();
        let live = self.keyring.bucket_files();
        self.bucket_files.retain(|generation, _| live.contains(generation));
        assert!(self.bucket_files.keys().eq(&live), "every file referred to was written");
        epoch.destroyed
    }

    /// Removes `entities` and nothing else.
    fn erase(&mut self, entities: &[Tag]) -> Vec<crate::KeyId> {
        let removal = Removal { entities: entities.to_vec(), ..Removal::nothing(&self.keyring) };
        self.epoch(&removal)
    }

    fn open(&self) -> Result<Keyring, OpenKeyringError<Infallible>> {
        self.open_with(&self.root_key, &Anchor::from_bytes(self.anchor), &self.root_page)
    }

    fn open_with(
        &self,
        root_key: &RootKey,
        anchor: &Anchor,
        root_page: &[u8],
    ) -> Result<Keyring, OpenKeyringError<Infallible>> {
        let read = |generation| Ok(self.bucket_files[&generation].clone());
        Keyring::open(self.keyring.scope(), root_key, anchor, root_page, read)
    }

    /// What a restart sees.
    fn reopened(&self) -> Keyring {
        let mut keyring = self.open().unwrap();
        for (number, frame) in self.frames.iter().enumerate() {
            keyring.replay(number as u64, frame).unwrap();
        }
        keyring
    }

    fn tag(&self, name: &str) -> Tag {
        self.keyring.tag(&EntityId::new(name).unwrap())
    }

    /// Gives `count` entities a key and returns their tags.
    fn populate(&mut self, count: usize) -> Vec<Tag> {
        let tags: Vec<Tag> = (0..count).map(|i| self.tag(&format!("user-{i}"))).collect();
        let wanted: Vec<_> = tags.iter().map(|&owner| dek(owner)).collect();
        self.extend(&wanted);
        tags
    }
}

fn dek(owner: Tag) -> Wanted {
    Wanted::Dek { owner, collection: COLLECTION, until: None }
}
