//! The one place that maps files into memory: [`Region`], bytes that are either a read-only map or
//! owned. Invariant: what is mapped is never written again through any path of this engine.

#![expect(unsafe_code, reason = "memmap2 cannot know that nobody changes a mapped file")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::{Advice, Mmap};

/// The bytes of an immutable file.
#[derive(Debug)]
pub enum Region {
    /// Pages of the file, loaded by the kernel on first touch. Truncating the file from outside, or
    /// a read error of the medium, kills the process with SIGBUS on the touch.
    Mapped(Mmap),
    /// A copy in memory.
    Owned(Arc<[u8]>),
}

/// How a region is about to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Few bytes here and there: no reading ahead.
    Random,
    /// From front to back: read far ahead.
    Sequential,
}

impl Region {
    /// Maps a whole file read-only. The handle may be closed afterwards.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::Owned(Arc::from([])));
        }
        // SAFETY: the bytes behind `&[u8]` must not change while the map lives. This engine writes
        // a file only before it is published under its final name, through the `LogFile` that
        // created it, and `StorageBackend::map` is for published files only; wiping is for anchors,
        // which are read and never mapped. Other programs are kept out by the directory's mode
        // 0700 and its lock; one that breaks in as the same user can only make decryption fail
        // (every byte is authenticated when opened, from a copy) or raise SIGBUS by truncating.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self::Mapped(map))
    }

    /// Tells the kernel how the region will be read; changes speed only.
    ///
    /// # Errors
    /// Those of `madvise(2)`; the region stays usable.
    pub fn advise(&self, access: Access) -> io::Result<()> {
        match self {
            Self::Mapped(map) => map.advise(match access {
                Access::Random => Advice::Random,
                Access::Sequential => Advice::Sequential,
            }),
            Self::Owned(_) => Ok(()),
        }
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
