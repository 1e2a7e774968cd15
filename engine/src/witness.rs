//! WITNESS: keyring read → every row of every segment in any directory held against it. For whoever checks an erasure
//! and does not take the engine's word for it.
//!
//! Goes none of the walks and trusts no list: it reads the keyring's pages, the tables of rows and the rows themselves,
//! whether a manifest names them or not, and asks of each row only whether its key is live, destroyed, or neither. In an
//! archive of backups, a file of rows can be read only as the list of a backup says; one that none names is told. It
//! changes nothing, takes no lock, and needs no database to be open; nobody else may be writing meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use privacy::{AnchorStore, Cost, Grade, KeyId, Keyring, RowContext, RowField, Scope, open_row};
use serde::Serialize;
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Disk};
use storage::backup::{Contents, Digest, Objects, number_of, numbers, read_contents, shelf};
use storage::id::SegmentId;
use storage::manifest::read_newest;
use storage::record::{decode_body, decode_vector};
use storage::recovery::SEGMENTS;
use storage::segment::RowsFile;
use zeroize::Zeroizing;

use crate::anchors::Anchors;
use crate::clock::SystemClock;
use crate::database::ANCHORS;
use crate::entropy::OsEntropy;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{self, ENVIRONMENTS};
use crate::keys::{Home, KEYRING, Keys};
use crate::name;
use crate::pages::Pages;
use crate::root_key::{RootKey, Sought};
use crate::roots::Roots;

/// Directories in one another that are looked into.
const DEPTH_MAX: usize = 32;

/// What became of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// They are in the keyring still.
    pub live: u64,
    /// They are in its graveyard.
    pub destroyed: u64,
    /// The keyring never had them.
    pub unknown: u64,
}

/// What the rows in a directory are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowFates {
    /// Files of rows that were read.
    pub files: u64,
    /// Rows whose key is live and that open with it.
    pub opened: u64,
    /// Rows whose key is destroyed: nothing opens them.
    pub destroyed: u64,
    /// Rows that are neither: of a key that was never this keyring's, or damaged.
    pub unexplained: u64,
    /// Backups whose lists were read.
    pub backups: u64,
    /// Files of rows that cannot be read at all, and lists of backups, relative to the directory.
    pub unreadable: Vec<String>,
}

/// The keyring of an environment, read for a check.
pub struct Witness {
    keyring: Keyring,
    environment: String,
}

impl Witness {
    /// Reads the keyring of `environment` in the data directory `data`, with the anchors in one of `anchors`, or inside it if
    /// there are none.
    ///
    /// # Errors
    /// `NotFound`, `KeyUnavailable` without the right root key or anchor, `Corrupt`.
    pub fn open(data: &Path, anchors: &[PathBuf], environment: &str, root_key: &RootKey) -> Result<Self> {
        name::check(environment, "environment")?;
        let root = existing(data)?;
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no database in {}", data.display()));
        let identity = identity::read(&root)?.ok_or_else(missing)?;
        let dirs: Vec<(Dir, Grade)> = match anchors {
            [] => vec![(root.sub(ANCHORS).sub(environment), Grade::SameVolume)],
            outside => {
                let dir = |path: &PathBuf| Ok((existing(path)?.sub(environment), Grade::OtherVolume));
                outside.iter().map(dir).collect::<Result<_>>()?
            }
        };
        let store =
            |(dir, grade): &(Dir, Grade)| -> Arc<dyn AnchorStore> { Arc::new(AnchorDir::new(dir.clone(), *grade)) };
        let entropy = Arc::new(OsEntropy);
        let found = root_key.load(&Sought {
            entropy: &*entropy,
            dir: &root,
            store: identity.store,
            is_new: false,
            is_empty: false,
            cost: Cost::default(),
        })?;
        let keys = Keys::open(Home {
            pages: vec![Pages { dir: root.sub(ENVIRONMENTS).sub(environment).sub(KEYRING) }],
            // Whoever checks an erasure may have one of the anchor stores, and settles nothing.
            anchors: Anchors {
                stores: dirs.iter().map(store).collect(),
                left: Vec::new(),
                dirs: dirs.into_iter().map(|(dir, _)| dir).collect(),
                names: Vec::new(),
                gives_up_missing: true,
            },
            roots: Arc::new(Roots::new(&found.key, None)?),
            scope: Scope::new(identity.store.into_bytes(), environment),
            entropy,
            clock: Arc::new(SystemClock),
        })?;
        let keyring = keys.read().clone();
        Ok(Self { keyring, environment: environment.to_owned() })
    }

