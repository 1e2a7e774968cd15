//! A page of memory for the few keys that live as long as the process: never swapped out, in no core dump, and empty in a
//! forked child, as far as the system allows. Here because only this room maps memory.
//!
//! Invariant: what it held is overwritten when it is dropped. What protection it got is told, never assumed.

use std::io;

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize;

/// Bytes of a slab.
const LEN: usize = 4096;
/// Bytes of a secret.
const SECRET: usize = 32;

/// How far a [`Slab`] is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Its pages are never written to a swap device.
    pub is_locked: bool,
    /// A core dump of this process lacks them, and so do its forked children.
    pub is_kept_out: bool,
}

/// Room for up to 128 secrets of 32 bytes.
pub struct Slab {
    map: MmapMut,
    protection: Protection,
}

impl Slab {
    /// An empty slab. Where the system refuses to lock it, as beyond `RLIMIT_MEMLOCK`, it serves all the same.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new() -> io::Result<Self> {
        let map = MmapMut::map_anon(LEN)?;
        let protection = Protection {
            is_locked: map.lock().is_ok(),
            is_kept_out: map.advise(Advice::DontDump).is_ok() && map.advise(Advice::DontFork).is_ok(),
        };
        Ok(Self { map, protection })
    }

    /// What the system granted.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Puts a secret into place `at`; false if there is no such place.
    pub fn put(&mut self, at: usize, secret: &[u8; SECRET]) -> bool {
        let room = self.map.chunks_exact_mut(SECRET).nth(at);
        room.map(|room| room.copy_from_slice(secret)).is_some()
    }

    /// The secret in place `at`; zeros if none was put there.
    pub fn get(&self, at: usize) -> Option<&[u8; SECRET]> {
        self.map.chunks_exact(SECRET).nth(at)?.try_into().ok()
    }

    /// Overwrites place `at`.
    pub fn wipe(&mut self, at: usize) {
        if let Some(room) = self.map.chunks_exact_mut(SECRET).nth(at) {
            room.zeroize();
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.map.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn secrets_come_back_until_they_are_wiped() {
        let mut slab = Slab::new().unwrap();
        assert!(slab.put(0, &[1; 32]) && slab.put(127, &[2; 32]) && !slab.put(128, &[3; 32]));
        assert_eq!((slab.get(0), slab.get(127), slab.get(1)), (Some(&[1; 32]), Some(&[2; 32]), Some(&[0; 32])));
        slab.wipe(127);
        assert_eq!((slab.get(127), slab.get(128)), (Some(&[0; 32]), None));
    }

    /// The flags that the kernel shows for the page: lo for locked, dd for no dump, dc for no copy at fork.
    #[test]
    fn the_kernel_says_what_protection_there_is() {
        let slab = Slab::new().unwrap();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let start = format!("{:x}-", slab.map.as_ptr().addr());
        let flags = maps.split_once(&start).unwrap().1.split_once("VmFlags:").unwrap().1.lines().next().unwrap();
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let Protection { is_locked, is_kept_out } = slab.protection();
        assert_eq!((has("lo"), has("dd") && has("dc")), (is_locked, is_kept_out), "{flags}");
    }
}
