//! Our JSON: how it is read, and the forms that the command line and REST share.
//!
//! Leaves first: a [`payload`] as it arrives, [`strict`] parsing, [`time`]s, then the forms of a [`record`], of an [`erasure`], of a [`backup`], and
//! of what a search tells of itself: [`explain`].

mod backup;
mod erasure;
mod explain;
mod payload;
mod record;
mod strict;
mod time;

pub use backup::{BackupMadeAnswer, BackupVerifiedAnswer, BackupsAnswer, RestoreAnswer};
pub use erasure::EraseAnswer;
pub use explain::ExplainAnswer;
pub use payload::Payload;
pub use record::{ExampleBody, ExampleChoice, HitAnswer, Id, RecordAnswer, RecordBody};
pub use strict::{JsonError, Object, parse};
pub use time::AsOfAnswer;
