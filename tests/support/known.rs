//! What an adversary found out, and what there was to find out about a person: the two that a test of an erasure compares.
//!
//! Apart from [`crate::time_travel`], which finds it out.

use std::collections::BTreeSet;

use privacy::Tag;
use storage::id::RecordId;

/// What somebody with some of the anchors knows.
#[derive(Default)]
pub struct Known {
    /// Every plaintext that opened.
    pub plain: Vec<Vec<u8>>,
    /// Every record id in them.
    pub ids: BTreeSet<u64>,
    /// Every data key that a row names, and every key of a log, a job or an index.
    pub keys: BTreeSet<[u8; 32]>,
    /// The blinds of those whose names it guesses.
    pub blinds: BTreeSet<[u8; 32]>,
    /// The audit log event by event, receipts, and how far erasures came.
    pub told: BTreeSet<Vec<u8>>,
    /// How many keyrings opened.
    pub keyrings: usize,
}

/// What there ever was of a person, as the store knew it while it was there.
#[derive(Default)]
pub struct Person {
    /// Its data keys.
    pub keys: BTreeSet<[u8; 32]>,
    /// Its blinds.
    pub blinds: BTreeSet<[u8; 32]>,
    /// What the audit log calls it.
    pub pseudonyms: BTreeSet<[u8; 32]>,
    /// Its tag, which whoever has the live keyring and guesses the name can compute.
    pub tag: Option<Tag>,
}

impl Known {
    /// Whether any plaintext holds `needle`.
    #[must_use]
    pub fn knows(&self, needle: &[u8]) -> bool {
        self.plain.iter().any(|plain| plain.windows(needle.len()).any(|window| window == needle))
    }

    /// Notes an id, if it is a number.
    pub(crate) fn id(&mut self, id: RecordId) {
        if let RecordId::Num(number) = id {
            self.ids.insert(number);
        }
    }
}