    /// The environment that it is of, as receipts name it.
    pub fn scope(&self) -> Scope {
        self.keyring.scope()
    }

    /// What became of these keys, which a receipt names.
    pub fn fates(&self, keys: impl IntoIterator<Item = [u8; 16]>) -> Fates {
        let mut fates = Fates::default();
        for key in keys.into_iter().map(KeyId) {
            match self.fate(key) {
                Fate::Live => fates.live += 1,
                Fate::Destroyed => fates.destroyed += 1,
                Fate::Unknown => fates.unknown += 1,
            }
        }
        fates
    }

    /// Reads every file of rows anywhere below `dir`, and gives what opens to `look`: vectors as 32-bit floats, little
    /// endian, entities, and payloads.
    ///
    /// # Errors
    /// Those of listing directories. What a file lacks is counted.
    pub fn rows(&self, dir: &Path, look: &mut dyn FnMut(&[u8])) -> Result<RowFates> {
        let mut fates = RowFates::default();
        self.walk(&existing(dir)?, DEPTH_MAX, look, &mut fates)?;
        Ok(fates)
    }

    /// The anchors of the environment anywhere below `dir` that are of keyrings from before `epoch`, as paths relative to it:
    /// whoever has one of them, a keyring of that time and the root key reads what was destroyed since. One that is damaged
    /// counts, as some of its bytes may be left.
    ///
    /// # Errors
    /// Those of listing directories.
    pub fn anchors_before(&self, dir: &Path, epoch: u64) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let root = existing(dir)?;
        if dir.file_name().is_some_and(|name| *name == *self.environment) {
            older(&root, epoch, &mut found)?;
        }
        self.walk_anchors(&root, DEPTH_MAX, epoch, &mut found)?;
        Ok(found)
    }

    fn walk_anchors(&self, dir: &Dir, depth: usize, epoch: u64, found: &mut Vec<String>) -> Result<()> {
        for name in listed(dir)? {
            let inner = dir.sub(&name);
            if depth > 0 && name != SEGMENTS && inner.list().is_ok() {
                if name == self.environment {
                    older(&inner, epoch, found)?;
                }
                self.walk_anchors(&inner, depth - 1, epoch, found)?;
            }
        }
        Ok(())
    }

    fn fate(&self, key: KeyId) -> Fate {
        match (self.keyring.dek_by_id(key), self.keyring.is_destroyed(key)) {
            (Some(_), _) => Fate::Live,
            (None, true) => Fate::Destroyed,
            (None, false) => Fate::Unknown,
        }
    }

    fn walk(&self, dir: &Dir, depth: usize, look: &mut dyn FnMut(&[u8]), fates: &mut RowFates) -> Result<()> {
        let names = listed(dir)?;
        if names.iter().any(|name| name == SEGMENTS) {
            self.environment(dir, look, fates)?;
        }
        if names.iter().any(|name| number_of(name).is_some()) {
            self.archive(dir, look, fates)?;
        }
        for name in names {
            let inner = dir.sub(&name);
            // A file has no list.
            if depth > 0 && name != SEGMENTS && inner.list().is_ok() {
                self.walk(&inner, depth - 1, look, fates)?;
            }
        }
        Ok(())
    }

    fn environment(&self, dir: &Dir, look: &mut dyn FnMut(&[u8]), fates: &mut RowFates) -> Result<()> {
        let segments = dir.sub(SEGMENTS);
        let manifest = read_newest(dir, &self.keyring.table_key(), self.keyring.scope()).ok().flatten();
        let collections = manifest.iter().flat_map(|manifest| &manifest.collections);
        let collections: BTreeSet<[u8; 16]> = collections.map(|collection| collection.id.0).collect();
        for name in segments.list().map_err(|e| Error::io("the segments cannot be listed", e))? {
            let Some(number) = name.strip_suffix(".rec") else { continue };
            let number = u64::from_str_radix(number, 16).ok().map(SegmentId);
            let table_key = self.keyring.table_key();
            let rows = number.and_then(|id| RowsFile::open(&segments, id, &table_key, self.keyring.scope()).ok());
            match rows {
                Some(rows) => self.file(&rows, &collections, look, fates),
                None => fates.unreadable.push(segments.path(&name)),
            }
        }
        Ok(())
    }

    /// Reads every file of rows in an archive's directory of an environment, once.
    fn archive(&self, dir: &Dir, look: &mut dyn FnMut(&[u8]), fates: &mut RowFates) -> Result<()> {
        let unreadable = |e| Error::io("an archive of backups cannot be listed", e);
        let (table_key, scope) = (self.keyring.table_key(), self.keyring.scope());
        let mut seen: BTreeSet<Digest> = BTreeSet::new();
        for number in numbers(dir).map_err(unreadable)? {
            let Ok(contents) = read_contents(dir, number, (&table_key, scope)) else {
                fates.unreadable.push(dir.path(&format!("{number:020}.backup")));
                continue;
            };
            fates.backups += 1;
            self.backup(dir, &contents, &mut seen, look, fates);
        }
        fates.unreadable.extend(Objects::of(dir).strays(&seen).map_err(unreadable)?);
        Ok(())
    }

    fn backup(
        &self,
        dir: &Dir,
        contents: &Contents,
        seen: &mut BTreeSet<Digest>,
        look: &mut dyn FnMut(&[u8]),
        fates: &mut RowFates,
    ) {
        let (files, table_key) = (shelf(dir, contents), self.keyring.table_key());
        for (collection, segment) in contents.segments() {
            if !seen.insert(segment.digest) {
                continue;
            }
            match RowsFile::open(&files, segment.id, &table_key, self.keyring.scope()) {
                Ok(rows) => self.file(&rows, &BTreeSet::from([collection.id.0]), look, fates),
                Err(_) => fates.unreadable.push(Objects::of(dir).path(&segment.digest)),
            }
        }
    }

    fn file(
        &self,
        rows: &RowsFile,
        collections: &BTreeSet<[u8; 16]>,
        look: &mut dyn FnMut(&[u8]),
        fates: &mut RowFates,
    ) {
        fates.files += 1;
        for position in 0..rows.len() {
            let key = rows.row(position).map(|row| row.key);
            match key.map(|key| self.fate(key)) {
                Ok(Fate::Destroyed) => fates.destroyed += 1,
                Ok(Fate::Live) if self.opens(rows, position, collections, look) => fates.opened += 1,
                _ => fates.unexplained += 1,
            }
        }
    }

    /// Whether a row opens as one of any of the collections, since what no manifest names belongs to nobody knows which.
    fn opens(
        &self,
        rows: &RowsFile,
        position: u32,
        collections: &BTreeSet<[u8; 16]>,
        look: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let open = |collection: &[u8; 16]| {
            let row = rows.row(position).ok()?;
            let dek = self.keyring.dek_by_id(row.key)?;
            let (scope, collection) = (self.keyring.scope(), *collection);
            let context = |field| RowContext { scope, collection, row: row.row.0, field };
            let vector = open_row(dek, &context(RowField::Vector), rows.vector_blob(position).ok()?).ok()?;
            let body = open_row(dek, &context(RowField::Body), rows.body_blob(position).ok()?).ok()?;
            let _sound: Zeroizing<Vec<f32>> = decode_vector(&vector).ok()?.into();
            Some((vector, decode_body(&body).ok()?))
        };
        let Some((vector, body)) = collections.iter().find_map(open) else { return false };
        look(&vector);
        look(body.entity.as_ref().map_or("", |entity| entity.as_str()).as_bytes());
        look(body.payload.as_deref().unwrap_or_default());
        true
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Live,
    Destroyed,
    Unknown,
}

/// Adds the anchors of epochs before `epoch` in `dir`.
fn older(dir: &Dir, epoch: u64, found: &mut Vec<String>) -> Result<()> {
    let store = AnchorDir::new(dir.clone(), Grade::OtherVolume);
    let listed = store.list().map_err(|e| Error::io("an anchor store cannot be listed", e))?;
    found.extend(listed.into_iter().filter(|other| *other < epoch).map(|other| dir.path(&format!("{other:020}"))));
    Ok(())
}

fn listed(dir: &Dir) -> Result<Vec<String>> {
    dir.list().map_err(|e| Error::io("a directory cannot be listed", e))
}

fn existing(path: &Path) -> Result<Dir> {
    let disk = Disk::open_existing(path)
        .map_err(|e| Error::with(ErrorKind::NotFound, format!("{} cannot be opened", path.display()), e))?;
    Ok(Dir::root(Arc::new(disk)))
}
