//! A disk and the cache before it: the files and names that callers see, those that are durable, and the changes that
//! lie between. Invariant: applying every pending change to what is durable gives what callers see, unless a sync
//! failed; what a failed sync should have made durable stays in doubt for ever, although callers go on seeing it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use crate::backend::contract::parent;
use crate::backend::names::{Names, Node};

/// Names a file whatever its path.
pub(super) type FileId = u64;

/// The state of a simulated disk. Cheap to clone.
#[derive(Clone, Default)]
pub struct Medium {
    pub(super) files: BTreeMap<FileId, Arc<Contents>>,
    /// As callers see them.
    pub(super) live: Names<FileId>,
    pub(super) durable: Names<FileId>,
    /// Changes of names that are not durable, oldest first.
    pub(super) renamings: Vec<Renaming>,
    next_file: FileId,
    /// Orders the changes of contents and names among each other.
    next_change: u64,
}

/// The bytes of a file.
#[derive(Clone, Default, Hash)]
pub(super) struct Contents {
    /// As callers see them.
    pub live: Vec<u8>,
    pub durable: Vec<u8>,
    /// Not durable, oldest first.
    pub writes: Vec<Write>,
    /// Room that it takes without holding anything.
    set_aside: u64,
}

#[derive(Clone, Hash)]
pub(super) struct Write {
    pub change: u64,
    pub at: usize,
    pub bytes: Arc<[u8]>,
    /// A sync that should have made it durable failed: no later one will.
    doubtful: bool,
}

/// A change of names.
#[derive(Clone, Hash)]
pub(super) struct Renaming {
    pub change: u64,
    pub what: NameChange,
    /// Directories whose sync it waits for; a failed sync leaves one here for ever.
    dirs: BTreeSet<String>,
    doubtful: bool,
}

#[derive(Clone, Hash)]
pub(super) enum NameChange {
    Put(String, Node<FileId>),
    Remove(String),
    Move(String, String, FileId),
}

impl Write {
    fn covers(&self, other: &Self) -> bool {
        self.at <= other.at && other.at + other.bytes.len() <= self.at + self.bytes.len()
    }
}

impl Contents {
    /// Writes `bytes` at `at`, zeros before it where the file was shorter.
    pub fn put(durable: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        let end = at.saturating_add(bytes.len());
        if durable.len() < end {
            durable.resize(end, 0);
        }
        if let Some(room) = durable.get_mut(at..end) {
            room.copy_from_slice(bytes);
        }
    }
}

impl NameChange {
    pub fn apply(&self, names: &mut Names<FileId>) {
        match self {
            Self::Put(path, node) => names.set(path, node.clone()),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Move(from, to, file) => {
                names.remove(from);
                names.set(to, Node::File(*file));
            }
        }
    }

    fn paths(&self) -> [&str; 2] {
        match self {
            Self::Put(path, _) | Self::Remove(path) => [path, path],
            Self::Move(from, to, _) => [from, to],
        }
    }

    fn dirs(&self) -> BTreeSet<String> {
        BTreeSet::from(self.paths().map(|path| parent(path).to_owned()))
    }

    /// Whether it gives a name that `later` gives or takes as well.
    fn names_one_of(&self, later: &Self) -> bool {
        let [_, given] = self.paths();
        later.paths().contains(&given)
    }
}

