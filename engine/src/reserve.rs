//! Room on the disk that is set aside, so that a person can be forgotten when there is none left.
//!
//! Invariant: while the reserve is given up, ordinary writes are refused, so that what is erasing does not have to race
//! them for the room. It is taken back as soon as there is room again, and then they go on by themselves.

use std::io::ErrorKind::{FileTooLarge, NotFound, QuotaExceeded, StorageFull, Unsupported};
use std::sync::atomic::{AtomicBool, Ordering};

use storage::backend::Dir;
use storage::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// The file that keeps the room.
const RESERVE: &str = "reserve";

/// The reserve of a database.
pub(crate) struct Reserve {
    dir: Dir,
    bytes: u64,
    state: Mutex<State>,
    /// The last write found no room.
    full: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The file is there, or none is wanted or possible.
    whole: bool,
    /// How many are at work in the room that was given up.
    spenders: usize,
}

impl Reserve {
    /// Sets `bytes` aside in `dir`, the root of the data; without room for them ordinary writes wait until there is.
    pub fn take(dir: Dir, bytes: u64) -> Result<Self> {
        // One that is whole is never let go of, since on a full disk others would take the room.
        let whole = bytes > 0 && dir.len(RESERVE).is_ok_and(|length| length == bytes);
        let state = Mutex::new(State { whole, spenders: 0 });
        let reserve = Self { dir, bytes, state, full: AtomicBool::new(false) };
        if !whole {
            // A crash may have left one of another size.
            reserve.remove()?;
            reserve.restore(&mut reserve.state.lock())?;
        }
        Ok(reserve)
    }

    /// Lets an ordinary write go on.
    ///
    /// # Errors
    /// `Full` while the reserve is given up.
    pub fn check(&self) -> Result<()> {
        let mut state = self.state.lock();
        if !state.whole && state.spenders == 0 {
            self.restore(&mut state)?;
        }
        if state.whole { Ok(()) } else { Err(full()) }
    }

    /// Remembers what came of a write.
    pub fn note<T>(&self, written: Result<T>) -> Result<T> {
        let is_full = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::Full);
        if is_full || written.is_ok() {
            self.full.store(is_full, Ordering::Relaxed);
        }
        written
    }

    /// Whether writes wait for room.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) || !self.state.lock().whole
    }

    /// Does `work`, and if the disk is too full for it does it again in the room that was set aside.
    pub fn spend<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.kind() == ErrorKind::Full && self.bytes > 0 => {}
            other => return other,
        }
        {
            let mut state = self.state.lock();
            self.remove()?;
            state.whole = false;
            state.spenders += 1;
        }
        let done = work();
        let mut state = self.state.lock();
        state.spenders -= 1;
        if state.spenders == 0
            && let Err(error) = self.restore(&mut state)
        {
            // What was done stays done; writes wait until the room can be set aside.
            tracing::warn!(%error, "the reserve is not restored");
        }
        done
    }

    fn restore(&self, state: &mut State) -> Result<()> {
        if self.bytes == 0 {
            state.whole = true;
            return Ok(());
        }
        state.whole = match self.dir.set_aside(RESERVE, self.bytes) {
            Ok(()) => true,
            Err(error) if error.kind() == Unsupported => true,
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) => false,
            Err(error) => return Err(Error::io("room on the disk cannot be set aside", error)),
        };
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        match self.dir.remove(RESERVE) {
            Err(error) if error.kind() != NotFound => Err(Error::io("the reserve cannot be given up", error)),
            _ => Ok(()),
        }
    }
}

fn full() -> Error {
    Error::new(
        ErrorKind::Full,
        "the disk is full: writes wait for room, while reads and erasures go on; make room and they resume by themselves",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::Arc;

    use storage::backend::Faulty;

    use super::*;

    fn write(dir: &Dir, name: &str, bytes: usize) -> Result<()> {
        dir.write_new(name, &vec![1; bytes]).map_err(|error| Error::io("writing", error))
    }

    #[test]
    fn what_was_set_aside_is_there_when_the_disk_is_full() {
        let disk = Faulty::new();
        disk.set_capacity(Some(1000));
        let dir = Dir::root(Arc::new(disk.clone()));
        let reserve = Reserve::take(dir.clone(), 400).unwrap();
        assert_eq!(write(&dir, "a", 700).unwrap_err().kind(), ErrorKind::Full);
        write(&dir, "a", 600).unwrap();
        assert_eq!(reserve.note(write(&dir, "b", 1)).unwrap_err().kind(), ErrorKind::Full);
        assert!(reserve.is_full());
        reserve.spend(|| write(&dir, "b", 300)).unwrap();
        assert_eq!(reserve.check().unwrap_err().kind(), ErrorKind::Full, "the room is in use");
        assert_eq!(reserve.spend(|| write(&dir, "c", 300)).unwrap_err().kind(), ErrorKind::Full);
        dir.remove("a").unwrap();
        reserve.check().unwrap();
        reserve.note(write(&dir, "a", 300)).unwrap();
        assert!(!reserve.is_full());
        assert_eq!(write(&dir, "c", 1).unwrap_err().kind(), ErrorKind::Full, "it was taken back");
    }

    #[test]
    fn ordinary_writes_do_not_race_for_the_room() {
        let disk = Faulty::new();
        disk.set_capacity(Some(100));
        let dir = Dir::root(Arc::new(disk.clone()));
        let reserve = Reserve::take(dir.clone(), 100).unwrap();
        let mut runs = 0;
        let spent = reserve.spend(|| {
            runs += 1;
            let refused = reserve.state.lock().whole || reserve.check().is_err();
            assert!(refused, "a write would take the room");
            dir.create("a").and_then(|mut file| file.append(&[1; 50])).map_err(|error| {
                dir.remove("a").unwrap();
                Error::io("writing", error)
            })
        });
        assert_eq!((spent.is_ok(), runs), (true, 2));
    }
}
