//! The best positions seen so far: the nearest few sorted, the others in no order.
//!
//! A walk asks for the nearest position not yet expanded once a hop, and for the distance of the last
//! one wanted; of the many positions it is given meanwhile, most never become either. So only those
//! that get among the nearest `rank` are put in their place. The others are appended and looked through
//! when the nearest are all expanded, sixteen keys at a time: far fewer instructions than keeping them
//! sorted.
//!
//! Invariant: `nearest` is strictly rising, and nothing outside it is before its last; what is not in
//! it is in `keys` and `positions` if it is to be expanded and in `expanded` if it was. An entry holds
//! the key, made unsigned, above the position and the mark of expansion, so that one integer
//! comparison orders by (key, position).

/// Marks an expanded position.
const EXPANDED: u64 = 1;

/// Positions taken in, or looked through, at once.
const BATCH: usize = 16;

/// Up to this many nearest, each entry is put in its place by itself; among more, all of a hop are merged in together.
const SHORT: usize = 32;

/// A list of positions with keys, of bounded length.
#[derive(Default)]
pub(crate) struct Pool {
    /// At most `rank` entries.
    nearest: Vec<u64>,
    rank: usize,
    /// No entry of `nearest` before this one waits for expansion.
    next: usize,
    /// The others that wait for expansion.
    keys: Vec<i32>,
    positions: Vec<u32>,
    /// The least of the first `looked` keys and where it is.
    least: Option<(i32, usize)>,
    looked: usize,
    /// The others that were expanded.
    expanded: Vec<u64>,
    limit: usize,
    /// Nothing beyond is kept: there are `limit` better ones.
    bound: u64,
    /// Memory for choosing among the others, and for those that come together.
    entries: Vec<u64>,
}

impl Pool {
    /// Empties the pool, to keep the nearest `limit` positions (at least one) and for a while half as
    /// many more, the nearest `rank` of them sorted.
    pub(crate) fn reset(&mut self, rank: usize, limit: usize) {
        self.limit = limit.max(1);
        self.rank = rank.clamp(1, self.limit);
        self.nearest.clear();
        self.nearest.reserve(self.rank);
        (self.next, self.bound) = (0, u64::MAX);
        self.expanded.clear();
        self.clear_others();
    }

    fn clear_others(&mut self) {
        self.keys.clear();
        self.positions.clear();
        (self.least, self.looked) = (None, 0);
    }

