//! Who a running request is from, for whoever below has to know: whose lane it waits in and whose buckets it empties.
//!
//! Invariant: known while the request's own task runs, from after the caller was let in. A value of the task, so that no
//! handler has to hand it on, and none can hand on another's.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::pantry::Share;
use super::queue::Lane;

tokio::task_local! {
    static VISIT: Visit;
}

/// Of whom a request is.
#[derive(Clone)]
pub struct Visit {
    /// The environment that it works in.
    pub lane: Lane,
    /// The key that it showed, as a number that says nothing about it.
    pub key: Option<u64>,
    /// What its body takes of the memory for bodies, until it is answered.
    share: Arc<Mutex<Option<Share>>>,
}

impl Visit {
    /// Of who works in this environment with the key of this id, whichever of its secrets they showed.
    pub fn new(environment: &str, key_id: Option<&str>) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { lane: Arc::from(environment), key: key_id.map(|id| HASHER.hash_one(id)), share: Arc::default() }
    }

    /// Runs `work` as a request of this caller.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        VISIT.scope(self, work).await
    }

    /// Gives `share` back once the request that runs is answered; outside of one, at once.
    pub fn keep(share: Share) {
        _ = VISIT.try_with(|visit| *visit.share.lock() = Some(share));
    }

    /// Of the request that runs; none outside of one.
    pub fn current() -> Option<Self> {
        VISIT.try_with(Self::clone).ok()
    }
}
