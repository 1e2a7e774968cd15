//! Our JSON: how it is read, and the forms that the command line and REST share.
//!
//! Leaves first: a [`payload`] as it arrives, [`strict`] parsing, [`time`]s, then the forms of a [`record`], of an [`erasure`],
//! of a [`consent`], a [`hold`], of what is [`portable`], and of what a search tells of itself: [`explain`].

mod consent;
mod erasure;
mod explain;
mod hold;
mod payload;
mod portable;
mod record;
mod strict;
mod time;

pub use consent::ConsentAnswer;
pub use erasure::EraseAnswer;
pub use explain::ExplainAnswer;
pub use hold::{HoldAnswer, HoldsAnswer};
pub use payload::Payload;
pub use portable::PortableRecord;
pub use record::{ExampleBody, ExampleChoice, HitAnswer, Id, RecordAnswer, RecordBody};
pub use strict::{JsonError, Object, parse};
pub use time::AsOfAnswer;
