//! The index of payloads: what the rows of a segment say, field by field, and what follows from that for a condition.
//!
//! [`leaves`] finds the paths at which payloads have values, [`build`] gathers the values of the commonest of them and of
//! declared fields into columns, whose meaning is in [`columns`], [`answer`] turns a condition into rows, and
//! [`values`] gives the values themselves.

mod answer;
mod build;
mod columns;
mod leaves;
mod values;

pub(crate) use answer::{absent, answer, nulls, unfilled};
pub(crate) use build::{Payload, build};
pub(crate) use values::{each_value, unknown};
