//! The inner products of codes, in one form per instruction set, and the prefetch of rows.
//!
//! Invariant: every kernel gives exactly the integers of [`scalar`], for every length and every
//! pair of codes, so that results and graphs do not depend on the processor. With `arena`, the only
//! room that may write `unsafe`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod detect;
pub mod nibbles;
pub mod panel;
mod portable;
mod prefetch;
mod rows;
pub mod scalar;
mod table;
#[cfg(test)]
mod tests;

pub use detect::{available, kernels};
pub use prefetch::prefetch;
pub use rows::Rows;
pub use table::Kernels;