impl Medium {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of a file as callers see them.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.contents(path).map(|contents| contents.live.clone())
    }

    /// The paths of all files as callers see them, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.live.iter().filter(|(_, node)| matches!(node, Node::File(_))).map(|(path, _)| path)
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> u64 {
        let files = self.paths().filter_map(|path| self.contents(path).ok());
        files.map(|contents| contents.live.len() as u64 + contents.set_aside).sum()
    }

    /// How many changes of contents and names are not durable.
    pub fn pending(&self) -> usize {
        self.renamings.len() + self.files.values().map(|file| file.writes.len()).sum::<usize>()
    }

    /// A hash of everything that can ever be seen of it.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for names in [&self.live, &self.durable] {
            for (path, node) in names.iter() {
                path.hash(&mut hasher);
                match node {
                    Node::Dir => 0.hash(&mut hasher),
                    Node::File(id) => self.files.get(id).hash(&mut hasher),
                }
            }
        }
        self.renamings.hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn contents(&self, path: &str) -> io::Result<&Contents> {
        let id = self.live.file(path)?;
        self.files.get(id).map(AsRef::as_ref).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<FileId> {
        self.live.check_is_free(path)?;
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(id, Arc::default());
        self.rename_now(NameChange::Put(path.to_owned(), Node::File(id)));
        Ok(id)
    }

    pub(super) fn write(&mut self, id: FileId, at: usize, bytes: &[u8]) {
        let change = self.change();
        if let Some(file) = self.file_mut(id)
            && !bytes.is_empty()
        {
            Contents::put(&mut file.live, at, bytes);
            file.writes.push(Write { change, at, bytes: bytes.into(), doubtful: false });
        }
    }

    pub(super) fn set_aside(&mut self, id: FileId, bytes: u64) {
        if let Some(file) = self.file_mut(id) {
            file.set_aside = bytes;
        }
    }

    pub(super) fn len(&self, id: FileId) -> usize {
        self.files.get(&id).map_or(0, |file| file.live.len())
    }

    pub(super) fn sync(&mut self, id: FileId) {
        if let Some(file) = self.file_mut(id) {
            let (doubtful, settled) = file.writes.drain(..).partition(|write| write.doubtful);
            file.writes = doubtful;
            let settled: Vec<Write> = settled;
            for write in settled {
                Contents::put(&mut file.durable, write.at, &write.bytes);
                // What is written over and durable cannot come back.
                file.writes.retain(|older| older.change > write.change || !write.covers(older));
            }
        }
    }

    /// A sync that fails: what it should have made durable can still be read, may or may not be on the platter, and
    /// no later sync cares for it (Rebello et al., ATC 2020).
    pub(super) fn fail_sync(&mut self, id: FileId) {
        if let Some(file) = self.file_mut(id) {
            file.writes.iter_mut().for_each(|write| write.doubtful = true);
        }
    }

    pub(super) fn make_dir(&mut self, dir: &str) -> io::Result<()> {
        self.live.check_is_free(dir)?;
        self.rename_now(NameChange::Put(dir.to_owned(), Node::Dir));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let id = *self.live.file(from)?;
        self.live.check_is_free(to)?;
        self.rename_now(NameChange::Move(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.live.file(path)?;
        self.rename_now(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, dir: &str) -> io::Result<()> {
        self.live.check_is_empty_dir(dir)?;
        self.rename_now(NameChange::Remove(dir.to_owned()));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &str) {
        for renaming in self.renamings.iter_mut().filter(|renaming| !renaming.doubtful) {
            renaming.dirs.remove(dir);
        }
        let (waiting, settled): (Vec<_>, Vec<_>) =
            self.renamings.drain(..).partition(|renaming| !renaming.dirs.is_empty());
        self.renamings = waiting;
        for renaming in settled {
            renaming.what.apply(&mut self.durable);
            // What a name stood for before cannot come back, now that what it stands for is durable.
            let is_outlived =
                |older: &Renaming| older.change < renaming.change && older.what.names_one_of(&renaming.what);
            self.renamings.retain(|older| !older.doubtful || !is_outlived(older));
        }
    }

    /// As [`fail_sync`](Self::fail_sync), for the names in a directory.
    pub(super) fn fail_sync_dir(&mut self, dir: &str) {
        let touched = self.renamings.iter_mut().filter(|renaming| renaming.dirs.contains(dir));
        touched.for_each(|renaming| renaming.doubtful = true);
    }

    /// A disk on which everything seen of this one is durable.
    pub(super) fn settled(names: Names<FileId>, files: BTreeMap<FileId, Vec<u8>>) -> Self {
        let next_file = files.keys().last().map_or(0, |last| last + 1);
        let files = files
            .into_iter()
            .map(|(id, bytes)| (id, Arc::new(Contents { live: bytes.clone(), durable: bytes, ..Contents::default() })))
            .collect();
        Self { files, live: names.clone(), durable: names, renamings: Vec::new(), next_file, next_change: 0 }
    }

    fn rename_now(&mut self, what: NameChange) {
        what.apply(&mut self.live);
        let change = self.change();
        self.renamings.push(Renaming { change, dirs: what.dirs(), what, doubtful: false });
    }

    fn change(&mut self) -> u64 {
        self.next_change += 1;
        self.next_change
    }

    fn file_mut(&mut self, id: FileId) -> Option<&mut Contents> {
        self.files.get_mut(&id).map(Arc::make_mut)
    }
}
