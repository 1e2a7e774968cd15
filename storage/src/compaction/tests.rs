//! The policy, applied until nothing is left to do.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

fn sizes() -> impl Strategy<Value = Vec<Size>> {
    let rows = prop_oneof![1u64..50, 1u64..5_000, 1u64..200_000];
    prop::collection::vec((rows, 0u64..100), 0..120).prop_map(|sizes| {
        let size = |((rows, percent), id)| Size { id: SegmentId(id), rows, dead: rows * percent / 200 };
        sizes.into_iter().zip(0..).map(size).collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    (2u64..10, 1u64..5_000, 1u64..300_000, 0u64..60).prop_map(|(factor, small_rows, max_rows, dead_percent)| Policy {
        factor,
        small_rows,
        max_rows,
        dead_percent,
    })
}

fn check(picks: &[Vec<SegmentId>], sizes: &[Size], policy: &Policy) -> Result<(), TestCaseError> {
    let by_id: HashMap<_, _> = sizes.iter().map(|size| (size.id, size)).collect();
    let mut taken = BTreeSet::new();
    for pick in picks {
        prop_assert!(!pick.is_empty() && pick.iter().all(|id| taken.insert(*id) && by_id.contains_key(id)));
        let live: u64 = pick.iter().map(|id| by_id[id].live()).sum();
        // A segment made under a greater cap may be rewritten alone; a merge never exceeds the cap.
        prop_assert!(pick.len() == 1 || live <= policy.max_rows);
        prop_assert!(pick.len() > 1 || policy.is_decayed(by_id[&pick[0]]));
    }
    let decayed = sizes.iter().filter(|size| policy.is_decayed(size));
    for size in decayed {
        prop_assert!(taken.contains(&size.id), "a decayed segment is always due");
    }
    Ok(())
}

fn applied(sizes: &[Size], picks: &[Vec<SegmentId>], next: &mut u64) -> Vec<Size> {
    let taken: HashMap<SegmentId, usize> =
        picks.iter().enumerate().flat_map(|(at, pick)| pick.iter().map(move |&id| (id, at))).collect();
    let mut merged = vec![0; picks.len()];
    let mut rest = Vec::new();
    for size in sizes {
        match taken.get(&size.id) {
            Some(&at) => merged[at] += size.live(),
            None => rest.push(*size),
        }
    }
    for rows in merged.into_iter().filter(|&rows| rows > 0) {
        *next += 1;
        rest.push(Size { id: SegmentId(*next), rows, dead: 0 });
    }
    rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn repeated_it_comes_to_rest(mut sizes in sizes(), policy in policies()) {
        let live: u64 = sizes.iter().map(Size::live).sum();
        let (mut next, mut rounds) = (1000, 0);
        loop {
            let picks = pick(&sizes, &policy);
            check(&picks, &sizes, &policy)?;
            if picks.is_empty() {
                break;
            }
            sizes = applied(&sizes, &picks, &mut next);
            rounds += 1;
            prop_assert!(rounds <= 130, "every merge leaves fewer segments");
        }
        prop_assert_eq!(sizes.iter().map(Size::live).sum::<u64>(), live);
        let mut tiers: HashMap<u32, u64> = HashMap::new();
        let mut full = 0;
        for size in &sizes {
            match policy.tier(size.live()) {
                Some(tier) => *tiers.entry(tier).or_default() += 1,
                None => full += 1,
            }
        }
        prop_assert!(tiers.values().all(|&count| count < policy.factor));
        let most = 2 + (policy.max_rows / policy.small_rows).checked_ilog(policy.factor).unwrap_or(0);
        prop_assert!(tiers.len() as u32 <= most, "{} tiers of {most}", tiers.len());
        prop_assert!(full * (policy.max_rows / 2 + 1) <= live);
    }

    /// A million rows flushed in equal portions: no row is rewritten more often than there are tiers.
    #[test]
    fn a_row_is_rewritten_once_a_tier(flush in 4_096u64..20_000) {
        let policy = Policy::default();
        let (mut sizes, mut next, mut rewritten, mut written) = (Vec::new(), 0, 0, 0);
        while written < 1_000_000 {
            written += flush;
            next += 1;
            sizes.push(Size { id: SegmentId(next), rows: flush, dead: 0 });
            loop {
                let picks = pick(&sizes, &policy);
                if picks.is_empty() {
                    break;
                }
                let taken: BTreeSet<_> = picks.iter().flatten().collect();
                rewritten += sizes.iter().filter(|size| taken.contains(&size.id)).map(Size::live).sum::<u64>();
                sizes = applied(&sizes, &picks, &mut next);
            }
        }
        prop_assert!(rewritten <= 3 * written, "{rewritten} of {written}");
        prop_assert!(sizes.len() <= 21);
    }
}

#[test]
fn what_is_due() {
    let size = |id, rows, dead| Size { id: SegmentId(id), rows, dead };
    let policy = Policy { factor: 3, small_rows: 10, max_rows: 100, dead_percent: 20 };
    let due = |sizes: &[Size]| pick(sizes, &policy);
    let ids = |ids: &[u64]| ids.iter().copied().map(SegmentId).collect::<Vec<_>>();
    assert!(due(&[]).is_empty());
    assert!(due(&[size(1, 5, 0), size(2, 5, 1)]).is_empty());
    assert_eq!(due(&[size(1, 5, 0), size(2, 3, 0), size(3, 4, 0)]), [ids(&[2, 3, 1])]);
    assert_eq!(due(&[size(1, 100, 21), size(2, 100, 20)]), [ids(&[1])]);
    assert_eq!(due(&[size(1, 40, 0), size(2, 40, 0), size(3, 40, 0)]), [ids(&[1, 2])], "three exceed the cap");
    assert_eq!(due(&[size(1, 30, 0), size(2, 30, 0), size(3, 40, 0)]), [ids(&[1, 2, 3])], "the cap itself");
    assert_eq!(due(&[size(1, 30, 0), size(2, 30, 0), size(3, 41, 0)]), [ids(&[1, 2])], "one row above it");
    assert_eq!(due(&[size(1, 9, 9)]), [ids(&[1])], "nothing lives");
}
