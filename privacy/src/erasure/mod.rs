//! Erasure: how far it has come, and what is handed out in the end.
//!
//! Everything here is pure. The engine makes a job durable after each stage, tells the audit log, and signs a receipt;
//! who is given one needs nothing of the engine to check it.

mod facts;
mod job;
mod receipt;
mod subject;
mod view;

pub use facts::{Erased, Expired, Fate, Purging, Segments, Shredding, Stamp};
pub use job::{Job, JobError, OpenJobError, Stage, open_entities, seal_entities};
pub use receipt::{Receipt, ReceiptError, Signed, Statement, UnverifiedReceipt};
pub use subject::Subject;
pub use view::{ReceiptView, StampView, SubjectView};
