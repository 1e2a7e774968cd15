//! The proofs of this room in numbers: distributions, guarantees from inside and outside, and the mistakes that these
//! checks notice.
//!
//! A check is a function that gives a reason where it fails; its test asserts that it holds, and [`mutants`] that it
//! fails once the mistake is made that it is there for. Seeds are fixed: a run either always passes or never.

mod black_box;
mod edges;
mod mutants;
mod oracle;
mod pmf;
mod sampler;
mod white_box;
