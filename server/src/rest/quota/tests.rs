//! The buckets on a clock that the test turns: fixed cases, and floods that are played through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

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

fn kept(quota: &Quota) -> usize {
    quota.buckets.as_ref().unwrap().filling.lock().levels.len()
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
    let kept = kept(&quota);
    assert!(kept <= SWEEP_EVERY as usize + 1000, "{kept} buckets of 100,000 holders");
}

#[test]
fn where_places_are_bounded_holders_share_rather_than_fill_memory() {
    let (quota, _) = quota(1, 100);
    let quota = quota.with_places(6);
    for n in 0..100_000 {
        _ = quota.charge(&n, 1);
    }
    assert!(kept(&quota) <= 64, "{} buckets", kept(&quota));
    // Each has what its place gives, whoever else is there.
    let (quota, _) = self::quota(1, 10);
    let quota = quota.with_places(6);
    let place = |holder: &u64| quota.buckets.as_ref().unwrap().place(holder);
    let other = (1..).find(|other| place(other) != place(&0)).unwrap();
    let same = (1..).find(|same| place(same) == place(&0)).unwrap();
    assert_eq!((0..100).filter(|_| quota.charge(&0_u64, 1).is_ok()).count(), 10);
    assert!(quota.charge(&same, 1).is_err() && quota.charge(&other, 1).is_ok());
}

#[test]
fn what_is_missing_is_owed_and_paid_before_anybody_is_let_in() {
    let (quota, pass) = quota(10, 2);
    assert!(quota.charge("a", 10).is_ok() && quota.charge("a", 8).is_ok(), "18 of 20");
    assert!(quota.owe("a", 6).is_ok(), "four of them are missing");
    assert!(quota.owe("a", 0).is_ok(), "nothing is always there");
    assert_eq!(quota.charge("a", 1), Err(Duration::from_millis(500)), "four owed and one for itself");
    assert_eq!(quota.owe("a", 7), Err(Duration::from_millis(500)), "eleven are more than half of a bucket");
    assert!(quota.owe("a", 6).is_ok() && quota.owe("a", 1).is_err(), "ten are not");
    assert!(quota.charge("b", 10).is_ok() && quota.charge("b", 10).is_ok(), "whoever else owes nothing");
    assert!(quota.owe("b", u32::MAX).is_ok(), "who owes nothing may owe for any body");
    pass(1099);
    assert_eq!(quota.charge("a", 1), Err(Duration::from_millis(1)));
    pass(1);
    assert!(quota.charge("a", 1).is_ok() && quota.charge("a", 1).is_err());
    pass(3_600_000);
    assert_eq!((0..100).filter(|_| quota.charge("a", 1).is_ok()).count(), 20, "who comes back later has a bucket");
}

#[test]
fn what_is_given_back_is_there_again_and_no_more_than_a_bucket() {
    let (quota, pass) = quota(10, 1);
    assert!(quota.charge("a", 5).is_ok() && quota.owe("a", u32::MAX).is_ok() && quota.charge("a", 1).is_err());
    quota.give_back("a", u32::MAX);
    assert!(quota.charge("a", 5).is_ok() && quota.charge("a", 1).is_err(), "as much as was taken");
    pass(1000);
    quota.give_back("a", 5);
    quota.give_back("nobody", 5);
    for holder in ["a", "nobody"] {
        assert_eq!((0..100).filter(|_| quota.charge(holder, 1).is_ok()).count(), 10);
    }
}

/// A holder who asks for ten times the quota, beside one who asks for a tenth of it.
#[derive(Clone, Copy, Debug)]
struct Flood {
    rate: u32,
    burst_seconds: u32,
    /// What bodies cost beside a unit for their head, one as often as the other.
    bodies: &'static [u32],
    /// How long after its head a body has come, at most.
    late_ms: u64,
}

/// What came of it, in units.
#[derive(Debug)]
struct Played {
    /// The fewest that were served in ten times the seconds of a burst, once the bucket was spent, beside what the rate gives.
    served: f64,
    /// The most that were spent in any time beyond what the rate gives for it, in thousandths.
    over: i64,
    /// Those of heads whose body was read and refused, beside those that were served.
    vain: f64,
    calm_refused: u32,
}

impl Flood {
    fn play(self) -> Played {
        let (quota, pass) = quota(self.rate, self.burst_seconds);
        let (rng, each_ms) = (&mut StdRng::seed_from_u64(1), f64::from(self.rate) / 1000.0);
        let most = self.rate * self.burst_seconds / 2;
        let bodies: u32 = self.bodies.iter().map(|body| *body.min(&most)).sum();
        let mean = 1.0 + f64::from(bodies) / self.bodies.len() as f64;
        let window = u64::from(self.burst_seconds) * 10_000;
        let mut bodies = BTreeMap::<u64, Vec<u32>>::new();
        let (mut due, mut calm, mut over, mut vain, mut whole) = (0.0, 0.0, 0_i64, 0.0, 0.0);
        let (mut served, mut played) = (0.0, Played { served: f64::MAX, over: 0, vain: 0.0, calm_refused: 0 });
        for now in 0..4 * window {
            (due, calm) = (due + 10.0 * each_ms / mean, calm + each_ms / 40.0);
            over = (over - i64::from(self.rate)).max(0);
            while due >= 1.0 {
                due -= 1.0;
                let body = self.bodies[rng.random_range(0..self.bodies.len())];
                if quota.charge("flood", 1).is_ok() {
                    over += UNIT;
                    bodies.entry(now + rng.random_range(0..=self.late_ms)).or_default().push(body);
                }
            }
            for body in bodies.remove(&now).unwrap_or_default() {
                let units = body.min(most);
                match quota.owe("flood", body) {
                    Ok(()) => {
                        over += i64::from(units) * UNIT;
                        served += 1.0 + f64::from(units);
                    }
                    Err(_) => vain += 1.0,
                }
            }
            played.over = played.over.max(over);
            while calm >= 1.0 {
                calm -= 1.0;
                let is_served = quota.charge("calm", 1).is_ok() && quota.owe("calm", 3).is_ok();
                played.calm_refused += u32::from(!is_served);
            }
            if now % window == window - 1 {
                // The first is that of the bucket.
                if now > window {
                    played.served = played.served.min(served / (each_ms * window as f64));
                }
                (served, whole) = (0.0, whole + served);
            }
            pass(1);
        }
        Played { vain: vain / whole, ..played }
    }
}

#[test]
fn who_floods_is_served_the_rate_and_never_more_for_long() {
    for (rate, burst_seconds) in [(10, 10), (100, 10), (1000, 2), (40, 3)] {
        for bodies in [&[0][..], &[3], &[40], &[0, 3, 40], &[0, 0, 0, 0, 0, 1000]] {
            for late_ms in [0, 5, 200] {
                let flood = Flood { rate, burst_seconds, bodies, late_ms };
                let played = flood.play();
                let bucket = i64::from(rate * burst_seconds) * UNIT;
                // At the end of a window half a bucket may be owed for what was served in it, a twentieth of what it gives.
                assert!((0.8..=1.05).contains(&played.served), "{flood:?}: {played:?}");
                assert!(played.over <= bucket * 3 / 2, "a bucket, and half of one that is owed: {flood:?}: {played:?}");
                assert!(played.vain < 0.02, "who is refused is refused by the head: {flood:?}: {played:?}");
                assert_eq!(played.calm_refused, 0, "{flood:?}");
            }
        }
    }
}
