//! The site: what upkeep builds aside, one piece at a time, and where an erasure waits until what it ended is gone.
//!
//! Invariant: whoever builds says so before looking at a segment, and says that the work is gone once nothing is left of
//! it, neither in memory nor among the files. So when [`Site::clear`] returns, the segments that it names are with nobody
//! who builds: whoever comes later sees what took their place. It stands outside the locks: who clears the site holds
//! none that the work may have to wait for on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::id::SegmentId;
use storage::sync::{Condvar, Mutex};

/// Where one piece of work may be.
#[derive(Default)]
pub(crate) struct Site {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    /// How many pieces of work were begun.
    begun: u64,
    work: Option<Sources>,
    unwanted: Arc<AtomicBool>,
}

/// From what is being built.
enum Sources {
    /// It is being chosen.
    Any,
    These(Vec<SegmentId>),
}

/// A piece of work on the site. It is gone when this is dropped, so whatever belongs to it must be dropped before.
#[must_use = "the work lasts as long as this"]
pub(crate) struct Work<'a> {
    site: &'a Site,
    unwanted: Arc<AtomicBool>,
}

impl Site {
    /// Begins a piece of work; the caller holds `building` until it is gone.
    pub fn begin(&self) -> Work<'_> {
        let mut now = self.now.lock();
        now.begun += 1;
        now.work = Some(Sources::Any);
        now.unwanted = Arc::default();
        Work { site: self, unwanted: Arc::clone(&now.unwanted) }
    }

    /// Ends the work that may be about one of these segments, if there is any, and waits until it is gone. No view has
    /// these segments any more.
    pub fn clear(&self, segments: &[SegmentId]) {
        let mut now = self.now.lock();
        let met = now.begun;
        while now.begun == met {
            match &now.work {
                // It will say so at once.
                Some(Sources::Any) => {}
                Some(Sources::These(sources)) if sources.iter().any(|source| segments.contains(source)) => {
                    now.unwanted.store(true, Ordering::Release);
                }
                _ => return,
            }
            self.changed.wait(&mut now);
        }
    }

    /// Whether somebody waits until what is there is gone.
    #[cfg(test)]
    pub fn is_awaited(&self) -> bool {
        let now = self.now.lock();
        now.work.is_some() && now.unwanted.load(Ordering::Acquire)
    }
}

impl Work<'_> {
    /// Says that it is about these segments alone.
    pub fn take(&self, sources: Vec<SegmentId>) {
        self.site.now.lock().work = Some(Sources::These(sources));
        self.site.changed.notify_all();
    }

    /// Whether somebody waits until it is gone.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Acquire)
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.site.now.lock().work = None;
        self.site.changed.notify_all();
    }
}
