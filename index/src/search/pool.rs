//! The best positions seen so far, in one short sorted array.
//!
//! Invariant: keys are strictly rising and at most `limit` many; `next` is not beyond the first key
//! that is not expanded. A key holds the distance in an order-preserving form above the position
//! and the mark of expansion, so that one integer comparison orders by (distance, position). For
//! the few hundred entries of a search this beats heaps: an insertion is a binary search and a
//! short move within memory that stays in the first-level cache.

/// Marks an expanded position.
const EXPANDED: u64 = 1;

/// A sorted list of positions with distances, of bounded length.
#[derive(Default)]
pub(crate) struct Pool {
    keys: Vec<u64>,
    limit: usize,
    next: usize,
}

impl Pool {
    /// Empties the pool and bounds it to `limit` positions (at least one).
    pub(crate) fn reset(&mut self, limit: usize) {
        self.keys.clear();
        self.limit = limit.max(1);
        self.keys.reserve(self.limit);
        self.next = 0;
    }

    /// Inserts a position unless the pool is full of better ones. A position must not be inserted
    /// twice; it is below 2^31.
    #[inline]
    pub(crate) fn insert(&mut self, distance: f32, position: u32) {
        let key = key(distance, position);
        if self.keys.len() >= self.limit {
            if self.keys.last().is_some_and(|&last| last < key) {
                return;
            }
            self.keys.pop();
        }
        let at = self.keys.partition_point(|&other| other < key);
        self.keys.insert(at, key);
        self.next = self.next.min(at);
    }

    /// The distance that a position must beat to enter.
    #[inline]
    pub(crate) fn bound(&self) -> f32 {
        if self.keys.len() < self.limit {
            f32::INFINITY
        } else {
            self.keys.last().map_or(f32::INFINITY, |&key| distance(key))
        }
    }

    /// The nearest position not handed out before, and marks it.
    #[inline]
    pub(crate) fn expand(&mut self) -> Option<u32> {
        let offset = self.keys.get(self.next..)?.iter().position(|key| key & EXPANDED == 0)?;
        self.next += offset;
        let key = self.keys.get_mut(self.next)?;
        *key |= EXPANDED;
        Some(position(*key))
    }

    /// The position that [`expand`](Self::expand) would hand out if it were the next one in line: a
    /// guess for prefetching.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u32> {
        self.keys.get(self.next..)?.iter().find(|&key| key & EXPANDED == 0).map(|&key| position(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Positions and distances, nearest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.keys.iter().map(|&key| (position(key), distance(key)))
    }
}

/// Distances compare as these integers do: negative floats have their bits flipped, others only the
/// sign.
#[inline]
fn key(distance: f32, position: u32) -> u64 {
    let bits = distance.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(position << 1)
}

#[inline]
fn distance(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[inline]
fn position(key: u64) -> u32 {
    key as u32 >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_the_best_in_order(limit in 0_usize..40, distances in proptest::collection::vec(-3_i8..4, 0..120)) {
            let mut pool = Pool::default();
            pool.reset(limit);
            let mut model = Vec::new();
            for (position, &distance) in (0..).zip(&distances) {
                pool.insert(f32::from(distance), position);
                model.push((f32::from(distance), position));
                model.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
                model.truncate(limit.max(1));
                let found: Vec<_> = pool.iter().map(|(position, distance)| (distance, position)).collect();
                prop_assert_eq!(&found, &model);
                let bound = if model.len() < limit.max(1) { f32::INFINITY } else { model[model.len() - 1].0 };
                prop_assert_eq!(pool.bound(), bound);
            }
        }

        #[test]
        fn expands_nearest_first_and_each_once(rounds in proptest::collection::vec((any::<bool>(), 0_u8..9), 0..99)) {
            let mut pool = Pool::default();
            pool.reset(30);
            let (mut waiting, mut position) = (Vec::new(), 0);
            for (expand, distance) in rounds {
                if expand {
                    let peeked = pool.peek();
                    let expected = waiting.iter().min().copied();
                    let found = pool.expand();
                    prop_assert_eq!(found, expected.map(|(_, position)| position));
                    prop_assert_eq!(found, peeked);
                    waiting.retain(|&entry| Some(entry) != expected);
                } else if pool.len() < 30 {
                    pool.insert(f32::from(distance), position);
                    waiting.push((distance, position));
                    position += 1;
                }
            }
        }

        #[test]
        fn keys_order_as_distances(a in any::<f32>(), b in any::<f32>(), p in 0_u32..1 << 31) {
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            prop_assert_eq!(a < b, key(a, p) < key(b, p));
            prop_assert_eq!(distance(key(a, p)), a);
            prop_assert_eq!(position(key(a, p)), p);
        }
    }
}
