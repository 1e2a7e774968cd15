//! Asks the memory system for a row before it is needed.
//!
//! Invariant: has no effect on results; on processors without a stable intrinsic it does nothing.

#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the prefetch intrinsic takes a raw pointer"))]

/// Starts loading every cache line of `row`, into the second cache: the first has so few line buffers that asking for more
/// stalls a walk, which then takes a third to a half longer (`benches/LOG.md`).
#[inline]
pub fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let start = row.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(row)).step_by(64) {
            // A prefetch never faults, whatever the address; the offset stays inside `row` all the
            // same.
            let line = start.wrapping_add(offset);
            // SAFETY: SSE is part of x86-64, and the instruction reads nothing architecturally.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
