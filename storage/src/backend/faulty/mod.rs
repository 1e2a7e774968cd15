//! The simulated disk: it forgets what was not synced, tears, reorders and fails, exactly as far as the contract allows
//! and no less. Every operation has a number, so that every one of them is a place to crash or to fail, and the code
//! under test carries no marks of it.
//!
//! | room | holds |
//! |---|---|
//! | `medium` | what callers see, what is on the platter, and what lies between |
//! | `crash` | what a crash may leave of a medium |
//! | `fault` | which operations fail, and how |
//! | `disk` | the backend over these |

mod crash;
mod disk;
mod fault;
mod medium;
#[cfg(test)]
mod tests;

pub use crash::Crash;
pub use disk::Faulty;
pub use fault::{Fault, FaultKind, Operation, OperationKind};
pub use medium::Medium;
