//! A stored receipt, as JSON and as text.

use std::fmt;

use engine::{Receipt, StoredReceipt, VerifyingKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::hex::hex;
use super::time::rfc3339;

/// The receipt of an erasure.
#[derive(Serialize, ToSchema)]
pub struct ReceiptAnswer {
    /// Number of the erasure.
    job: u64,
    /// What was said when it was asked for; no part of the receipt.
    reason: Option<String>,
    /// The receipt, in hex: what is checked.
    receipt: String,
    /// The environment's key that receipts are checked with, in hex.
    receipt_key: String,
    /// Whether it verifies with that key.
    verified: bool,
    /// What it says. Made from the receipt, and no receipt itself.
    #[schema(value_type = Object)]
    view: serde_json::Value,
}

impl ReceiptAnswer {
    /// The JSON form of a stored receipt.
    pub fn new(stored: &StoredReceipt, key: &VerifyingKey) -> Self {
        Self { reason: stored.reason.clone(), ..Self::of(&stored.receipt, key) }
    }

    /// The JSON form of a receipt that somebody brought.
    pub fn of(receipt: &Receipt, key: &VerifyingKey) -> Self {
        Self {
            job: receipt.statement().job,
            reason: None,
            receipt: hex(&receipt.encode()),
            receipt_key: key.to_string(),
            verified: receipt.verify(key).is_ok(),
            view: serde_json::to_value(receipt.view()).unwrap_or_default(),
        }
    }

    /// Whether it verified.
    pub fn is_verified(&self) -> bool {
        self.verified
    }
}

/// A receipt among others.
#[derive(Serialize)]
pub struct ReceiptLine {
    /// Number of the erasure, by which the receipt is had.
    pub job: u64,
    /// When no live file held a row of theirs any more. RFC 3339, UTC.
    pub purged_at: String,
    /// When every index was one that never knew them; null if that is to come.
    pub rebuilt_at: Option<String>,
    /// The data subjects, in hex: hashes that are only told from each other by who has their salts.
    pub subjects: Vec<String>,
    /// How many live records they had.
    pub records: u64,
    /// What was said when it was asked for.
    pub reason: Option<String>,
}

impl From<&StoredReceipt> for ReceiptLine {
    fn from(stored: &StoredReceipt) -> Self {
        let said = stored.receipt.statement();
        Self {
            job: said.job,
            purged_at: rfc3339(said.purged.time_ms),
            rebuilt_at: said.rebuilt.map(|rebuilt| rfc3339(rebuilt.time_ms)),
            subjects: said.erased.iter().map(|erased| hex(erased.subject.as_bytes())).collect(),
            records: said.erased.iter().map(|erased| erased.records).sum(),
            reason: stored.reason.clone(),
        }
    }
}

impl fmt::Display for ReceiptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "erasure      {}", self.job)?;
        if let Some(reason) = &self.reason {
            writeln!(f, "reason       {reason}")?;
        }
        writeln!(f, "receipt key  {}", self.receipt_key)?;
        writeln!(f, "verifies     {}", if self.verified { "yes" } else { "NO" })?;
        write!(f, "{:#}", self.view)
    }
}
