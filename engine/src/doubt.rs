//! Whether the clock may be believed by what deletes, and whoever answers for it.
//!
//! Invariant: the latest time believed is in a manifest before anything was destroyed by it, so that the next process holds
//! the clock against it. What is written is dated by that time where the clock shows less: a record is never thought older
//! than it is because a clock was wrong when it was written.

use std::sync::atomic::Ordering;

use privacy::audit::{Act, Outcome};
use privacy::{Doubt, Reading, Trusted, Window};

use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// What time it is, for whoever deletes by it.
///
/// # Errors
/// `Conflict` while the clock is doubted, which the audit log is told once.
pub(crate) fn now(env: &EnvironmentState) -> Result<Trusted> {
    let (reading, judge) = (reading(env), &env.judge);
    let seen = judge.watch.lock().observe(reading, shortest(env));
    match seen {
        Ok(now) => {
            judge.is_doubted.store(false, Ordering::Release);
            remember(env)?;
            Ok(now)
        }
        Err(doubt) => {
            if !judge.is_doubted.swap(true, Ordering::AcqRel) {
                let told = env.append(vec![env.entry(&Permit::engine(), told(doubt), Outcome::Denied)]);
                told.inspect_err(|_| judge.is_doubted.store(false, Ordering::Release))?;
            }
            Err(Error::with(ErrorKind::Conflict, "nothing is removed by a clock that is doubted", doubt))
        }
    }
}

/// [`now`] without any trace of it.
pub(crate) fn glance(env: &EnvironmentState) -> Result<Trusted> {
    let mut watch = env.judge.watch.lock().clone();
    let doubt = |doubt| Error::with(ErrorKind::Conflict, "nothing is removed by a clock that is doubted", doubt);
    watch.observe(reading(env), shortest(env)).map_err(doubt)
}

/// The shortest window that is kept.
fn shortest(env: &EnvironmentState) -> Option<Window> {
    env.all().iter().filter_map(|state| state.rules().retention?.window()).min()
}

/// Believes the clock because someone answers for it.
pub(crate) fn confirm(env: &EnvironmentState, permit: &Permit) -> Result<Trusted> {
    let reading = reading(env);
    env.tell(permit, Act::ClockConfirmed { now_ms: reading.wall_ms })?;
    let now = env.judge.watch.lock().confirm(reading);
    env.judge.is_doubted.store(false, Ordering::Release);
    remember(env)?;
    Ok(now)
}

fn remember(env: &EnvironmentState) -> Result<()> {
    let believed = env.judge.watch.lock().trusted_ms();
    if env.manifest.lock().trusted_ms == believed {
        return Ok(());
    }
    let _order = env.apply.lock();
    env.commit(|manifest| manifest.trusted_ms = believed)
}

/// By what time writes are dated.
pub(crate) fn written_ms(env: &EnvironmentState) -> u64 {
    let believed = env.judge.watch.lock().trusted_ms();
    env.shared.clock.now_ms().max(believed.unwrap_or_default())
}

fn reading(env: &EnvironmentState) -> Reading {
    let clock = &env.shared.clock;
    Reading { wall_ms: clock.now_ms(), steady_ms: clock.steady_ms() }
}

fn told(doubt: Doubt) -> Act {
    match doubt {
        Doubt::RanBack { before_ms, now_ms } | Doubt::Leapt { expected_ms: before_ms, now_ms } => {
            Act::ClockDoubted { before_ms, now_ms }
        }
    }
}
