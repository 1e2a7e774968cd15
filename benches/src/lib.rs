//! Measurements: [`run`] gives recall against speed of a whole store, as ann-benchmarks asks for it; the criterion
//! files beside this crate measure single kernels.
//!
//! A library, because `lethedb bench run` is its face. It may use every crate of ours, and none uses it but the server.
#![forbid(unsafe_code)]

mod affinity;
mod audit;
mod bandwidth;
mod baseline;
mod chance;
mod churn;
mod clustered;
mod compare;
mod comparison;
mod curves;
mod erase;
mod field;
mod filter;
mod front;
mod grow;
mod load;
mod machine;
mod measure;
mod median;
mod memory;
mod noise;
mod ours;
mod payload;
mod peer;
mod plot;
mod report;
mod runner;
mod stage;
mod store;

pub use affinity::{Pin, Shares, allowed as cores};
pub use audit::{AuditOptions, Audited, audit};
pub use baseline::{Baseline, UnknownBaseline};
pub use churn::{Churn, ChurnOptions, Churned, Found, churn};
pub use compare::{CompareOptions, Grid, UnknownGrid, compare};
pub use comparison::{Comparison, Engine, Index, Latency, Speed, Tried};
pub use curves::{DrawError, draw, read_curves};
pub use erase::{Epoch, EraseOptions, Erasing, Flushed, Part, Searched, Staged, Together, UnknownPart, erase};
pub use filter::{FilterOptions, Filtered, Filtering, Placement, filter};
pub use grow::{Along, Case, Cost, GrowOptions, Growing, Grown, Growth, UnknownGrowing, grow};
pub use load::{Askers, Asks, Load, Loaded, Neighbour, Step as LoadStep, Tally, Told, Wire, in_threads};
pub use machine::Machine;
pub use memory::resident_bytes;
pub use noise::{Asked, Crowd, NoiseOptions, NoisePart, Noises, NoisyPoint, Pace, Step, UnknownNoisePart, noise};
pub use payload::{Indexed, Indexes, PayloadOptions, payload};
pub use peer::{PeerName, UnknownPeer};
pub use plot::{Axis, Line, Picture};
pub use privacy::dp::error_table;
pub use report::{Build, Memory, Point, Points, Report, write_json};
pub use runner::{Options, RunError, run};
pub use stage::Stage;
pub use store::entity_name;
