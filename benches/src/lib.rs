//! Measurements: [`run`] gives recall against speed of a whole store, as ann-benchmarks asks for it; the criterion
//! files beside this crate measure single kernels.
//!
//! A library, because `lethedb bench run` is its face. It may use every crate of ours, and none uses it but the server.
#![forbid(unsafe_code)]

mod baseline;
mod measure;
mod memory;
mod report;
mod runner;
mod stage;
mod store;

pub use baseline::{Baseline, UnknownBaseline};
pub use report::{Build, Memory, Point, Points, Report};
pub use runner::{Options, RunError, run};
pub use stage::Stage;
pub use store::entity_name;
