//! Walks of seeded schedules over a scenario. Invariant: explorer, seed and number decide a schedule, and with it all
//! that a scenario draws from [`draw`], so that what failed once fails again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

/// How the next thread is chosen.
#[derive(Clone, Copy, Debug)]
pub enum Explorer {
    /// By the dice, at every step.
    Random,
    /// By priorities that change at this many points, less one: what needs few switches at the right places is found
    /// with a known probability.
    Pct(usize),
}

/// A number of schedules that one seed decides.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    pub explorer: Explorer,
    pub seed: u64,
    pub schedules: usize,
}

/// What every scenario is walked through: 1,000 schedules.
const WALKS: [Walk; 3] = [
    Walk { explorer: Explorer::Random, seed: 1, schedules: 500 },
    Walk { explorer: Explorer::Pct(3), seed: 2, schedules: 300 },
    Walk { explorer: Explorer::Pct(6), seed: 3, schedules: 200 },
];

/// The variable that says how many times as many a long run walks, each time with other seeds.
const TIMES: &str = "LETHEDB_SCHEDULES_TIMES";

/// Walks all schedules of `scenario` and prints how many there were.
pub fn explore(name: &str, scenario: impl Fn() + Copy + Send + Sync + 'static) {
    #[allow(clippy::disallowed_methods, reason = "how long a run may take is its caller's to say")]
    let times = std::env::var(TIMES).map_or(1, |times| times.parse().unwrap());
    let walks = (0..times).flat_map(|time| WALKS.map(|walk| Walk { seed: walk.seed + 1000 * time, ..walk }));
    let walked: usize = walks.map(|walk| go(name, walk, scenario, FailurePersistence::Print)).sum();
    println!("{name}: {walked} schedules");
}

/// Whether the walk comes upon a failure.
pub fn finds(walk: Walk, scenario: impl Fn() + Copy + Send + Sync + 'static) -> bool {
    catch_unwind(AssertUnwindSafe(|| go("sabotage", walk, scenario, FailurePersistence::None))).is_err()
}

fn go(
    name: &str,
    walk: Walk,
    scenario: impl Fn() + Send + Sync + 'static,
    failure_persistence: FailurePersistence,
) -> usize {
    let mut config = Config::new();
    // Sealing, compression and graphs want more than the few pages that a thread has here by default.
    config.stack_size = 1 << 20;
    config.failure_persistence = failure_persistence;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let counted = move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    };
    let walked = catch_unwind(AssertUnwindSafe(|| match walk.explorer {
        Explorer::Random => Runner::new(RandomScheduler::new_from_seed(walk.seed, walk.schedules), config).run(counted),
        Explorer::Pct(depth) => {
            Runner::new(PctScheduler::new_from_seed(walk.seed, depth, walk.schedules), config).run(counted)
        }
    }));
    walked.unwrap_or_else(|panic| {
        println!("{name}: schedule {} of {walk:?} failed", begun.load(Ordering::Relaxed));
        resume_unwind(panic)
    })
}

/// A number below `bound`, of the explorer's choice.
pub fn draw(bound: u64) -> u64 {
    shuttle::rand::thread_rng().gen_range(0..bound)
}
