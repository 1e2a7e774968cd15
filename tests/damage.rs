//! Damaged files: tens of thousands of them through their own readers, and a thousand whole stores, each refused or
//! read rightly. The suite itself is `support/damage.rs`; what it would miss, it is shown here to catch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::print_stdout, reason = "the counts are for whoever reads the log of CI")]

use std::alloc::System;
use std::hint::black_box;

use engine::ErrorKind;
use lethedb_tests::case::{Counts, Violation, add};
use lethedb_tests::damage::{Bench, Damage, Verdict, case, has_reader, is_stored, judge, open_all, read_all, replay};
use lethedb_tests::damage_backup::{Shelf, every};
use lethedb_tests::furnished::{Furnished, load, reopen};
use lethedb_tests::guard::{guarded, limit};
use lethedb_tests::parallel::over;
use lethedb_tests::reading::{Kind, Reader};
use lethedb_tests::reopening::{Reopened, reopened};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The store that is cut off in an erasure; the one before it was closed in good order.
const SEED: u64 = 1;

#[track_caller]
fn held<T>(outcome: Result<T, Violation>) -> T {
    outcome.unwrap_or_else(|violation| panic!("{violation}"))
}

fn print(counts: &Counts) {
    counts.iter().for_each(|(name, count)| println!("{count:>8} {name}"));
}

#[test]
fn every_damaged_file_is_refused_or_read_rightly() {
    let mut total = Counts::new();
    for seed in [SEED, SEED - 1] {
        let bench = Bench::new(seed);
        for kind in Kind::ALL.into_iter().filter(|kind| has_reader(*kind)) {
            add(&mut total, &held(read_all(&bench, kind, |_| true)));
        }
    }
    print(&total);
    assert!(total["cases"] >= 100_000, "{total:?}");
}

#[test]
fn every_damaged_store_is_refused_or_answers_rightly() {
    let mut total = Counts::new();
    for seed in [SEED, SEED - 1] {
        let bench = Bench::new(seed);
        for kind in Kind::ALL.into_iter().filter(|kind| is_stored(*kind)) {
            let step = (bench.damages(kind).len() / 200).max(1);
            add(&mut total, &held(open_all(&bench, kind, |number| number % step == 0)));
        }
    }
    print(&total);
    assert!(total["cases"] >= 4_000, "{total:?}");
}

#[test]
fn every_damaged_backup_is_refused_or_opens_rightly() {
    let shelf = Shelf::new().unwrap();
    let damages = shelf.damages(SEED, 700);
    let parts: Vec<&[(String, Damage)]> = damages.chunks(damages.len().div_ceil(2)).collect();
    let mut total = Counts::new();
    over(parts, |part| every(&shelf, part, 40)).into_iter().for_each(|counts| add(&mut total, &held(counts)));
    print(&total);
    let refused = total["restores refused"];
    assert!(total["cases"] >= 3_000 && refused >= 20 && total["restores right"] >= 10, "{total:?}");
}

#[test]
fn another_seed_is_another_store() {
    print(&held(case(17)));
}

#[test]
fn the_words_of_a_violation_replay_it() {
    let counts = held(replay("damage/Manifest/1/7"));
    assert_eq!((counts["manifest refused"], counts["opening refused"]), (1, 1));
    for words in ["damage/Manifest/1", "damage/None/1/7", "damage/Manifest/x/7"] {
        assert!(replay(words).is_err(), "{words}");
    }
}

/// The path of a file of `kind` and its bytes.
fn file(furnished: &Furnished, kind: Kind) -> (&str, &[u8]) {
    let (path, bytes) = furnished.files.iter().find(|(path, _)| Kind::of(path) == Some(kind)).unwrap();
    (path, bytes)
}

#[test]
fn an_older_root_page_needs_an_anchor_that_is_gone() {
    let Furnished { mut files, older, .. } = Furnished::new(SEED, true);
    files.retain(|path, _| !path.contains("acme/keyring/"));
    files.extend(
        older[0].iter().filter(|(path, _)| path.contains("acme/keyring/")).map(|(p, b)| (p.clone(), b.clone())),
    );
    assert_eq!(reopen(&load(&files)).err().unwrap().kind(), ErrorKind::KeyUnavailable);
}

#[test]
fn an_older_manifest_does_not_count_beside_a_newer_one() {
    let Furnished { files, older, erased, .. } = Furnished::new(SEED, true);
    let mut both = older[0].clone();
    both.retain(|path, _| Kind::of(path) == Some(Kind::Manifest));
    assert!(both.keys().all(|path| !files.contains_key(path)));
    both.extend(files);
    assert_eq!(reopened(&both, &[erased.last().unwrap()]), Ok(Reopened::Right));
}

/// What is not promised: without anchors of its own, a directory that is put back whole is simply an older store.
#[test]
fn a_directory_put_back_whole_is_an_older_store() {
    let Furnished { older, worlds, .. } = Furnished::new(SEED, true);
    assert_eq!(reopened(&older[2], &[&worlds[0]]), Ok(Reopened::Right));
}

#[test]
fn sabotage_a_value_that_was_never_written() {
    let furnished = Furnished::new(SEED, true);
    let (path, bytes) = file(&furnished, Kind::Manifest);
    let truth = Reader::new(&furnished.files).read(path, bytes).unwrap();
    let mut wrong = truth.clone();
    wrong[0].as_mut().unwrap()[40] ^= 1;
    let damaged = Damage::Flip(400).apply(bytes).unwrap();
    assert!(judge(Kind::Manifest, (bytes, &damaged), &truth, Ok(wrong)).is_err(), "a tag that is not checked");
    assert!(judge(Kind::Manifest, (bytes, &damaged), &truth, Ok(truth.clone())).is_err(), "a byte under no tag");
    assert_eq!(judge(Kind::Manifest, (bytes, &damaged), &truth, Err("no".into())), Ok(Verdict::Refused));
}

#[test]
fn sabotage_a_log_that_ends_before_what_was_synced() {
    let furnished = Furnished::new(SEED, true);
    let (path, bytes) = file(&furnished, Kind::Log);
    let truth = Reader::new(&furnished.files).read(path, bytes).unwrap();
    let (first, last) =
        (Damage::Flip(8 * 70).apply(bytes).unwrap(), Damage::Cut(bytes.len() - 1).apply(bytes).unwrap());
    assert!(judge(Kind::Log, (bytes, &first), &truth, Ok(Vec::new())).is_err(), "later frames say it was synced");
    let kept = truth[..truth.len() - 1].to_vec();
    assert_eq!(judge(Kind::Log, (bytes, &last), &truth, Ok(kept.clone())), Ok(Verdict::Torn));
    assert!(judge(Kind::Manifest, (bytes, &last), &truth, Ok(kept)).is_err(), "only logs end torn");
}

#[test]
fn sabotage_a_claimed_length_and_a_panic() {
    let claimed = guarded(limit(100), || drop(black_box(Vec::<u8>::with_capacity(65 << 20))));
    assert!(claimed.unwrap_err().contains("allocated"));
    assert!(guarded(limit(100), || black_box([0u8; 1])[black_box(1)]).unwrap_err().contains("panicked"));
}

#[test]
fn sabotage_a_store_that_answers_from_another_time() {
    let Furnished { files, worlds, erased, .. } = Furnished::new(SEED, true);
    assert_eq!(reopened(&files, &[erased.last().unwrap()]), Ok(Reopened::Right));
    for wrong in [&worlds[worlds.len() - 1], &erased[erased.len() - 2], &erased[0]] {
        assert!(reopened(&files, &[wrong]).is_err());
    }
}
