//! Denials: refusals for want of a permission, by who was refused and what for, until they are told.
//!
//! Each would cost an event of its own and a sync, and whoever holds a key that permits little could fill the disk with
//! them. So the first of a minute is told at once, and the others of that minute are counted and told together: two events
//! a minute for each key and permission, however often it asks. A crash loses the counts of a minute and never the first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use privacy::audit::{Act, Actor, Name, Source};

const MINUTE_MS: u64 = 60_000;
/// With more than so many, those of earlier minutes are forgotten that have nothing to tell.
const REMEMBERED_MAX: usize = 1024;

/// Who was refused, and by which way they came.
type By = (Actor, Source);

/// What was counted since it was last told.
#[derive(Default)]
pub(crate) struct Denials {
    /// By the key of whoever asked and the permission.
    counts: BTreeMap<(Option<Name>, Name), Count>,
}

struct Count {
    minute: u64,
    by: By,
    permission: Name,
    /// How many were not told.
    more: u64,
}

/// What is to be told of one minute.
pub(crate) struct Counted {
    pub by: By,
    pub act: Act,
}

impl Denials {
    /// Counts one. Says whether it is the first of its minute, and what is to be told of an earlier one.
    pub fn count(&mut self, by: &By, permission: &Name, now_ms: u64) -> (bool, Option<Counted>) {
        let minute = now_ms / MINUTE_MS;
        if self.counts.len() >= REMEMBERED_MAX {
            self.counts.retain(|_, count| count.minute == minute || count.more > 0);
        }
        let who = match &by.0 {
            Actor::ApiKey { key, .. } => Some(key.clone()),
            _ => None,
        };
        let fresh = || Count { minute, by: by.clone(), permission: permission.clone(), more: 0 };
        match self.counts.entry((who, permission.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(fresh());
                (true, None)
            }
            Entry::Occupied(mut entry) if entry.get().minute == minute => {
                entry.get_mut().more += 1;
                (false, None)
            }
            Entry::Occupied(mut entry) => (true, entry.insert(fresh()).told()),
        }
    }

    /// Whether there is something to tell of a minute that is over.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.counts.values().any(|count| count.more > 0 && count.minute != now_ms / MINUTE_MS)
    }

    /// What is to be told, after which nothing is counted.
    pub fn take(&mut self, now_ms: u64) -> Vec<Counted> {
        let told = self.counts.values_mut().filter_map(|count| {
            let told = count.told();
            count.more = 0;
            told
        });
        let told = told.collect();
        self.counts.retain(|_, count| count.minute == now_ms / MINUTE_MS);
        told
    }
}

impl Count {
    fn told(&self) -> Option<Counted> {
        let (permission, minute, count) = (self.permission.clone(), self.minute, self.more);
        let act = Act::AccessDeniedCounted { permission, minute, count };
        (count > 0).then(|| Counted { by: self.by.clone(), act })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    proptest! {
        /// Every refusal is told once, at once or in a count; and a flood makes two events a minute for each.
        #[test]
        fn nothing_is_lost_and_little_is_told(asks in prop::collection::vec((0..3u8, 0..2u8, 0..40_000u64), 0..200)) {
            let (mut denials, mut now, mut told) = (Denials::default(), 0, BTreeMap::<_, (u64, u64)>::new());
            let counted = |told: &mut BTreeMap<(String, String), (u64, u64)>, counted: Counted| {
                let (Actor::ApiKey { key, .. }, _) = counted.by else { panic!("a key asked") };
                let Act::AccessDeniedCounted { permission, count, .. } = counted.act else { panic!("it was counted") };
                let (events, refusals) = told.entry((key.as_str().into(), permission.as_str().into())).or_default();
                (*events, *refusals) = (*events + 1, *refusals + count);
            };
            let mut asked = BTreeMap::<(String, String), u64>::new();
            for (who, what, passed) in asks {
                now += passed;
                let (who, what) = (format!("key{who}"), format!("permission{what}"));
                let by = (Actor::ApiKey { key: name(&who), address: None }, Source::Rest);
                let (is_first, before) = denials.count(&by, &name(&what), now);
                before.into_iter().for_each(|before| counted(&mut told, before));
                let (events, refusals) = told.entry((who.clone(), what.clone())).or_default();
                (*events, *refusals) = (*events + u64::from(is_first), *refusals + u64::from(is_first));
                *asked.entry((who, what)).or_default() += 1;
            }
            prop_assert!(!denials.is_due(now) || now >= MINUTE_MS);
            denials.take(now + MINUTE_MS).into_iter().for_each(|left| counted(&mut told, left));
            prop_assert!(!denials.is_due(u64::MAX));
            let minutes = now / MINUTE_MS + 1;
            for (place, refusals) in asked {
                let (events, sum) = told[&place];
                prop_assert_eq!(sum, refusals);
                prop_assert!(events <= 2 * minutes, "{} events in {} minutes", events, minutes);
            }
        }
    }
}
