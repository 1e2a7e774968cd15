//! The threads that build and scan, lent to the index: a pool for work that somebody waits for, and another for what is
//! built aside, since a pool takes up no new work before it is done with a batch of the old.
//!
//! Invariant: what runs in the pool waits for no lock that its caller holds.

use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Starts `threads` threads; 0 takes all cores.
#[cfg(not(feature = "schedules"))]
pub(crate) fn start(threads: usize) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    let named = ThreadPoolBuilder::new().num_threads(threads).thread_name(|number| format!("lethedb-{number}"));
    named.build().map(Arc::new)
}

/// Under an explored schedule all threads are one, and it does the pool's work where the work is asked for.
#[cfg(feature = "schedules")]
pub(crate) fn start(_threads: usize) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    use std::cell::RefCell;

    thread_local! {
        /// A thread can join one pool in its life, so every database that it opens shares this one.
        static CALLER: RefCell<Option<Arc<ThreadPool>>> = const { RefCell::new(None) };
    }
    CALLER.with_borrow_mut(|caller| {
        if let Some(pool) = caller {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()?);
        *caller = Some(Arc::clone(&pool));
        Ok(pool)
    })
}
