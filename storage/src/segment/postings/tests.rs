//! Postings against lists, and their bytes against anything.

use proptest::prelude::*;

use super::*;

const ROWS: u32 = 400;

/// Some keys with few rows, some with many, some with runs.
fn lists() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let few = prop::collection::btree_set(0..ROWS, 1..8).prop_map(|set| set.into_iter().collect());
    let many = prop::collection::btree_set(0..ROWS, 20..120).prop_map(|set| set.into_iter().collect());
    let run = (0..ROWS, 1..200_u32).prop_map(|(start, len)| (start..(start + len).min(ROWS)).collect());
    prop::collection::vec(prop_oneof![few, many, run], 0..12)
}

proptest! {
    #[test]
    fn they_answer_as_lists_do(lists in lists(), from: prop::sample::Index, to: prop::sample::Index) {
        let built = Postings::build(lists.iter().map(Vec::as_slice)).unwrap();
        let mut bytes = Zeroizing::default();
        built.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        let decoded = Postings::decode(&mut reader, lists.len(), ROWS).unwrap();
        reader.finish().unwrap();
        let (from, to) = (from.index(lists.len() + 1), to.index(lists.len() + 1));
        let expected: RoaringBitmap = lists.get(from..to).into_iter().flatten().flatten().collect();
        for postings in [built, decoded] {
            prop_assert_eq!(postings.len(), lists.len());
            prop_assert_eq!(postings.any(from..to), expected.clone());
            prop_assert!(postings.any(0..lists.len() + 5).is_empty() || !lists.is_empty());
            let odd: RoaringBitmap = (0..ROWS).filter(|row| row % 2 == 1).collect();
            for key in 0..lists.len() + 2 {
                prop_assert_eq!(postings.count(key, &odd), (postings.any(key..key + 1) & &odd).len());
            }
        }
    }

    #[test]
    fn any_bytes_are_postings_of_their_own_or_none(
        lists in lists(), bytes: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8, keys in 0_usize..4,
    ) {
        let own = |bytes: &[u8], keys| {
            let mut reader = Reader::new(bytes);
            let Ok(postings) = Postings::decode(&mut reader, keys, ROWS) else { return true };
            let mut again = Zeroizing::default();
            postings.encode(&mut again);
            bytes.starts_with(&again) && again.len() == bytes.len() - reader.rest().len()
        };
        prop_assert!(own(&bytes, keys));
        let mut whole = Zeroizing::default();
        Postings::build(lists.iter().map(Vec::as_slice)).unwrap().encode(&mut whole);
        prop_assume!(!whole.is_empty());
        let at = at.index(whole.len());
        prop_assert!(Postings::decode(&mut Reader::new(&whole[..at]), lists.len(), ROWS).is_err());
        whole[at] ^= 1 << bit;
        prop_assert!(own(&whole, lists.len()));
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let mut bytes = Zeroizing::default();
    Postings::build([&[3, 9][..]]).unwrap().encode(&mut bytes);
    assert!(Postings::decode(&mut Reader::new(&bytes), 1, 10).is_ok());
    assert!(Postings::decode(&mut Reader::new(&bytes), 1, 9).is_err());
    for list in [&[][..], &[2, 1], &[1, 1]] {
        assert!(Postings::build([list]).is_err());
    }
}
