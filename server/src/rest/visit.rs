//! Who a running request is from, for whoever below has to know: whose lane it waits in and whose buckets it empties.
//!
//! Invariant: known while the request's own task runs, from after the caller was let in. A value of the task, so that no
//! handler has to hand it on, and none can hand on another's.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use parking_lot::Mutex;

use super::pantry::Share;
use super::turns::Lane;

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
    /// Of who works in this environment and showed what these headers hold.
    pub fn new(environment: &str, headers: &HeaderMap) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let shown = headers.get(AUTHORIZATION).or_else(|| headers.get("X-API-Key"));
        // The key alone: another way to write what stands around it must not be another bucket.
        let key = shown.and_then(|shown| shown.to_str().ok()?.split_whitespace().next_back());
        Self { lane: Arc::from(environment), key: key.map(|key| HASHER.hash_one(key)), share: Arc::default() }
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
