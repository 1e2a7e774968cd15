//! The end of an answer that is sent part by part while it is made.
//!
//! Invariant: an answer ends as a whole one only where its maker says that it is whole. Whatever else becomes of the maker
//! (an error, a client that reads nothing, a panic, work that is dropped), the last that is sent is that it broke off; a
//! place among the parts that wait is kept for this word from the start, so that it comes through however full they are.

use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};

/// The word that an answer broke off, until it was sent or is not needed.
pub struct Ending<T> {
    place: Option<OwnedPermit<T>>,
    broken: fn() -> T,
}

/// Parts of an answer of which so many may wait for the client; `broken` is the last one, if nobody knows better.
pub fn parts<T: Send + 'static>(waiting: usize, broken: fn() -> T) -> (Sender<T>, Receiver<T>, Ending<T>) {
    let (sender, receiver) = mpsc::channel(waiting.saturating_add(1));
    // Nothing was sent yet, so there is a place.
    let place = sender.clone().try_reserve_owned().ok();
    (sender, receiver, Ending { place, broken })
}

impl<T> Ending<T> {
    /// All of the answer was sent.
    pub fn whole(mut self) {
        self.place = None;
    }

    /// It broke off, for this reason.
    pub fn broke_off(mut self, reason: T) {
        self.send(reason);
    }

    fn send(&mut self, reason: T) {
        if let Some(place) = self.place.take() {
            // Nobody may listen any more.
            _ = place.send(reason);
        }
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        let reason = (self.broken)();
        self.send(reason);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn sent(mut receiver: Receiver<u8>) -> Vec<u8> {
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    #[test]
    fn only_what_is_said_to_be_whole_ends_so() {
        let (sender, receiver, ending) = parts(2, || 0);
        sender.blocking_send(1).unwrap();
        ending.whole();
        drop(sender);
        assert_eq!(sent(receiver), [1]);

        // Though as many wait as may.
        let (sender, receiver, ending) = parts(2, || 0);
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        assert!(sender.try_send(3).is_err());
        ending.broke_off(9);
        drop(sender);
        assert_eq!(sent(receiver), [1, 2, 9]);

        let (sender, receiver, ending) = parts(2, || 0);
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _ending = ending;
            sender.try_send(1).unwrap();
            panic!("the maker fails");
        }));
        assert!(panicked.is_err());
        assert_eq!(sent(receiver), [1, 0]);
    }
}
