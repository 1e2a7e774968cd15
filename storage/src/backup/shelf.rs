//! A backup as the directory of segments that it was made from: reading only, each file checked against its digest.
//!
//! Invariant: whoever maps a file of rows here gets the bytes that were backed up, or an error. Here so that what reads
//! segments reads backups too.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::contents::{BackedSegment, Contents};
use super::objects::{Objects, digest_of};
use crate::backend::{Dir, LockError, LogFile, Region, StorageBackend};
use crate::segment::layout::rows_name;

/// The directory of segments that `contents` describes, over the archive's directory of its environment.
pub fn shelf(environment: &Dir, contents: &Contents) -> Dir {
    let files = contents.segments().map(|(_, segment)| (rows_name(segment.id), segment.clone())).collect();
    Dir::root(Arc::new(Shelf { objects: Objects::of(environment), files }))
}

struct Shelf {
    objects: Objects,
    files: BTreeMap<String, BackedSegment>,
}

impl Shelf {
    fn find(&self, path: &str) -> io::Result<&BackedSegment> {
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl StorageBackend for Shelf {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.map(path).map(|region| region.to_vec())
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        let segment = self.find(path)?;
        let region = self.objects.map(&segment.digest)?;
        if region.len() as u64 == segment.bytes && digest_of(&region) == segment.digest {
            return Ok(region);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the file is not what was backed up"))
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        self.find(path).map(|segment| segment.bytes)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        Ok(if dir.is_empty() { self.files.keys().cloned().collect() } else { Vec::new() })
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn LogFile>> {
        read_only()
    }

    fn set_aside(&self, _: &str, _: u64) -> io::Result<()> {
        read_only()
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn remove_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn lock(&self, _: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        read_only().map_err(LockError::Io)
    }

    fn wipe(&self, _: &str) -> io::Result<()> {
        read_only()
    }
}
