//! Anchors as files: one per epoch, named by it in 20 decimal digits, checksummed, overwritten when destroyed.
//! Invariant: an epoch is listed as long as any byte of its anchor has a name here, so that an empty list is proof.
//! Hence a file is written in place under its final name; a crash leaves a damaged one, which is listed, not a hidden
//! one beside it. The newest checkpoint of the audit log lies beside the anchors, named by its size. Here because `privacy` says what an anchor store must do and may not touch files.

use std::io;

use privacy::{Anchor, AnchorStore, Grade};
use zeroize::Zeroizing;

use crate::backend::Dir;

const MAGIC: [u8; 8] = *b"LETHANC1";
/// What the names of checkpoints begin with.
const CHECKPOINT: &str = "checkpoint-";
/// What stands before the number and the name of a checkpoint that was set aside.
const ASIDE: &str = "lost-";
const LEN: usize = 8 + 32 + 4;

/// A directory that holds the anchors of one environment.
pub struct AnchorDir {
    dir: Dir,
    grade: Grade,
}

impl AnchorDir {
    /// Anchors in `dir`, which is made at the first [`put`](AnchorStore::put). What destruction is worth there is the
    /// caller's to judge.
    pub fn new(dir: Dir, grade: Grade) -> Self {
        Self { dir, grade }
    }

    /// The sizes of the checkpoints that are kept, rising.
    fn checkpoints(&self) -> io::Result<Vec<u64>> {
        Ok(self.dir.list()?.iter().filter_map(|name| epoch_of(name.strip_prefix(CHECKPOINT)?)).collect())
    }

