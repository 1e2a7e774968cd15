//! Which segments to rewrite next: a pure function of their sizes.
//!
//! Tiered compaction (O'Neil et al., "The Log-Structured Merge-Tree", 1996; in the size-tiered form of Cassandra and
//! RocksDB's universal style). Segments whose live rows lie within one power of the factor form a tier. A tier that has
//! gathered a factor of segments is merged, smallest first, as far as the row cap allows. A segment of more than half
//! the cap is *full* and is merged no more. So a merge either empties its tier or makes a full segment, a row is
//! rewritten once a tier, and at rest each tier holds fewer segments than the factor.
//!
//! A segment with too many dead rows that no merge takes is rewritten alone.

use std::collections::BTreeMap;

use crate::id::SegmentId;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The segment.
    pub id: SegmentId,
    /// Its rows.
    pub rows: u64,
    /// How many of them are dead.
    pub dead: u64,
}

impl Size {
    /// Rows that a rewrite would keep.
    pub fn live(&self) -> u64 {
        self.rows.saturating_sub(self.dead)
    }
}

/// The bounds of the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Segments that a tier gathers before it is merged, and the ratio between tiers; at least 2.
    pub factor: u64,
    /// The lowest tier: segments of fewer live rows.
    pub small_rows: u64,
    /// The most live rows that a merge may put into one segment. Bounds the work of erasing from it.
    pub max_rows: u64,
    /// A segment with a greater share of dead rows, in percent, is rewritten.
    pub dead_percent: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { factor: 8, small_rows: 4096, max_rows: 4 << 20, dead_percent: 20 }
    }
}

impl Policy {
    /// The tier of a segment with `live` rows; `None` if it is full.
    fn tier(&self, live: u64) -> Option<u32> {
        if live > self.max_rows / 2 {
            return None;
        }
        let steps = live / self.small_rows.max(1);
        Some(steps.checked_ilog(self.factor.max(2)).map_or(0, |tier| tier + 1))
    }

    fn is_decayed(&self, size: &Size) -> bool {
        u128::from(size.dead) * 100 > u128::from(size.rows) * u128::from(self.dead_percent)
    }
}

/// The rewrites that are due, each a set of segments to make one of. No segment is in two of them.
pub fn pick(segments: &[Size], policy: &Policy) -> Vec<Vec<SegmentId>> {
    let mut picks = Vec::new();
    let mut tiers: BTreeMap<u32, Vec<&Size>> = BTreeMap::new();
    let mut untouched = Vec::new();
    for size in segments {
        match policy.tier(size.live()) {
            Some(tier) => tiers.entry(tier).or_default().push(size),
            None => untouched.push(size),
        }
    }
    for mut tier in tiers.into_values() {
        tier.sort_unstable_by_key(|size| (size.live(), size.id));
        let mut rest = tier.as_slice();
        while rest.len() as u64 >= policy.factor.max(2) {
            let (merged, left) = rest.split_at(fitting(rest, policy.max_rows));
            if merged.len() < 2 {
                break;
            }
            picks.push(merged.iter().map(|size| size.id).collect());
            rest = left;
        }
        untouched.extend_from_slice(rest);
    }
    let decayed = untouched.into_iter().filter(|size| policy.is_decayed(size));
    picks.extend(decayed.map(|size| vec![size.id]));
    picks
}

/// How many of these segments, from the first, fit into one of `max_rows`.
fn fitting(segments: &[&Size], max_rows: u64) -> usize {
    let mut live = 0u64;
    let fits = |size: &&&Size| {
        live = live.saturating_add(size.live());
        live <= max_rows
    };
    segments.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests;
