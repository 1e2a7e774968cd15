//! The memory that the bodies of requests take together, from the first byte that arrived until the request is answered.
//!
//! Invariant: a byte is kept only if there is room for it; it is counted when it arrives and not when it is announced, so
//! that nobody takes room with a header alone. Without this, as many bodies as there are connections would wait for a turn,
//! each as large as one may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The room; shared.
pub struct Pantry {
    bytes_max: usize,
    taken: AtomicUsize,
}

/// What one body takes of it; given back when it is dropped.
pub struct Share {
    pantry: Arc<Pantry>,
    bytes: usize,
}

/// There is no room for more.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Pantry {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicUsize::new(0) })
    }

    /// A share that takes nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { pantry: Arc::clone(self), bytes: 0 }
    }

    /// How many bytes are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`NoRoom`]; then it takes no more than before.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let room = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.pantry.bytes_max);
        self.pantry.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| NoRoom)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pantry.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_all_of_it_comes_back() {
        let pantry = Pantry::new(10);
        let (mut first, mut second) = (pantry.share(), pantry.share());
        assert_eq!((first.grow(6), second.grow(5), second.grow(4)), (Ok(()), Err(NoRoom), Ok(())));
        assert_eq!((first.grow(1), first.grow(usize::MAX), pantry.taken()), (Err(NoRoom), Err(NoRoom), 10));
        drop(first);
        assert_eq!((second.grow(6), pantry.taken()), (Ok(()), 10));
        drop(second);
        assert_eq!(pantry.taken(), 0);
    }
}
