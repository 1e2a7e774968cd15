//! A receipt as people and programs read it: the fields of the JSON view.
//!
//! Invariant: a view is made from a receipt and never read back. What is signed is the receipt's bytes; a view that was
//! altered proves nothing, and none is taken for a receipt.

use data_encoding::{BASE64, HEXLOWER};
use serde::Serialize;

use super::facts::Stamp;
use super::receipt::Receipt;
use crate::keyring::Grade;

/// A receipt in words and hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptView {
    /// The database's id, in hex.
    pub database: String,
    /// The environment's id, in hex.
    pub environment: String,
    /// The number of the job.
    pub job: u64,
    /// When the erasure was asked for.
    pub begun: StampView,
    /// When no read returned the entities any more.
    pub hidden: StampView,
    /// When their keys were destroyed.
    pub shredded: StampView,
    /// When no live file held a row of theirs.
    pub purged: StampView,
    /// When every index was one that never knew them; absent if that was to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<StampView>,
    /// The entities.
    pub subjects: Vec<SubjectView>,
    /// How many records went.
    pub records_deleted: u64,
    /// The ids of the destroyed keys, in hex.
    pub destroyed_keys: Vec<String>,
    /// The keyring's epoch since.
    pub epoch: u64,
    /// How far the destruction of keys reached: `same_volume`, `other_volume`, `external`, or `none`.
    pub anchor_grade: &'static str,
    /// Whether it reached plain copies of the data directory.
    pub covers_copies: bool,
    /// Segments rewritten or removed.
    pub segments_purged: u64,
    /// Of them, with an index built anew.
    pub indexes_rebuilt: u64,
    /// Of them, with a repaired graph.
    pub indexes_repaired: u64,
    /// Damaged segments that were left.
    pub segments_quarantined: u64,
    /// The signature over the statement, in hex.
    pub signature: String,
    /// The audit event that tells of the receipt, in base64.
    pub audit_event: String,
    /// The hashes from that event to the root, in hex.
    pub audit_path: Vec<String>,
    /// The signed checkpoint of the audit log.
    pub audit_checkpoint: String,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StampView {
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The last write given out.
    pub sequence: u64,
}

/// An entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectView {
    /// SHA-256 of salt and id, in hex.
    pub subject: String,
    /// How many records it had.
    pub records: u64,
}

impl Receipt {
    /// The receipt as people and programs read it.
    pub fn view(&self) -> ReceiptView {
        let said = self.statement();
        let stamp = |Stamp { time_ms, sequence }: Stamp| StampView { time_ms, sequence };
        let subjects = said.erased.iter();
        ReceiptView {
            database: HEXLOWER.encode(&said.scope.database),
            environment: HEXLOWER.encode(&said.scope.environment),
            job: said.job,
            begun: stamp(said.begun),
            hidden: stamp(said.hidden),
            shredded: stamp(said.shredded),
            purged: stamp(said.purged),
            rebuilt: said.rebuilt.map(stamp),
            subjects: subjects
                .map(|one| SubjectView { subject: one.subject.to_string(), records: one.records })
                .collect(),
            records_deleted: said.records(),
            destroyed_keys: said.shredding.destroyed.iter().map(ToString::to_string).collect(),
            epoch: said.shredding.epoch,
            anchor_grade: said.grade().map_or("none", word),
            covers_copies: said.grade().is_some_and(Grade::covers_copies),
            segments_purged: said.purging.purged,
            indexes_rebuilt: said.purging.rebuilt,
            indexes_repaired: said.purging.repaired,
            segments_quarantined: said.purging.quarantined,
            signature: HEXLOWER.encode(self.signature()),
            audit_event: BASE64.encode(self.event()),
            audit_path: self.path().iter().map(|hash| HEXLOWER.encode(hash)).collect(),
            audit_checkpoint: self.checkpoint().to_owned(),
        }
    }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::SameVolume => "same_volume",
        Grade::OtherVolume => "other_volume",
        Grade::External => "external",
    }
}