    /// Inserts positions with keys of up to `last`, unless there are `limit` better ones. A position
    /// must not be inserted twice; it is below 2^31. Most keys are beyond: they are told apart sixteen at a time, and
    /// nothing is done about them.
    #[inline]
    pub(crate) fn insert_up_to(&mut self, last: i32, positions: &[u32], keys: &[i32]) {
        let bound = self.bound.min(entry(last, u32::MAX >> 1));
        let greatest = key(bound);
        let together = if self.rank > SHORT { self.end_of_nearest() } else { 0 };
        for (positions, keys) in positions.chunks(BATCH).zip(keys.chunks(BATCH)) {
            let keys = &keys[..keys.len().min(positions.len())];
            let mut left = mask(keys, greatest);
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                left &= left - 1;
                let entry = entry(keys[at], positions[at]);
                if entry < together {
                    self.entries.push(entry);
                } else if entry <= bound {
                    self.put(entry);
                }
            }
        }
        if !self.entries.is_empty() {
            self.merge();
        }
        self.keep_bound();
    }

    /// [`insert_up_to`](Self::insert_up_to) of one position, whatever its key.
    pub(crate) fn insert(&mut self, key: i32, position: u32) {
        let entry = entry(key, position);
        if entry <= self.bound {
            self.put(entry);
            self.keep_bound();
        }
    }

    /// Drops what is beyond the limit, once it is worth it.
    #[inline]
    fn keep_bound(&mut self) {
        if self.keys.len() + self.expanded.len() > self.limit + self.limit / 2 + BATCH {
            self.shrink();
        }
    }

    /// What is beyond is not among the nearest.
    #[inline]
    fn end_of_nearest(&self) -> u64 {
        let is_full = self.nearest.len() >= self.rank;
        self.nearest.last().copied().filter(|_| is_full).unwrap_or(u64::MAX)
    }

    /// Puts an entry where it belongs: among the nearest, or with the others.
    #[inline]
    fn put(&mut self, entry: u64) {
        let mut out = Some(entry);
        if entry < self.end_of_nearest() {
            let is_full = self.nearest.len() >= self.rank;
            out = if is_full { self.nearest.pop() } else { None };
            self.nearest.push(entry);
            let mut at = self.nearest.len() - 1;
            while let Some([before, this]) = self.nearest.get_mut(at.wrapping_sub(1)..=at)
                && *before > entry
            {
                (*before, *this) = (entry, *before);
                at -= 1;
            }
            self.next = self.next.min(at);
        }
        if let Some(out) = out.filter(|_| self.limit > self.rank) {
            self.put_aside(out);
        }
    }

    /// [`put`](Self::put) of all `entries` in one turn over the nearest.
    fn merge(&mut self) {
        let Self { nearest, entries, .. } = self;
        entries.sort_unstable();
        let mut end = nearest.len();
        nearest.extend_from_slice(entries);
        for (before, entry) in entries.drain(..).enumerate().rev() {
            while let Some(&last) = nearest.get(end.wrapping_sub(1))
                && last > entry
            {
                end -= 1;
                nearest[end + before + 1] = last;
            }
            nearest[end + before] = entry;
        }
        self.next = self.next.min(end);
        for at in self.rank..self.nearest.len() {
            if self.limit > self.rank {
                self.put_aside(self.nearest[at]);
            }
        }
        self.nearest.truncate(self.rank);
    }

    /// Drops what is beyond the limit.
    #[cold]
    fn shrink(&mut self) {
        let room = self.limit.saturating_sub(self.nearest.len());
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        entries.extend(self.positions.iter().zip(&self.keys).map(|(&position, &key)| entry(key, position)));
        entries.append(&mut self.expanded);
        if room < entries.len() {
            self.bound = *entries.select_nth_unstable(room).1;
            entries.truncate(room);
        }
        self.clear_others();
        entries.drain(..).for_each(|entry| self.put_aside(entry));
        self.entries = entries;
    }

    /// Adds an entry to those that are not among the nearest.
    #[inline]
    fn put_aside(&mut self, entry: u64) {
        if entry & EXPANDED == 0 {
            self.keys.push(key(entry));
            self.positions.push(position(entry));
        } else {
            self.expanded.push(entry);
        }
    }

    /// Ends the insertions: what is left are the best up to `last`, at most `limit`, in no order.
    pub(crate) fn settle(&mut self, last: i32) {
        let bound = self.bound.min(entry(last, u32::MAX >> 1));
        let others = self.positions.iter().zip(&self.keys).map(|(&position, &key)| entry(key, position));
        self.nearest.extend(others.chain(self.expanded.iter().copied()));
        self.nearest.retain(|&entry| entry & !EXPANDED <= bound);
        if self.nearest.len() > self.limit {
            self.nearest.select_nth_unstable(self.limit);
            self.nearest.truncate(self.limit);
        }
        self.expanded.clear();
        self.clear_others();
    }

    /// Sorts what is in a settled pool, nearest first.
    pub(crate) fn sort(&mut self) {
        self.nearest.sort_unstable();
    }

    /// Replaces what is in a settled pool by no more entries, in no order.
    pub(crate) fn replace(&mut self, entries: impl Iterator<Item = (i32, u32)>) {
        self.nearest.clear();
        self.nearest.extend(entries.take(self.limit).map(|(key, position)| entry(key, position)));
    }

    /// The nearest position not handed out before, unless its key is beyond `last` or `limit` were, and
    /// marks it. Of equal keys outside the nearest any may come first.
    #[inline]
    pub(crate) fn expand(&mut self, last: i32) -> Option<u32> {
        if let Some(at) = self.next_of_nearest() {
            let entry = self.nearest.get_mut(at).filter(|entry| key(**entry) <= last)?;
            *entry |= EXPANDED;
            return Some(position(*entry));
        }
        if self.nearest.len() + self.expanded.len() >= self.limit {
            return None;
        }
        self.look();
        let (key, at) = self.least.filter(|(key, _)| *key <= last)?;
        if at >= self.positions.len() {
            return None;
        }
        self.keys.swap_remove(at);
        let position = self.positions.swap_remove(at);
        self.expanded.push(entry(key, position) | EXPANDED);
        (self.least, self.looked) = (None, 0);
        Some(position)
    }

    /// The position that [`expand`](Self::expand) would hand out if it were the next one in line: a
    /// guess for prefetching.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u32> {
        if let Some(at) = self.next_of_nearest() {
            return self.nearest.get(at).map(|&entry| position(entry));
        }
        self.look();
        self.least.and_then(|(_, at)| self.positions.get(at).copied())
    }

    /// Where in the nearest the first one is that waits for expansion.
    #[inline]
    fn next_of_nearest(&mut self) -> Option<usize> {
        let waiting = self.nearest.get(self.next..)?.iter().position(|entry| entry & EXPANDED == 0);
        self.next = waiting.map_or(self.nearest.len(), |offset| self.next + offset);
        waiting.map(|_| self.next)
    }

    /// Finds the least of all other keys, looking at those not looked at before.
    #[inline]
    fn look(&mut self) {
        let (blocks, rest) = self.keys.get(self.looked..).unwrap_or_default().as_chunks::<BATCH>();
        let (mut least, mut from) = (self.least.map_or(i32::MAX, |least| least.0), None);
        for (at, block) in blocks.iter().enumerate() {
            let of_block = block.iter().fold(i32::MAX, |least, &key| least.min(key));
            if of_block < least {
                (least, from) = (of_block, Some(at * BATCH));
            }
        }
        for (at, &key) in rest.iter().enumerate() {
            if key < least {
                (least, from) = (key, Some(blocks.len() * BATCH + at));
            }
        }
        if let Some(from) = from {
            let from = self.looked + from;
            let offset = self.keys.iter().skip(from).take(BATCH).position(|&key| key == least);
            self.least = offset.map(|offset| (least, from + offset));
        }
        if let (None, Some(&key)) = (self.least, self.keys.first()) {
            self.least = Some((key, 0));
        }
        self.looked = self.keys.len();
    }

    /// The key of the last of the nearest `rank`, if there are as many.
    #[inline]
    pub(crate) fn last_of_nearest(&self) -> Option<i32> {
        let is_full = self.nearest.len() >= self.rank;
        self.nearest.last().map(|&entry| key(entry)).filter(|_| is_full)
    }

    /// Number of positions of a settled pool.
    pub(crate) fn len(&self) -> usize {
        self.nearest.len()
    }

    /// Positions and keys of a settled pool.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        self.nearest.iter().map(|&entry| (position(entry), key(entry)))
    }
}

