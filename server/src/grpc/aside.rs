//! Long work on a message, aside from the threads that serve connections.
//!
//! Invariant: what takes long because a message is large runs where it holds up nobody, and a few at once: it has no turn
//! in the engine, which would bound it.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{block_in_place, spawn_blocking};

use crate::rest::{Problem, Refusal};

/// Messages up to this size are worked on where they are: handing them over would cost more.
const SMALL_BYTES_MAX: usize = 64 << 10;

static PLACES: Semaphore = Semaphore::const_new(4);

/// Does `work` on a message of so many bytes where it cannot be waited for: what else its thread serves, another one does
/// meanwhile.
pub fn here<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let is_alone =
        Handle::try_current().map_or(true, |runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
    if bytes <= SMALL_BYTES_MAX || is_alone { work() } else { block_in_place(work) }
}

/// Does `work` on a message of so many bytes.
///
/// # Errors
/// `internal` if the work panicked, else what `work` says.
pub async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= SMALL_BYTES_MAX {
        return work();
    }
    let unfinished = || Problem::new(Refusal::Internal, "the message was not worked on to the end");
    // The places are never taken away.
    let place = PLACES.acquire().await.map_err(|_| unfinished())?;
    let done = spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.unwrap_or_else(|_| Err(unfinished()))
}
