//! The key sets that were fetched, and when one is fetched again.
//!
//! Invariant: a set is asked for when there is none, when the one there is is older than [`FRESH_MS`], or for an id that it
//! lacks; but never again within [`PAUSE_MS`] of the last try, whatever comes, so that nobody can make this server send
//! more than one request a minute to anybody. One place that hangs keeps only those waiting whose keys are there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Clock, SystemClock, TokenAlgorithm, TokenKeys, Trust};
use jsonwebtoken::DecodingKey;

use super::fetch::{Fetch, Https};
use super::key_set::KeySet;

/// How long a set is used without asking again.
pub const FRESH_MS: u64 = 10 * 60_000;
/// How long it takes at least from one try to the next.
pub const PAUSE_MS: u64 = 60_000;
/// How many places are remembered.
const PLACES_MAX: usize = 1024;

/// A URL, and whether it may be at a private address.
type Name = (String, bool);

/// The keys of every issuer that was asked.
pub struct Keys {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    /// By URL, and whether private addresses are allowed.
    places: Mutex<BTreeMap<Name, Arc<Mutex<Place>>>>,
}

#[derive(Default)]
struct Place {
    set: Option<KeySet>,
    fetched_ms: u64,
    tried_ms: Option<u64>,
}

/// What a key is not found for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The set has none of this id for this algorithm.
    Unknown,
    /// There is no set now.
    Unavailable,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new(Box::new(Https), Arc::new(SystemClock))
    }
}

impl Keys {
    /// Keys that come from there, by this clock.
    pub fn new(fetch: Box<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { fetch, clock, places: Mutex::default() }
    }

    /// What time it is, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The key of this id that tokens by this algorithm are signed with.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn key(&self, trust: &Trust, id: &str, algorithm: TokenAlgorithm) -> Result<DecodingKey, NoKey> {
        let found = |set: &KeySet| set.key(id, algorithm).cloned();
        let (url, allows_private) = match trust.keys() {
            TokenKeys::Inline(set) => {
                let set = KeySet::parse(set.as_bytes()).map_err(|_| NoKey::Unavailable)?;
                return found(&set).ok_or(NoKey::Unknown);
            }
            TokenKeys::Url { url, allows_private } => (url, *allows_private),
        };
        let place = self.place(url, allows_private);
        let mut place = locked(&place);
        let now_ms = self.clock.now_ms();
        let is_fresh = place.set.is_some() && now_ms.saturating_sub(place.fetched_ms) < FRESH_MS;
        if let Some(key) = place.set.as_ref().filter(|_| is_fresh).and_then(found) {
            return Ok(key);
        }
        let may_try = place.tried_ms.is_none_or(|tried| now_ms.saturating_sub(tried) >= PAUSE_MS);
        if may_try {
            place.tried_ms = Some(now_ms);
            let fetched = self.fetch.fetch(url, allows_private).ok();
            match fetched.and_then(|bytes| KeySet::parse(&bytes).ok()) {
                Some(set) => (place.set, place.fetched_ms) = (Some(set), now_ms),
                // Old keys are not good for ever because the new ones cannot be had.
                None if !is_fresh => place.set = None,
                None => {}
            }
        }
        match place.set.as_ref().filter(|_| is_fresh || may_try) {
            Some(set) => found(set).ok_or(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        }
    }

    fn place(&self, url: &str, allows_private: bool) -> Arc<Mutex<Place>> {
        let mut places = locked(&self.places);
        let name = (url.to_owned(), allows_private);
        if places.len() >= PLACES_MAX && !places.contains_key(&name) {
            places.clear();
        }
        Arc::clone(places.entry(name).or_default())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
