//! Who a running request is from, for whoever below has to know: whose lane it waits in and whose buckets it empties.
//!
//! Invariant: known while the request's own task runs, from after the caller was let in. A value of the task, so that no
//! handler has to hand it on, and none can hand on another's.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use engine::{Claim, Claims};
use parking_lot::Mutex;

use super::pantry::Share;
use super::queue::Lane;
use crate::telemetry::Timeline;

tokio::task_local! {
    static VISIT: Visit;
}

/// By which keys and people become numbers that say nothing about them; another one at each start.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// An end user of a key, as a number that says nothing about either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndUserPlace(u64);

impl EndUserPlace {
    /// Of whom a token that is good claims this, beside this key. All whom it does not name are one.
    pub fn of(key_id: &str, claims: &Claims) -> Self {
        let subject = claims.values("sub").and_then(|values| match values {
            [Claim::Text(subject)] => Some(subject.as_str()),
            _ => None,
        });
        Self(HASHER.hash_one((key_id, subject)))
    }
}

/// Of whom a request is.
#[derive(Clone)]
pub struct Visit {
    /// The environment that it works in.
    pub lane: Lane,
    /// The key that it showed, as a number that says nothing about it.
    pub key: Option<u64>,
    /// The end user that it is made for with this key, as such a number.
    pub end_user: Option<u64>,
    /// What its body takes of the memory for bodies, until it is answered.
    share: Arc<Mutex<Option<Share>>>,
}

impl Visit {
    /// Of who works in this environment with the key of this id, whichever of its secrets they showed.
    pub fn new(environment: &str, key_id: Option<&str>) -> Self {
        let key = key_id.map(|id| HASHER.hash_one(id));
        Self { lane: Arc::from(environment), key, end_user: None, share: Arc::default() }
    }

    /// The same, for this end user.
    #[must_use]
    pub fn for_end_user(self, end_user: Option<EndUserPlace>) -> Self {
        Self { end_user: end_user.map(|EndUserPlace(place)| place), ..self }
    }

    /// Runs `work` as a request of this caller.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        Timeline::works_in(&self.lane);
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
