//! Who is erased when, and who owns which row.
//!
//! Invariant: nobody is erased twice, and every erasure finds as many records of others as the measurement promises: rows
//! of those who are to be erased come on top of them. Rows are drawn independently, so neighbours in the order of ids lie
//! anywhere.

/// Records of each entity that nobody erases.
const BYSTANDER_RECORDS: usize = 10;

/// Entities to be erased at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Victims {
    /// Their names.
    pub names: Vec<String>,
    /// Records of each.
    pub records: usize,
}

/// The erasures in their order, and the rows.
pub struct Plan {
    victims: Vec<Victims>,
    /// The first row of each entity that is to be erased, rising, with its name.
    owners: Vec<(usize, String)>,
    /// Rows of those who are to be erased, which are the first.
    doomed: usize,
}

impl Plan {
    /// One erasure for each of these counts: so many entities with so many records each.
    pub fn new(erasures: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut plan = Self { victims: Vec::new(), owners: Vec::new(), doomed: 0 };
        for (erasure, (entities, records)) in erasures.into_iter().enumerate() {
            let names: Vec<String> = (0..entities).map(|entity| format!("erased-{erasure}-{entity}")).collect();
            for name in &names {
                plan.owners.push((plan.doomed, name.clone()));
                plan.doomed += records;
            }
            plan.victims.push(Victims { names, records });
        }
        plan
    }

    /// Whom each erasure erases.
    pub fn victims(&self) -> &[Victims] {
        &self.victims
    }

    /// All rows, where `left` stay.
    pub fn rows(&self, left: usize) -> usize {
        self.doomed + left
    }

    /// Who owns a row.
    pub fn owner(&self, row: usize) -> String {
        let after = self.owners.partition_point(|(first, _)| *first <= row);
        match self.owners.get(after.wrapping_sub(1)).filter(|_| row < self.doomed) {
            Some((_, name)) => name.clone(),
            None => format!("left-{}", row.saturating_sub(self.doomed) / BYSTANDER_RECORDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn everybody_has_the_records_that_the_plan_says() {
        let plan = Plan::new([(1, 1), (1, 7), (3, 2)]);
        let mut owned: BTreeMap<String, usize> = BTreeMap::new();
        (0..plan.rows(25)).for_each(|row| *owned.entry(plan.owner(row)).or_default() += 1);
        let mut doomed = 0;
        for Victims { names, records } in plan.victims() {
            doomed += names
                .iter()
                .map(|name| owned.remove(name).unwrap())
                .inspect(|own| assert_eq!(own, records))
                .sum::<usize>();
        }
        assert_eq!((doomed, plan.rows(0)), (14, 14));
        assert_eq!(owned.values().copied().collect::<Vec<_>>(), [10, 10, 5], "whoever is left owns the rest");
    }

    #[test]
    fn nobody_is_erased_twice() {
        let plan = Plan::new([(2, 1), (2, 1), (5, 3)]);
        let names: Vec<&String> = plan.victims().iter().flat_map(|victims| &victims.names).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(Plan::new([]).owner(12), "left-1");
    }
}
