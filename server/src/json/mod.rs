//! Our JSON: how it is read, and the forms that the command line and REST share.
//!
//! Leaves first: a [`payload`] as it arrives, a count in the [`plural`], [`strict`] parsing, [`time`]s, bytes in [`hex`], then the forms of a [`record`],
//! of [`access`] and the [`policy`] behind it, an [`erasure`], of a [`receipt`], of a [`consent`], a [`hold`], of [`retention`], of what is [`portable`] or
//! [`private`], of a [`backup`], and of what a
//! search tells of itself: [`explain`].

mod access;
mod backup;
mod consent;
mod erasure;
mod explain;
mod hex;
mod hold;
mod payload;
mod plural;
mod policy;
mod portable;
mod private;
mod receipt;
mod record;
mod retention;
mod strict;
mod time;

pub use access::{ApiKeysAnswer, IssuedAnswer, RoleAnswer, RolesAnswer};
pub use backup::{BackupMadeAnswer, BackupVerifiedAnswer, BackupsAnswer, PrunedAnswer, RestoreAnswer};
pub use consent::ConsentAnswer;
pub use erasure::{EraseAnswer, ErasePlanAnswer};
pub use explain::ExplainAnswer;
pub use hex::{bytes_or_hex, from_hex};
pub use hold::{HoldAnswer, HoldsAnswer};
pub use payload::Payload;
pub use plural::count;
pub use policy::{ApproversAnswer, ApproversBody, EndUsersBody, RulesAnswer, RulesBody};
pub use portable::PortableRecord;
pub use private::{BudgetAnswer, PredictedAnswer, PrivateAnswer, StandingAnswer};
pub use receipt::{ReceiptAnswer, ReceiptLine};
pub use record::{ExampleBody, ExampleChoice, HitAnswer, Id, RecordAnswer, RecordBody};
pub use retention::{ClockAnswer, KeptAnswer, RetentionAnswer, WindowAnswer, WindowsAnswer};
pub use strict::{JsonError, Object, parse, query_fault, read};
pub use time::{AsOfAnswer, millis, rfc3339};
