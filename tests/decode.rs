//! Forged plaintexts under the right keys: hundreds of thousands of them through the decoders of every file, and some
//! in whole stores. The suite itself is `support/decode.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::print_stdout, reason = "the counts are for whoever reads the log of CI")]

use std::alloc::System;

use lethedb_tests::case::{Counts, Violation, add};
use lethedb_tests::decode::{Fuzz, accepted, case, replay, same};
use lethedb_tests::forge::{Forge, Target};
use lethedb_tests::furnished::Furnished;
use lethedb_tests::reopening::{Reopened, reopened};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SEED: u64 = 1;

#[track_caller]
fn held<T>(outcome: Result<T, Violation>) -> T {
    outcome.unwrap_or_else(|violation| panic!("{violation}"))
}

fn print(counts: &Counts) {
    counts.iter().for_each(|(name, count)| println!("{count:>8} {name}"));
}

#[test]
fn every_forged_plaintext_is_refused_or_the_bytes_of_its_value() {
    let forge = Forge::new(SEED);
    let mut total = Counts::new();
    for target in Target::ALL.into_iter().filter(|target| *target != Target::Job) {
        let counts = held(Fuzz::new(&forge, target, SEED).decode(0..14_500));
        println!("{target:?}: {counts:?}");
        add(&mut total, &counts);
    }
    print(&total);
    assert!(total["accepted"] + total["refused"] >= 200_000, "{total:?}");
}

#[test]
fn a_store_with_forged_plaintexts_never_panics() {
    let forge = Forge::new(SEED);
    let mut total = Counts::new();
    for target in Target::ALL {
        add(&mut total, &held(Fuzz::new(&forge, target, SEED).open(0..800)));
    }
    print(&total);
}

/// Cases that made an engine panic which counted on from a number that a forged manifest gave.
#[test]
fn what_once_panicked_does_not() {
    for words in ["decode/Manifest/1/20917", "decode/Manifest/1/22338"] {
        held(replay(words));
    }
}

/// A file that somebody left where jobs lie is not a job, whatever number its name holds.
#[test]
fn stray_files_are_not_jobs() {
    for name in ["18446744073709551615", "+1", "4611686018427387904", "00000000000000000000000001"] {
        let mut furnished = Furnished::new(SEED, false);
        furnished.files.insert(format!("env/acme/jobs/{name}.job"), vec![1; 90]);
        assert_eq!(reopened(&furnished.files, &[furnished.worlds.last().unwrap()]), Ok(Reopened::Right), "{name}");
    }
}

/// The oracle would see a decoder that accepts a second form of a value.
#[test]
fn sabotage_a_second_encoding() {
    let forge = Forge::new(SEED);
    let plain = &forge.corpus(Target::Ids)[0];
    assert_eq!(accepted(&forge, Target::Ids, plain), Ok(true));
    assert!(same(Some(plain), &[plain.as_slice(), &[0]].concat()).is_err());
    assert_eq!(same(None::<&[u8]>, plain), Ok(false));
}

/// What is forged differs from what is real only where it should: the real plaintexts make the real answers.
#[test]
fn a_forged_truth_is_the_truth() {
    let (forge, furnished) = (Forge::new(SEED), Furnished::new(SEED, true));
    for target in Target::ALL.into_iter().filter(|target| !matches!(target, Target::LogEntry | Target::NewKeys)) {
        let mut tree = furnished.files.clone();
        tree.extend(forge.forge(target, &forge.corpus(target)[0]));
        let outcome = reopened(&tree, &[furnished.erased.last().unwrap()]);
        assert_eq!(outcome, Ok(Reopened::Right), "{target:?}");
    }
}

#[test]
fn another_seed_makes_other_plaintexts() {
    print(&held(case(17)));
}
