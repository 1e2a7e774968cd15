//! What holds for every reader whatever it reads: it does not panic, and it allocates in proportion to its input.
//!
//! All bytes allocated are counted, freed or not: that bounds the memory at any moment, and the work as well. The
//! counts are real where the binary makes `stats_alloc`'s allocator its own, and zero elsewhere. Cases at once see each
//! other's bytes, so one that seems to take too much is run again alone. The index keeps its codes in mappings of its
//! own, which no allocator sees, and which its readers size by bytes that are there.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::RwLock;
use stats_alloc::INSTRUMENTED_SYSTEM;

/// Bytes that a reader may allocate whatever the size of its input.
const ALLOWANCE: usize = 64 << 20;

/// What a reader may allocate for `input` bytes.
#[must_use]
pub fn limit(input: usize) -> usize {
    ALLOWANCE + 4 * input
}

/// Held shared by the cases that run at once, exclusively by one that may have been blamed for the bytes of others.
static TURN: RwLock<()> = RwLock::new(());

/// Runs `read`, which may allocate `limit` bytes; once more, alone, if others may have allocated them. The error says
/// which of the two promises it broke.
pub fn guarded<T>(limit: usize, read: impl Fn() -> T) -> Result<T, String> {
    let (value, taken) = {
        let _shared = TURN.read();
        counted(&read)?
    };
    if taken <= limit {
        return Ok(value);
    }
    let _alone = TURN.write();
    let (value, taken) = counted(&read)?;
    if taken <= limit { Ok(value) } else { Err(format!("it allocated {taken} bytes where {limit} are plenty")) }
}

/// What `read` gives, and how many bytes were allocated meanwhile.
fn counted<T>(read: impl Fn() -> T) -> Result<(T, usize), String> {
    let before = allocated();
    let value = catch_unwind(AssertUnwindSafe(read)).map_err(|panic| format!("it panicked: {}", message(&*panic)))?;
    Ok((value, allocated() - before))
}

fn allocated() -> usize {
    INSTRUMENTED_SYSTEM.stats().bytes_allocated
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
