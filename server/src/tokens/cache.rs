//! The key sets that were fetched, and when one is fetched again.
//!
//! Invariant: a set is asked for when there is none, when the one there is is older than [`FRESH_MS`], or for an id that it
//! lacks; but never again within [`PAUSE_MS`] of the last try, whatever comes and whatever the wall clock is set to, so
//! that nobody can make this server send more than one request a minute to anybody. Nobody waits for the network but who
//! asks it: one at a time for each place and [`FETCHES_MAX`] in all, with no lock held. All others are answered at once,
//! by the set there was or by a refusal that says when to come back; so an issuer that hangs holds up nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Clock, TokenAlgorithm, TokenKeys, Trust};
use jsonwebtoken::DecodingKey;

use super::fetch::Fetch;
use super::key_set::KeySet;

/// How long a set is used without asking again.
pub const FRESH_MS: u64 = 10 * 60_000;
/// How long a set is used at most where no newer one can be had: keys that the issuer took back are good no longer.
pub const GOOD_MS: u64 = FRESH_MS + 5 * PAUSE_MS;
/// How long it takes at least from one try to the next.
pub const PAUSE_MS: u64 = 60_000;
/// How many places are asked at once. Each has a thread wait for it.
pub const FETCHES_MAX: usize = 4;
/// How many places are remembered.
pub const PLACES_MAX: usize = 1024;

/// The keys of every issuer that was asked.
pub struct Keys {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    by_url: BTreeMap<String, Place>,
    /// How many of them are being asked.
    asked: usize,
}

/// Times are by the clock that nobody sets.
#[derive(Default)]
struct Place {
    set: Option<KeySet>,
    fetched_ms: u64,
    tried_ms: Option<u64>,
    /// When somebody last needed it.
    used_ms: u64,
    is_asked: bool,
}

/// What a key is not found for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The set has none of this id for this algorithm.
    Unknown,
    /// There is no set, and none was to be had within [`PAUSE_MS`].
    Unavailable,
    /// The place is being asked just now, or others are, and none that was fetched before says anything of it.
    Asked,
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
        let find = |set: &KeySet| set.key(id, algorithm).cloned();
        let url = match trust.keys() {
            TokenKeys::Inline(set) => {
                let set = KeySet::parse(set.as_bytes()).map_err(|_| NoKey::Unavailable)?;
                return find(&set).ok_or(NoKey::Unknown);
            }
            TokenKeys::Url(url) => url,
        };
        if let Some(answer) = self.known(url, find) {
            return answer;
        }
        // It is this thread that asks, whatever becomes of it.
        let mut errand = Errand { keys: self, url, began_ms: self.clock.steady_ms(), set: None };
        errand.set = self.fetch.fetch(url).ok().and_then(|bytes| KeySet::parse(&bytes).ok());
        drop(errand);
        match locked(&self.places).by_url.get(url).and_then(|place| place.set.as_ref()) {
            Some(set) => find(set).ok_or(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        }
    }

    /// What can be said at once; nothing where the place is to be asked now, which is noted as begun.
    fn known(&self, url: &str, find: impl Fn(&KeySet) -> Option<DecodingKey>) -> Option<Result<DecodingKey, NoKey>> {
        let mut places = locked(&self.places);
        let Places { by_url, asked } = &mut *places;
        let now_ms = self.clock.steady_ms();
        if !by_url.contains_key(url) && !makes_room(by_url, now_ms) {
            return Some(Err(NoKey::Asked));
        }
        let place = by_url.entry(url.to_owned()).or_default();
        place.used_ms = now_ms;
        let age_ms = now_ms.saturating_sub(place.fetched_ms);
        place.set = place.set.take().filter(|_| age_ms < GOOD_MS);
        let found = place.set.as_ref().map(find);
        if let Some(Some(key)) = &found
            && age_ms < FRESH_MS
        {
            return Some(Ok(key.clone()));
        }
        let is_due = !place.is_asked && place.is_rested(now_ms);
        if is_due && *asked < FETCHES_MAX {
            (place.is_asked, place.tried_ms) = (true, Some(now_ms));
            *asked += 1;
            return None;
        }
        Some(match found {
            Some(Some(key)) => Ok(key),
            _ if is_due || place.is_asked => Err(NoKey::Asked),
            Some(None) => Err(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        })
    }
}

impl Place {
    /// Whether it was not asked for so long that it may be asked again.
    fn is_rested(&self, now_ms: u64) -> bool {
        self.tried_ms.is_none_or(|tried| now_ms.saturating_sub(tried) >= PAUSE_MS)
    }
}

/// Whether one more place can be remembered, which the one that was not needed for longest makes room for: never one that
/// is being asked, or was so lately that it must not be asked again.
fn makes_room(places: &mut BTreeMap<String, Place>, now_ms: u64) -> bool {
    if places.len() < PLACES_MAX {
        return true;
    }
    let idle = places.iter().filter(|(_, place)| !place.is_asked && place.is_rested(now_ms));
    let oldest = idle.min_by_key(|(_, place)| place.used_ms).map(|(url, _)| url.clone());
    oldest.is_some_and(|oldest| places.remove(&oldest).is_some())
}

/// A place that is being asked, until this is dropped.
struct Errand<'a> {
    keys: &'a Keys,
    url: &'a str,
    began_ms: u64,
    /// What was brought back.
    set: Option<KeySet>,
}

impl Drop for Errand<'_> {
    fn drop(&mut self) {
        let mut places = locked(&self.keys.places);
        places.asked = places.asked.saturating_sub(1);
        let Some(place) = places.by_url.get_mut(self.url) else { return };
        place.is_asked = false;
        if let Some(set) = self.set.take() {
            (place.set, place.fetched_ms) = (Some(set), self.began_ms);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
