//! Shares of a root key as they come in, one after the other, until they give the key.
//!
//! Invariant: what is kept is of one set, nothing of it twice, and leaves together or is wiped. What is wrong with shares
//! is judged in one place, which never says which part of which share is wrong.

use std::mem;

use privacy::{CombineError, Share, combine_root_key};

use crate::error::{Error, ErrorKind, Result};
use crate::root_key::RootKey;

/// More than any set has: growing would leave copies behind.
const ROOM: usize = 256;

/// Shares that were given, and too few of them.
pub struct Gathering {
    shares: Vec<Share>,
    is_repeated: bool,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { shares: Vec::with_capacity(ROOM), is_repeated: false }
    }
}

impl Gathering {
    /// Different shares that were given.
    pub fn given(&self) -> usize {
        self.shares.len()
    }

    /// How many give the key; unknown before the first.
    pub fn needed(&self) -> Option<u8> {
        self.shares.first().map(Share::threshold)
    }

    /// Whether the share that was given last was there already. Only who has that share can bring it about: another of its
    /// place is an altered one.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Takes a share, and gives the root key once there are enough; then none is kept. The same share twice counts once.
    ///
    /// # Errors
    /// `Conflict` for a share of another set than those before, which stay; `KeyUnavailable` where shares give another
    /// key than the one that was split, so that all have to be given again.
    pub fn give(&mut self, share: Share) -> Result<Option<RootKey>> {
        let is_repeated = self.shares.iter().any(|other| other.place() == share.place());
        self.is_repeated = false;
        self.shares.push(share);
        match combine_root_key(&self.shares) {
            Ok(_) => Ok(Some(RootKey::shares(mem::take(self).shares))),
            Err(CombineError::TooFew { .. }) => {
                if is_repeated {
                    self.shares.pop();
                }
                self.is_repeated = is_repeated;
                Ok(None)
            }
            Err(error @ CombineError::Mixed) => {
                self.shares.pop();
                let doing = "the share does not belong to those that were given before";
                Err(Error::with(ErrorKind::Conflict, doing, error))
            }
            Err(error @ CombineError::Altered) => {
                self.shares.clear();
                let doing = "the shares do not give the root key, and all of them are forgotten";
                Err(Error::with(ErrorKind::KeyUnavailable, doing, error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use privacy::{RootKey as Key, split_root_key};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn split(threshold: u8, count: u8, seed: u64) -> Vec<Share> {
        split_root_key(&Key::from_bytes([7; 32]), threshold, count, &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    fn again(share: &Share) -> Share {
        Share::parse(&share.format()).unwrap()
    }

    #[test]
    fn any_enough_different_shares_give_the_key_in_any_order() {
        for order in [[0, 1, 2], [4, 2, 0], [3, 1, 4]] {
            let (shares, mut gathering) = (split(3, 5, 1), Gathering::default());
            assert_eq!((gathering.given(), gathering.needed()), (0, None));
            for (before, place) in order.into_iter().enumerate() {
                if let [first, ..] = order[..before] {
                    assert!(gathering.give(again(&shares[first])).unwrap().is_none(), "twice is once");
                    assert!(gathering.is_repeated(), "and told as such");
                }
                assert_eq!(gathering.given(), before);
                assert_eq!(gathering.give(again(&shares[place])).unwrap().is_some(), before == 2);
                assert!(!gathering.is_repeated());
            }
            assert_eq!((gathering.given(), gathering.needed()), (0, None), "nothing is kept");
        }
    }

    #[test]
    fn a_share_of_another_set_is_refused_and_the_others_stay() {
        let (ours, theirs, mut gathering) = (split(2, 3, 1), split(2, 3, 2), Gathering::default());
        gathering.give(again(&ours[0])).unwrap();
        for other in [&theirs[0], &theirs[1]] {
            assert_eq!(gathering.give(again(other)).map(drop).unwrap_err().kind(), ErrorKind::Conflict);
        }
        assert_eq!((gathering.given(), gathering.needed()), (1, Some(2)));
        assert!(gathering.give(again(&ours[2])).unwrap().is_some());
    }
}
