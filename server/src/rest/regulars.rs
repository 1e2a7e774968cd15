//! Who was let in lately, and where they waited: what is known of a caller before their key is looked at.
//!
//! Invariant: what is remembered is a keyed hash of what somebody showed and from where, never what they showed, of no more than
//! [`CALLERS_MAX`]; nothing is concluded from it but where they would wait, and whose buckets they would empty.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;

use parking_lot::RwLock;

use super::queue::Lane;
use super::visit::Visit;

/// So many callers are remembered; then one is forgotten for each that comes.
const CALLERS_MAX: usize = 4096;

/// As whom somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regular {
    /// Where they waited.
    pub lane: Lane,
    /// Their key, as [`Visit`] has it.
    pub key: Option<u64>,
}

/// Callers, and as whom they were let in.
#[derive(Default)]
pub struct Regulars {
    hasher: RandomState,
    regulars: RwLock<HashMap<u64, Regular>>,
}

impl From<&Visit> for Regular {
    fn from(visit: &Visit) -> Self {
        Self { lane: Lane::clone(&visit.lane), key: visit.key }
    }
}

impl Regulars {
    /// Who comes from this address and shows this, as a number that says nothing about them.
    pub fn caller<'a>(&self, address: Option<IpAddr>, shown: impl Iterator<Item = &'a [u8]>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        address.hash(&mut hasher);
        shown.for_each(|shown| shown.hash(&mut hasher));
        hasher.finish()
    }

    /// A caller is let in as `regular`.
    pub fn remember(&self, caller: u64, regular: Regular) {
        if self.regulars.read().get(&caller) == Some(&regular) {
            return;
        }
        let mut regulars = self.regulars.write();
        if regulars.len() >= CALLERS_MAX {
            // Any: in a map of hashes nobody knows which is the first.
            let other = regulars.keys().next().copied();
            other.map(|other| regulars.remove(&other));
        }
        regulars.insert(caller, regular);
    }

    /// As whom a caller was let in last.
    pub fn find(&self, caller: u64) -> Option<Regular> {
        self.regulars.read().get(&caller).cloned()
    }

    /// A caller is let in no more.
    pub fn forget(&self, caller: u64) {
        if self.regulars.read().contains_key(&caller) {
            self.regulars.write().remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(shown: &[&'a str]) -> impl Iterator<Item = &'a [u8]> {
        shown.iter().map(|shown| shown.as_bytes()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_caller_is_known_by_all_that_they_showed_and_only_so_many_are() {
        let (regulars, regular) = (Regulars::default(), Regular { lane: "a".into(), key: Some(7) });
        let caller = |shown| regulars.caller(None, of(shown));
        regulars.remember(caller(&["key", "one"]), regular.clone());
        assert_eq!(regulars.find(caller(&["key", "one"])), Some(regular.clone()));
        for others in [&["key"][..], &["keyone"], &["key", "two"], &[]] {
            assert_eq!(regulars.find(caller(others)), None, "{others:?}");
        }
        let elsewhere = regulars.caller(Some([127, 0, 0, 1].into()), of(&["key", "one"]));
        assert_eq!(regulars.find(elsewhere), None, "who shows it there was not let in");
        let later = Regular { key: None, ..regular.clone() };
        regulars.remember(caller(&["key", "one"]), later.clone());
        assert_eq!(regulars.find(caller(&["key", "one"])), Some(later), "the last time counts");
        regulars.forget(caller(&["key", "two"]));
        regulars.forget(caller(&["key", "one"]));
        assert_eq!(regulars.find(caller(&["key", "one"])), None);
        for n in 0..2 * CALLERS_MAX {
            let nth = regulars.caller(None, of(&[&n.to_string()]));
            regulars.remember(nth, regular.clone());
            assert!(regulars.find(nth).is_some());
        }
        assert_eq!(regulars.regulars.read().len(), CALLERS_MAX);
    }
}
