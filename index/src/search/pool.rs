//! The best positions seen so far, in one short sorted array.
//!
//! Invariant: entries are strictly rising and at most `limit` many, but between the first `gather` and
//! the `settle` after the last; `next` is not beyond the first that is not expanded. An entry holds the key, made unsigned, above the position and the mark of
//! expansion, so that one integer comparison orders by (key, position). For the few hundred entries
//! of a walk this beats heaps: an insertion is a binary search and a short move within memory
//! that stays in the first-level cache. A scan need not know the order before its end, and may want
//! thousands; it gathers twice as many and lets the worse half go, which takes constant time a row.

/// Marks an expanded position.
const EXPANDED: u64 = 1;

/// A sorted list of positions with keys, of bounded length.
#[derive(Default)]
pub(crate) struct Pool {
    entries: Vec<u64>,
    limit: usize,
    next: usize,
    /// What is gathered is not beyond this.
    worst: u64,
}

impl Pool {
    /// Empties the pool and bounds it to `limit` positions (at least one).
    pub(crate) fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.limit = limit.max(1);
        self.entries.reserve(self.limit);
        self.next = 0;
        self.worst = u64::MAX;
    }

    /// Inserts a position unless the pool is full of better ones. A position must not be inserted
    /// twice; it is below 2^31.
    #[inline]
    pub(crate) fn insert(&mut self, key: i32, position: u32) {
        self.insert_entry(entry(key, position));
    }

    #[inline]
    fn insert_entry(&mut self, entry: u64) {
        if self.entries.len() >= self.limit {
            if self.entries.last().is_some_and(|&last| last < entry) {
                return;
            }
            self.entries.pop();
        }
        let at = self.entries.partition_point(|&other| other < entry);
        self.entries.insert(at, entry);
        self.next = self.next.min(at);
    }

    /// [`insert`](Self::insert)s positions with keys of up to `last`. Most are not among the best, and
    /// which, no processor can foresee: those that are get picked out without a branch first.
    #[inline]
    pub(crate) fn insert_up_to(&mut self, last: i32, positions: &[u32], keys: &[i32]) {
        let mut picked = [0; 16];
        for (positions, keys) in positions.chunks(picked.len()).zip(keys.chunks(picked.len())) {
            let full = self.entries.len() >= self.limit;
            let worst = self.entries.last().copied().filter(|_| full).unwrap_or(u64::MAX);
            let (worst, mut count) = (worst.min(entry(last, u32::MAX >> 1)), 0);
            for (&position, &key) in positions.iter().zip(keys) {
                let entry = entry(key, position);
                picked[count % 16] = entry;
                count += usize::from(entry <= worst);
            }
            picked.iter().take(count).for_each(|&entry| self.insert_entry(entry));
        }
    }

    /// Adds a position without an order, unless as many better ones are known; [`settle`](Self::settle) must follow.
    #[inline]
    pub(crate) fn gather(&mut self, key: i32, position: u32) {
        let entry = entry(key, position);
        if entry > self.worst {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() >= 2 * self.limit {
            self.keep_best();
        }
    }

    /// Puts what was gathered in order.
    pub(crate) fn settle(&mut self) {
        self.keep_best();
        self.entries.sort_unstable();
        self.next = 0;
    }

    fn keep_best(&mut self) {
        if self.entries.len() > self.limit {
            self.worst = *self.entries.select_nth_unstable(self.limit - 1).1;
            self.entries.truncate(self.limit);
        }
    }

    /// Replaces what is in the pool, whatever its order, by no more entries.
    pub(crate) fn replace(&mut self, entries: impl Iterator<Item = (i32, u32)>) {
        self.entries.clear();
        self.entries.extend(entries.take(self.limit).map(|(key, position)| entry(key, position)));
        self.entries.sort_unstable();
        self.next = 0;
    }

    /// The nearest position not handed out before, unless its key is beyond `last`, and marks it.
    #[inline]
    pub(crate) fn expand(&mut self, last: i32) -> Option<u32> {
        let offset = self.entries.get(self.next..)?.iter().position(|entry| entry & EXPANDED == 0)?;
        self.next += offset;
        let entry = self.entries.get_mut(self.next).filter(|entry| key(**entry) <= last)?;
        *entry |= EXPANDED;
        Some(position(*entry))
    }

    /// The position that [`expand`](Self::expand) would hand out if it were the next one in line: a
    /// guess for prefetching.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u32> {
        self.entries.get(self.next..)?.iter().find(|&entry| entry & EXPANDED == 0).map(|&entry| position(entry))
    }

    /// The key of the entry at `rank`, the nearest being 0.
    #[inline]
    pub(crate) fn key(&self, rank: usize) -> Option<i32> {
        self.entries.get(rank).map(|&entry| key(entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Positions and keys, nearest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        self.entries.iter().map(|&entry| (position(entry), key(entry)))
    }
}

#[inline]
fn entry(key: i32, position: u32) -> u64 {
    u64::from(key as u32 ^ 1 << 31) << 32 | u64::from(position << 1)
}

#[inline]
fn key(entry: u64) -> i32 {
    ((entry >> 32) as u32 ^ 1 << 31) as i32
}

#[inline]
fn position(entry: u64) -> u32 {
    entry as u32 >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_the_best_in_order(limit in 0_usize..40, keys in proptest::collection::vec(-3_i32..4, 0..120)) {
            let mut pool = Pool::default();
            pool.reset(limit);
            let mut model = Vec::new();
            for (position, &key) in (0..).zip(&keys) {
                pool.insert(key, position);
                model.push((key, position));
                model.sort_unstable();
                model.truncate(limit.max(1));
                let found: Vec<_> = pool.iter().map(|(position, key)| (key, position)).collect();
                prop_assert_eq!(&found, &model);
            }
        }

        #[test]
        fn gathers_the_best(limit in 0_usize..40, keys in proptest::collection::vec(-30_i32..40, 0..300)) {
            let (mut gathered, mut inserted) = (Pool::default(), Pool::default());
            for _ in 0..2 {
                gathered.reset(limit);
                inserted.reset(limit);
                for (position, &key) in (0..).zip(&keys) {
                    gathered.gather(key, position);
                    inserted.insert(key, position);
                    prop_assert!(gathered.len() <= 2 * limit.max(1));
                }
                gathered.settle();
                prop_assert_eq!(&gathered.entries, &inserted.entries);
                prop_assert_eq!(gathered.expand(i32::MAX), inserted.expand(i32::MAX));
            }
        }

        #[test]
        fn keeps_the_best_up_to_the_last(
            limit in 1_usize..40,
            hops in proptest::collection::vec((-3_i32..9, proptest::collection::vec(-5_i32..10, 0..50)), 0..6),
        ) {
            let mut pool = Pool::default();
            pool.reset(limit);
            let (mut model, mut next) = (Vec::new(), 0);
            for (last, keys) in hops {
                let positions: Vec<u32> = (next..).take(keys.len()).collect();
                next += keys.len() as u32;
                pool.insert_up_to(last, &positions, &keys);
                model.extend(keys.into_iter().zip(positions).filter(|(key, _)| *key <= last));
                model.sort_unstable();
                model.truncate(limit);
                let found: Vec<_> = pool.iter().map(|(position, key)| (key, position)).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!(pool.key(limit - 1), model.get(limit - 1).map(|entry| entry.0));
            }
        }

        #[test]
        fn expands_nearest_first_and_each_once(rounds in proptest::collection::vec((any::<bool>(), -5_i32..5), 0..99)) {
            let mut pool = Pool::default();
            pool.reset(30);
            let (mut waiting, mut position) = (Vec::new(), 0);
            for (expand, key) in rounds {
                if expand {
                    // Nothing is handed out that is further than the walk goes.
                    let before = waiting.iter().min().map(|&(key, _): &(i32, u32)| key - 1);
                    prop_assert_eq!(pool.expand(before.unwrap_or(i32::MAX)), None);
                    let peeked = pool.peek();
                    let expected = waiting.iter().min().copied();
                    let found = pool.expand(i32::MAX);
                    prop_assert_eq!(found, expected.map(|(_, position)| position));
                    prop_assert_eq!(found, peeked);
                    waiting.retain(|&entry| Some(entry) != expected);
                } else if pool.len() < 30 {
                    pool.insert(key, position);
                    waiting.push((key, position));
                    position += 1;
                }
            }
        }

        #[test]
        fn takes_replacements_in_any_order(mut entries in proptest::collection::hash_set((-9_i32..9, 0_u32..99), 0..30)) {
            let mut pool = Pool::default();
            pool.reset(30);
            pool.insert(5, 7);
            pool.replace(entries.iter().copied());
            let mut sorted: Vec<_> = entries.drain().collect();
            sorted.sort_unstable();
            prop_assert_eq!(pool.peek(), sorted.first().map(|entry| entry.1));
            let found: Vec<_> = pool.iter().map(|(position, key)| (key, position)).collect();
            prop_assert_eq!(found, sorted);
        }

        #[test]
        fn entries_order_as_keys_do(a: i32, b: i32, p in 0_u32..1 << 31, q in 0_u32..1 << 31) {
            prop_assert_eq!((a, p) < (b, q), entry(a, p) < entry(b, q));
            prop_assert_eq!((key(entry(a, p)), position(entry(a, p))), (a, p));
        }
    }
}
