//! Who was let in lately, and where they waited: what is known of a caller before their key is looked at.
//!
//! Invariant: what is remembered is a keyed hash of what somebody showed, never what they showed, of no more than
//! [`CALLERS_MAX`]; nothing is concluded from it but where they would wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use parking_lot::RwLock;

use super::queue::Lane;

/// So many callers are remembered; then all are forgotten.
const CALLERS_MAX: usize = 4096;

/// Callers and their lanes.
#[derive(Default)]
pub struct Regulars {
    hasher: RandomState,
    lanes: RwLock<HashMap<u64, Lane>>,
}

impl Regulars {
    /// Whoever shows this waits in `lane`.
    pub fn remember<'a>(&self, shown: impl Iterator<Item = &'a [u8]>, lane: &Lane) {
        let caller = self.caller(shown);
        if self.lanes.read().get(&caller) == Some(lane) {
            return;
        }
        let mut lanes = self.lanes.write();
        if lanes.len() >= CALLERS_MAX {
            lanes.clear();
        }
        lanes.insert(caller, Lane::clone(lane));
    }

    /// Where whoever shows this waited last.
    pub fn lane<'a>(&self, shown: impl Iterator<Item = &'a [u8]>) -> Option<Lane> {
        self.lanes.read().get(&self.caller(shown)).cloned()
    }

    fn caller<'a>(&self, shown: impl Iterator<Item = &'a [u8]>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        shown.for_each(|shown| shown.hash(&mut hasher));
        hasher.finish()
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
        let (regulars, lane) = (Regulars::default(), Lane::from("a"));
        regulars.remember(of(&["key", "one"]), &lane);
        assert_eq!(regulars.lane(of(&["key", "one"])), Some(lane.clone()));
        for others in [&["key"][..], &["keyone"], &["key", "two"], &[]] {
            assert_eq!(regulars.lane(of(others)), None, "{others:?}");
        }
        regulars.remember(of(&["key", "one"]), &"b".into());
        assert_eq!(regulars.lane(of(&["key", "one"])).as_deref(), Some("b"), "the last time counts");
        for n in 0..2 * CALLERS_MAX {
            regulars.remember(of(&[&n.to_string()]), &lane);
        }
        assert!(regulars.lanes.read().len() <= CALLERS_MAX);
    }
}
