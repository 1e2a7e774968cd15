//! The index of payloads: what the rows of a segment say, field by field, and what follows from that for a condition.
//!
//! [`leaves`] finds the paths at which payloads have values and [`census`] the commonest of them. [`build`] asks every
//! payload for those and for declared fields ([`asked`]) and has the values [`gathered`] into columns, whose meaning is
//! in [`columns`]. [`answer`] turns a condition into rows, and [`values`] gives the values themselves.

mod answer;
mod asked;
mod build;
mod census;
mod columns;
mod gathered;
mod leaves;
mod values;

pub(crate) use answer::{absent, answer, nulls, unfilled};
pub(crate) use build::{Extent, Payload, build};
pub(crate) use values::{Values, unknown};