#[inline]
fn entry(key: i32, position: u32) -> u64 {
    u64::from(key as u32 ^ 1 << 31) << 32 | u64::from(position << 1)
}

/// Which of at most sixteen keys are not greater.
#[inline]
fn mask(keys: &[i32], greatest: i32) -> u32 {
    keys.iter().enumerate().fold(0, |mask, (at, &key)| mask | u32::from(key <= greatest) << at)
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

    fn sorted(pool: &mut Pool) -> Vec<(i32, u32)> {
        pool.settle(i32::MAX);
        pool.sort();
        pool.iter().map(|(position, key)| (key, position)).collect()
    }

    proptest! {
        #[test]
        fn keeps_the_best_up_to_the_last(
            rank in 1_usize..80,
            limit in 1_usize..80,
            hops in proptest::collection::vec((-3_i32..9, proptest::collection::vec(-5_i32..10, 0..50)), 0..9),
            last in -3_i32..9,
        ) {
            let mut pool = Pool::default();
            pool.reset(rank, limit);
            let (mut model, mut next) = (Vec::new(), 0);
            for (last, keys) in hops {
                let positions: Vec<u32> = (next..).take(keys.len()).collect();
                next += keys.len() as u32;
                pool.insert_up_to(last, &positions, &keys);
                model.extend(keys.into_iter().zip(positions).filter(|(key, _)| *key <= last));
                model.sort_unstable();
                let rank = rank.min(limit);
                prop_assert_eq!(pool.last_of_nearest(), model.get(rank - 1).map(|entry| entry.0));
                prop_assert!(pool.keys.len() <= limit + limit / 2 + BATCH);
            }
            model.retain(|(key, _)| *key <= last);
            model.truncate(limit);
            pool.settle(last);
            prop_assert_eq!(pool.len(), model.len());
            prop_assert_eq!(sorted(&mut pool), model);
        }

        /// Whichever way an entry went, it is handed out once, in its turn, and is there in the end.
        #[test]
        fn expands_nearest_first_and_each_once(
            rank in 1_usize..60,
            rounds in proptest::collection::vec((0_usize..4, proptest::collection::vec(-50_i32..50, 0..40)), 0..20),
        ) {
            let mut pool = Pool::default();
            pool.reset(rank, 1000);
            let (mut waiting, mut all, mut position) = (Vec::new(), Vec::new(), 0);
            for (expansions, keys) in rounds {
                let positions: Vec<u32> = (position..).take(keys.len()).collect();
                position += keys.len() as u32;
                pool.insert_up_to(i32::MAX, &positions, &keys);
                waiting.extend(keys.iter().copied().zip(positions.iter().copied()));
                all.extend(keys.into_iter().zip(positions));
                for _ in 0..expansions {
                    let least = waiting.iter().map(|entry| entry.0).min();
                    // Nothing is handed out that is further than the walk goes.
                    prop_assert_eq!(pool.expand(least.map_or(i32::MAX, |key| key - 1)), None);
                    let peeked = pool.peek();
                    let found = pool.expand(i32::MAX);
                    prop_assert_eq!(found, peeked);
                    let at = waiting.iter().position(|&(key, position)| Some(key) == least && Some(position) == found);
                    prop_assert_eq!(at.is_some(), least.is_some());
                    at.map(|at| waiting.swap_remove(at));
                }
            }
            all.sort_unstable();
            prop_assert_eq!(sorted(&mut pool), all);
        }

        #[test]
        fn takes_replacements_in_any_order(mut entries in proptest::collection::hash_set((-9_i32..9, 0_u32..99), 0..30)) {
            let mut pool = Pool::default();
            pool.reset(3, 30);
            pool.insert_up_to(i32::MAX, &[7, 8], &[5, 4]);
            pool.settle(i32::MAX);
            pool.replace(entries.iter().copied());
            let mut expected: Vec<_> = entries.drain().collect();
            expected.sort_unstable();
            prop_assert_eq!(sorted(&mut pool), expected);
        }

        #[test]
        fn entries_order_as_keys_do(a: i32, b: i32, p in 0_u32..1 << 31, q in 0_u32..1 << 31) {
            prop_assert_eq!((a, p) < (b, q), entry(a, p) < entry(b, q));
            prop_assert_eq!((key(entry(a, p)), position(entry(a, p))), (a, p));
        }
    }

    /// The greatest key of all is one, too.
    #[test]
    fn hands_out_what_is_as_far_as_can_be() {
        let mut pool = Pool::default();
        pool.reset(1, 30);
        pool.insert_up_to(i32::MAX, &[1, 2, 3], &[i32::MAX; 3]);
        let mut handed: Vec<_> = std::iter::from_fn(|| pool.expand(i32::MAX)).collect();
        handed.sort_unstable();
        assert_eq!(handed, [1, 2, 3]);
    }
}
