//! Who is refused for one purse pays out of none.

use super::*;

/// A clock that stands still: nothing comes into a bucket.
struct Still;

impl Clock for Still {
    fn now_ms(&self) -> u64 {
        0
    }
}

#[test]
fn what_one_purse_refuses_is_given_back_to_the_others() {
    let limits = Limits {
        end_user_units: 60,
        key_units: 40,
        environment_units: 20,
        address_units: 0,
        burst_seconds: 1,
        ..Limits::default()
    };
    let purses = Purses::new(&limits, &(Arc::new(Still) as Arc<dyn Clock>));
    let visit = |environment, key, end_user| {
        let mut visit = Visit::new(environment, Some(key));
        visit.end_user = Some(end_user);
        visit
    };
    let refused = |visit: &Visit, refused_for: &str| {
        let problem = purses.charge(visit, 1).unwrap_err();
        assert!(problem.detail.contains(refused_for), "{}", problem.detail);
    };
    let served = |visit: &Visit| (0..100).filter(|_| purses.charge(visit, 1).is_ok()).count();
    let (ada, moved, bob) = (visit("one", "a key", 1), visit("two", "a key", 1), visit("three", "a key", 2));
    assert_eq!(served(&ada), 20, "as many as the environment has");
    refused(&ada, "this environment");
    // Ten are owed by each, and so no more.
    assert!(purses.owe(&ada, 10).is_ok() && (0..100).all(|_| purses.owe(&ada, 1).is_err()));
    assert_eq!(served(&moved), 10, "of the forty of the key, and none is lost to what the first environment refused");
    refused(&moved, "this API key");
    assert_eq!(served(&visit("four", "a key", 1)), 0);
    assert_eq!(served(&bob), 0, "the key is spent, whoever comes with it");
    let other = visit("five", "another key", 1);
    assert_eq!(served(&other), 20, "sixty less forty, and none is lost to what the key refused");
    refused(&other, "this end user");
}
