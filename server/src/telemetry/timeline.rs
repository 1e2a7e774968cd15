//! What is noted of a request while it runs: when it was at what, whose it is, and where it says that it came from.
//!
//! Invariant: a value of the request's own task, so that no handler hands it on; where nothing is traced there is none, and
//! noting costs nothing. It holds no more than so many stages.

use std::sync::Arc;

use engine::{Clock, SystemClock};
use opentelemetry::trace::SpanContext;
use parking_lot::Mutex;

/// Stages of a request that are noted; what streams may come by some of them often.
const STAGES_MAX: usize = 16;

tokio::task_local! {
    static TIMELINE: Option<Arc<Timeline>>;
}

/// What a request is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its body comes in.
    Body,
    /// It waits for its turn in the engine.
    Turn,
    /// The engine works.
    Engine,
}

impl Stage {
    /// The name of its span.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Turn => "turn",
            Self::Engine => "engine",
        }
    }
}

/// What is noted of a request. Times are microseconds since the Unix epoch.
pub struct Timeline {
    /// When it began.
    pub begun_us: u64,
    /// Where it says that it came from.
    pub parent: Option<SpanContext>,
    noted: Mutex<Noted>,
}

/// What is only known once the request was looked at.
#[derive(Clone, Default)]
pub struct Noted {
    /// When it was at what, from and to.
    pub stages: Vec<(Stage, u64, u64)>,
    /// Where it works.
    pub environment: Option<Arc<str>>,
    /// Whether it showed a key that not everybody has.
    pub has_key: bool,
}

impl Timeline {
    /// Of a request that began then.
    pub fn new(begun_us: u64, parent: Option<SpanContext>) -> Arc<Self> {
        Arc::new(Self { begun_us, parent, noted: Mutex::default() })
    }

    /// Runs `work` as the request that this is about, if it is about one.
    pub async fn scope<F: Future>(timeline: Option<Arc<Self>>, work: F) -> F::Output {
        TIMELINE.scope(timeline, work).await
    }

    /// Of the running request: it showed a key that not everybody has.
    pub fn has_key() {
        note(|noted| noted.has_key = true);
    }

    /// Of the running request: it works there.
    pub fn works_in(environment: &Arc<str>) {
        note(|noted| noted.environment = Some(Arc::clone(environment)));
    }

    /// What was noted so far.
    pub fn noted(&self) -> Noted {
        self.noted.lock().clone()
    }
}

/// Notes the stages of a request one after the other, on whichever threads they are.
pub struct Stopwatch {
    /// None where nothing is traced.
    running: Option<(Arc<Timeline>, u64)>,
}

impl Stopwatch {
    /// Of the running request, from now on.
    pub fn start() -> Self {
        let timeline = TIMELINE.try_with(Option::clone).ok().flatten();
        Self { running: timeline.map(|timeline| (timeline, SystemClock.now_us())) }
    }

    /// What went on since the start, or since the last of these, was `stage`.
    pub fn lap(&mut self, stage: Stage) {
        let Some((timeline, since_us)) = &mut self.running else { return };
        let now_us = SystemClock.now_us();
        let stages = &mut timeline.noted.lock().stages;
        if stages.len() < STAGES_MAX {
            stages.push((stage, *since_us, now_us));
        }
        *since_us = now_us;
    }
}

fn note(what: impl FnOnce(&mut Noted)) {
    _ = TIMELINE.try_with(|timeline| {
        if let Some(timeline) = timeline {
            what(&mut timeline.noted.lock());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_streams_on_and_on_is_noted_no_further() {
        let timeline = Timeline::new(1, None);
        Timeline::scope(Some(Arc::clone(&timeline)), async {
            let mut stopwatch = Stopwatch::start();
            (0..100).for_each(|_| stopwatch.lap(Stage::Engine));
        })
        .await;
        assert_eq!(timeline.noted().stages.len(), STAGES_MAX);
    }
}