    fn write(&self, name: &str, anchor: &Anchor, epoch: u64) -> io::Result<()> {
        self.dir.make()?;
        let mut file = self.dir.create(name)?;
        let written = file.append(&encode(anchor)).and_then(|()| file.sync()).and_then(|()| self.dir.sync_dir());
        if let Err(error) = written {
            // The first error tells what went wrong. If the wipe fails too, the damaged file stays listed.
            let _ = self.dir.wipe(name);
            return Err(error);
        }
        match self.get(epoch)? {
            Some(read) if read.expose() == anchor.expose() => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl AnchorStore for AnchorDir {
    fn put(&self, epoch: u64, anchor: &Anchor) -> io::Result<()> {
        self.write(&name_of(epoch), anchor, epoch)
    }

    fn get(&self, epoch: u64) -> io::Result<Option<Anchor>> {
        match self.dir.read(&name_of(epoch)) {
            Ok(bytes) => decode(&Zeroizing::new(bytes)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.dir.list()?.iter().filter_map(|name| epoch_of(name)).collect())
    }

    fn destroy(&self, epoch: u64) -> io::Result<()> {
        match self.dir.wipe(&name_of(epoch)) {
            // A crash may have come between the removal and the sync of the directory. That the directory is there
            // is checked by the sync: a volume that is not mounted has destroyed nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.dir.sync_dir(),
            other => other,
        }
    }

    fn keep_checkpoint(&self, size: u64, note: &str) -> io::Result<()> {
        let kept = self.checkpoints()?;
        if kept.last().is_some_and(|newest| *newest >= size) {
            return Ok(());
        }
        self.dir.make()?;
        self.dir.write_new(&checkpoint_name(size), note.as_bytes())?;
        // Only now that the new one is durable. What a crash leaves of the old ones goes with the next.
        let of_checkpoints = |name: &&String| name.starts_with(CHECKPOINT) && **name != checkpoint_name(size);
        self.dir.list()?.iter().filter(of_checkpoints).try_for_each(|name| self.dir.remove(name))
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        let Some(newest) = self.checkpoints()?.pop() else { return Ok(None) };
        let bytes = self.dir.read(&checkpoint_name(newest))?;
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the checkpoint is damaged"))
    }

    fn set_checkpoint_aside(&self) -> io::Result<()> {
        let kept = self.checkpoints()?;
        if kept.is_empty() {
            return Ok(());
        }
        // Logs that were lost one after the other may have been of one size.
        let lost = self.dir.list()?.iter().filter(|name| name.starts_with(ASIDE)).count();
        for (number, name) in (lost..).zip(kept.into_iter().map(checkpoint_name)) {
            self.dir.rename(&name, &format!("{ASIDE}{number}-{name}"))?;
        }
        self.dir.sync_dir()
    }

    fn grade(&self) -> Grade {
        self.grade
    }
}

fn name_of(epoch: u64) -> String {
    format!("{epoch:020}")
}

fn checkpoint_name(size: u64) -> String {
    format!("{CHECKPOINT}{size:020}")
}

fn epoch_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|&epoch| name_of(epoch) == name)
}

fn encode(anchor: &Anchor) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(LEN));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(anchor.expose());
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> io::Result<Anchor> {
    let parts = || {
        let (fields, checksum) = bytes.split_last_chunk()?;
        let key = fields.strip_prefix(&MAGIC)?.try_into().ok()?;
        (crc32c::crc32c(fields) == u32::from_le_bytes(*checksum)).then(|| Anchor::from_bytes(key))
    };
    parts().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the anchor is damaged"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

    use std::io::ErrorKind;
    use std::sync::Arc;

    use super::*;
    use crate::backend::{Disk, Memory, StorageBackend};

    fn anchor(byte: u8) -> Anchor {
        Anchor::from_bytes([byte; 32])
    }

    fn error<T>(result: io::Result<T>) -> ErrorKind {
        result.err().unwrap().kind()
    }

    fn keeps_and_destroys(backend: Arc<dyn StorageBackend>) {
        let dir = Dir::root(backend).sub("anchors/acme");
        let store = AnchorDir::new(dir.clone(), Grade::OtherVolume);
        assert_eq!((store.grade(), store.list().unwrap()), (Grade::OtherVolume, vec![]));
        assert!(store.get(1).unwrap().is_none());
        assert_eq!(error(store.destroy(1)), ErrorKind::NotFound, "a missing volume has destroyed nothing");
        for epoch in [10, 9, u64::MAX] {
            store.put(epoch, &anchor(epoch as u8)).unwrap();
        }
        dir.write_new("lost+found", b"").unwrap();
        assert_eq!(store.list().unwrap(), [9, 10, u64::MAX]);
        assert_eq!(error(store.put(9, &anchor(1))), ErrorKind::AlreadyExists);
        assert_eq!(store.get(9).unwrap().unwrap().expose(), &[9; 32]);
        store.destroy(9).unwrap();
        store.destroy(9).unwrap();
        assert_eq!(store.list().unwrap(), [10, u64::MAX]);
        assert!(store.get(9).unwrap().is_none());
    }

    #[test]
    fn the_newest_checkpoint_stays_and_none_before_it() {
        let dir = Dir::root(Arc::new(Memory::new())).sub("anchors/acme");
        let store = AnchorDir::new(dir.clone(), Grade::OtherVolume);
        assert_eq!(store.checkpoint().unwrap(), None);
        store.put(3, &anchor(3)).unwrap();
        for (size, kept) in [(9, "nine"), (100, "hundred"), (99, "hundred"), (100, "hundred")] {
            store.keep_checkpoint(size, if size == 9 { "nine" } else { "hundred" }).unwrap();
            assert_eq!(store.checkpoint().unwrap().as_deref(), Some(kept));
        }
        assert_eq!((store.list().unwrap(), dir.list().unwrap().len()), (vec![3], 2));
        // A crash came between the new one and the removal of the old.
        dir.write_new(&checkpoint_name(7), b"seven").unwrap();
        assert_eq!(store.checkpoint().unwrap().as_deref(), Some("hundred"));
        store.keep_checkpoint(101, "more").unwrap();
        assert_eq!((store.checkpoint().unwrap().as_deref(), dir.list().unwrap().len()), (Some("more"), 2));
        // A log that was lost leaves its checkpoint beside that of the next one, however often.
        for lost in 1..3 {
            store.set_checkpoint_aside().unwrap();
            assert_eq!(store.checkpoint().unwrap(), None);
            store.keep_checkpoint(101, "another").unwrap();
            assert_eq!(
                (store.checkpoint().unwrap().as_deref(), dir.list().unwrap().len()),
                (Some("another"), 2 + lost)
            );
        }
        for (lost, note) in ["more", "another"].into_iter().enumerate() {
            assert_eq!(dir.read(&format!("{ASIDE}{lost}-{}", checkpoint_name(101))).unwrap(), note.as_bytes());
        }
    }

    #[test]
    fn anchors_stay_until_destroyed() {
        keeps_and_destroys(Arc::new(Memory::new()));
        let scratch = tempfile::tempdir().unwrap();
        keeps_and_destroys(Arc::new(Disk::open(scratch.path()).unwrap()));
    }

    #[test]
    fn a_damaged_anchor_is_an_error_and_still_listed() {
        let whole = encode(&anchor(7));
        let mut damaged: Vec<Vec<u8>> = (0..LEN).map(|length| whole[..length].to_vec()).collect();
        damaged.extend((0..LEN).map(|at| {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1;
            bytes
        }));
        for bytes in damaged {
            let dir = Dir::root(Arc::new(Memory::new()));
            dir.write_new(&name_of(3), &bytes).unwrap();
            let store = AnchorDir::new(dir, Grade::SameVolume);
            assert_eq!(error(store.get(3)), ErrorKind::InvalidData);
            assert_eq!(store.list().unwrap(), [3]);
            store.destroy(3).unwrap();
            assert!(store.list().unwrap().is_empty());
        }
    }
}
