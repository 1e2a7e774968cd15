//! Locks and threads from one place, so that a test can put its own scheduler under them.
//!
//! Invariant: without the feature `schedules` every name here is `parking_lot`'s or `std`'s own. The feature, which only
//! the test target of that name turns on, takes them from shuttle: then every call is a point where the explorer may go
//! on with another thread, and whether a wait with a limit runs out is its choice, since there is no time. It stands
//! here because storage is the lowest room that locks.

use std::time::Duration;

#[cfg(feature = "schedules")]
pub use explored::Condvar;
#[cfg(not(feature = "schedules"))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
#[cfg(feature = "schedules")]
pub use shuttle::thread;
#[cfg(feature = "schedules")]
pub use shuttle_parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
#[cfg(not(feature = "schedules"))]
pub use std::thread;

/// Locks `mutex`, or gives up after `limit`.
pub fn lock_within<T>(mutex: &Mutex<T>, limit: Duration) -> Option<MutexGuard<'_, T>> {
    #[cfg(not(feature = "schedules"))]
    return mutex.try_lock_for(limit);
    #[cfg(feature = "schedules")]
    return if explored::runs_out(limit) { mutex.try_lock() } else { Some(mutex.lock()) };
}

#[cfg(feature = "schedules")]
mod explored {
    use std::sync::PoisonError;
    use std::time::Duration;

    use shuttle::rand::Rng;
    use shuttle::sync;

    use super::MutexGuard;

    /// Whether a wait of at most `limit` ends before what it waits for.
    pub(super) fn runs_out(_limit: Duration) -> bool {
        shuttle::rand::thread_rng().gen_bool(0.5)
    }

    /// A condition variable with the shape of `parking_lot`'s.
    #[derive(Default)]
    pub struct Condvar {
        /// Held from before the caller's mutex is released until the wait has begun, so that no notification falls
        /// between the two.
        gate: sync::Mutex<()>,
        notified: sync::Condvar,
    }

    impl Condvar {
        /// One that nobody waits for.
        pub fn new() -> Self {
            Self::default()
        }

        /// Releases the mutex, waits for a notification, and locks the mutex again.
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            MutexGuard::unlocked(guard, || drop(self.notified.wait(gate)));
        }

        /// [`wait`](Self::wait), or not, as the explorer likes.
        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) {
            if runs_out(limit) {
                MutexGuard::unlocked(guard, shuttle::thread::yield_now);
            } else {
                self.wait(guard);
            }
        }

        /// Wakes one that waits.
        pub fn notify_one(&self) {
            let _gate = self.gate.lock();
            self.notified.notify_one();
        }

        /// Wakes all that wait.
        pub fn notify_all(&self) {
            let _gate = self.gate.lock();
            self.notified.notify_all();
        }
    }
}
