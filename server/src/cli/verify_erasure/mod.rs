//! `lethedb verify-erasure`: what a receipt says, held against keys, rows and bytes.
//!
//! Leaves first: the [`needle`]s to look for, the [`scan`] of every byte for them, the [`report`] of what was and was not
//! checked, and the [`command`] itself.

mod command;
mod needle;
mod report;
mod scan;

pub use command::{Args, run};
