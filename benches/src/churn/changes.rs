//! Which records are deleted and which get another vector.
//!
//! Invariant: pure. Ids are rows of the set that were imported; the vector of an update is a row that was not; no record
//! changes twice.

use crate::chance::chance;

/// The changes of a store.
pub struct Changes {
    records: usize,
    deleted: Vec<usize>,
    updated: Vec<(usize, usize)>,
}

impl Changes {
    /// Changes to `share` of the records that are made of `rows` rows, so that there is a row for each update.
    pub fn new(rows: usize, share: f64) -> Self {
        let records = (rows as f64 / (1.0 + share / 2.0)).floor() as usize;
        let each = ((records as f64 * share / 2.0) as usize).min(rows - records);
        let mut order: Vec<usize> = (0..records).collect();
        order.sort_by_key(|row| chance(*row as u64));
        let updated = order.iter().copied().zip(records..).take(each).collect();
        Self { records, deleted: order.into_iter().skip(each).take(each).collect(), updated }
    }

    /// Records before the changes: as many of the first rows.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The ids of those that go.
    pub fn deleted(&self) -> &[usize] {
        &self.deleted
    }

    /// The ids of those that get another vector, with the row that it is.
    pub fn updated(&self) -> &[(usize, usize)] {
        &self.updated
    }

    /// The ids of the records after the changes, rising, with the row that is the vector of each.
    pub fn left(&self) -> Vec<(usize, usize)> {
        let mut rows: Vec<Option<usize>> = (0..self.records).map(Some).collect();
        self.deleted.iter().for_each(|id| rows[*id] = None);
        self.updated.iter().for_each(|(id, row)| rows[*id] = Some(*row));
        rows.into_iter().enumerate().filter_map(|(id, row)| Some((id, row?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_record_changes_at_most_once_and_each_row_is_used_once() {
        for (rows, share) in [(1150, 0.3), (1000, 0.3), (7, 1.0), (3, 0.0), (0, 0.5), (900, 1.0)] {
            let changes = Changes::new(rows, share);
            let (deleted, updated) = (changes.deleted(), changes.updated());
            let changed: BTreeSet<usize> = deleted.iter().chain(updated.iter().map(|(id, _)| id)).copied().collect();
            assert_eq!(changed.len(), deleted.len() + updated.len());
            assert!(changed.iter().all(|id| *id < changes.records()));
            let wanted = changes.records() as f64 * share;
            assert!((changed.len() as f64 - wanted).abs() <= 2.0, "{rows} {share}: {}", changed.len());

            let left = changes.left();
            assert_eq!(left.len(), changes.records() - deleted.len());
            assert!(left.is_sorted_by(|(a, _), (b, _)| a < b));
            let used: BTreeSet<usize> = left.iter().map(|(_, row)| *row).collect();
            assert!(used.len() == left.len() && used.iter().all(|row| *row < rows));
            for (id, row) in left {
                assert!(!deleted.contains(&id) && (row == id) != updated.contains(&(id, row)));
            }
        }
    }
}
