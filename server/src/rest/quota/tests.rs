//! The buckets on a clock that the test turns.

use std::sync::atomic::AtomicU64;

use super::*;

#[derive(Default)]
struct Turned(AtomicU64);

impl Clock for Turned {
    fn now_ms(&self) -> u64 {
        0
    }

    fn steady_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn quota(units: u32, burst_seconds: u32) -> (Quota, impl Fn(u64)) {
    let clock = Arc::new(Turned::default());
    let turned = clock.clone();
    (Quota::new(units, burst_seconds, clock), move |ms| _ = turned.0.fetch_add(ms, Ordering::Relaxed))
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let (quota, pass) = quota(10, 3);
    let granted = |_| quota.charge("a", 1).is_ok();
    assert_eq!((0..100).filter(|n| granted(*n)).count(), 30, "three seconds' worth at once");
    assert_eq!(quota.charge("a", 1), Err(Duration::from_millis(100)), "and says when there is one again");
    pass(99);
    assert!(quota.charge("a", 1).is_err());
    pass(1);
    assert!(quota.charge("a", 1).is_ok() && quota.charge("a", 1).is_err());
    pass(1000);
    assert_eq!((0..100).filter(|n| granted(*n)).count(), 10);
    pass(3_600_000);
    assert_eq!((0..100).filter(|n| granted(*n)).count(), 30, "no more than a bucket is saved up");
}

#[test]
fn one_holder_takes_nothing_from_another() {
    let (quota, _) = quota(10, 1);
    for n in 0..1000 {
        assert_eq!(quota.charge("flood", 1).is_ok(), n < 10);
    }
    assert_eq!((0..20).filter(|_| quota.charge("calm", 1).is_ok()).count(), 10);
}

#[test]
fn units_weigh_and_what_is_refused_is_not_taken() {
    let (quota, pass) = quota(10, 1);
    assert!(quota.charge("a", 4).is_ok() && quota.charge("a", 4).is_ok() && quota.charge("a", 4).is_err());
    assert!(quota.charge("a", 2).is_ok(), "the refused four left the two there");
    pass(1000);
    assert!(quota.charge("a", u32::MAX).is_ok(), "half a bucket pays for any head");
    assert!(quota.charge("a", u32::MAX).is_ok(), "and the other half for any body");
    assert!(quota.charge("a", 1).is_err());
}

#[test]
fn without_a_limit_nothing_is_refused_and_nothing_kept() {
    let (quota, _) = quota(0, 10);
    assert!((0..10_000).all(|n| quota.charge(&n, u32::MAX).is_ok()));
    assert!(quota.buckets.is_none());
}

#[test]
fn a_fine_takes_what_is_there_and_is_owed_if_that_is_less() {
    let (quota, pass) = quota(1, 20);
    assert!(quota.fine("a", 9).is_ok() && quota.fine("a", 7).is_ok(), "16 of 20");
    assert_eq!(quota.fine("a", 9), Err(Duration::from_secs(1)), "4 are there");
    assert!(quota.charge("a", 1).is_err(), "and they are gone");
    pass(3000);
    assert!(quota.fine("a", 9).is_err() && quota.charge("a", 1).is_err());
    pass(9000);
    assert!(quota.fine("a", 9).is_ok() && quota.charge("a", 1).is_err());
    assert!(quota.fine("b", 9).is_ok(), "whoever else may pay");
}

#[test]
fn buckets_that_are_full_again_are_forgotten() {
    let (quota, pass) = quota(1, 1);
    for n in 0..100_000 {
        quota.charge(&n, 1).unwrap();
        pass(1);
    }
    let kept = quota.buckets.as_ref().unwrap().limiter.len();
    assert!(kept <= SWEEP_EVERY as usize + 1000, "{kept} buckets of 100,000 holders");
}

#[test]
fn where_places_are_bounded_holders_share_rather_than_fill_memory() {
    let (quota, _) = quota(1, 100);
    let quota = quota.with_places(6);
    for n in 0..100_000 {
        _ = quota.charge(&n, 1);
    }
    let buckets = quota.buckets.as_ref().unwrap();
    assert!(buckets.limiter.len() <= 64, "{} buckets", buckets.limiter.len());
    // Each has what its place gives, whoever else is there.
    let (quota, _) = self::quota(1, 10);
    let quota = quota.with_places(6);
    let place = |holder: &u64| quota.buckets.as_ref().unwrap().place(holder);
    let other = (1..).find(|other| place(other) != place(&0)).unwrap();
    let same = (1..).find(|same| place(same) == place(&0)).unwrap();
    assert_eq!((0..100).filter(|_| quota.charge(&0_u64, 1).is_ok()).count(), 10);
    assert!(quota.charge(&same, 1).is_err() && quota.charge(&other, 1).is_ok());
}
