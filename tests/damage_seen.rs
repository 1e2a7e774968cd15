//! What users see when a segment is damaged: the rest, and that it is the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use lethedb_tests::case::{Counts, add};
use lethedb_tests::damage_seen::case;

#[test]
fn answers_are_the_model_without_what_they_name() {
    let mut total = Counts::new();
    for seed in 0..120 {
        match case(seed) {
            Ok(counts) => add(&mut total, &counts),
            Err(violation) => panic!("{violation}"),
        }
    }
    println!("{total:?}");
    // Where nothing was missing the flag would prove nothing: a test that forgot it would fail this often.
    assert!(total["answers unlike the model"] > 500, "{total:?}");
    assert!(total["partial answers"] >= total["answers unlike the model"], "{total:?}");
    assert!(total["records refused"] > 100 && total["writes refused"] > 5 && total["erasures"] > 20, "{total:?}");
}
