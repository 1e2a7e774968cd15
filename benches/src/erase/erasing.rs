//! What a measurement of erasures found: as one JSON object and as tables.
//!
//! Invariant: the member names are only ever added to.

use std::fmt;

use serde::Serialize;

use super::epochs::Epoch;
use super::flushes::Flushed;
use super::stages::{Searched, Staged, Together};
use crate::machine::Machine;

/// What forgetting costs. What was not measured is empty.
#[derive(Clone, Debug, Serialize)]
pub struct Erasing {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// On what it was measured.
    pub machine: Machine,
    /// Records that were left after all erasures; those that went came on top.
    pub records: usize,
    /// Numbers in a vector.
    pub dim: usize,
    /// `cosine`.
    pub metric: String,
    /// Neighbours that the searches meanwhile asked for.
    pub k: usize,
    /// Erasures of each kind, whose medians are told.
    pub rounds: usize,
    /// By the records of the entity.
    pub stages: Vec<Staged>,
    /// By how many entities were erased at once.
    pub together: Vec<Together>,
    /// By how many entities there are.
    pub epochs: Vec<Epoch>,
    /// With new entities, and without.
    pub flushes: Vec<Flushed>,
}

impl fmt::Display for Erasing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, machine, records, dim, metric, k, rounds, .. } = self;
        writeln!(f, "{engine} (encrypted) on {}: {records} records of {dim} under {metric}", machine.processor)?;
        write!(
            f,
            "one thread searches all along, k = {k}; medians of {rounds}, times since the erasure was asked for"
        )?;
        self.write_stages(f)?;
        if !self.together.is_empty() {
            write!(f, "\n\n{:>9} {:>12} {:>12} {:>10}", "entities", "shredded ms", "answered ms", "ms each")?;
        }
        for Together { entities, shredded_ms, answered_ms } in &self.together {
            let each = answered_ms / *entities as f64;
            write!(f, "\n{entities:>9} {shredded_ms:>12.1} {answered_ms:>12.1} {each:>10.2}")?;
        }
        if !self.epochs.is_empty() {
            write!(f, "\n\n{:>9} {:>12} {:>12} {:>12} {:>12}", "keyring", "epoch ms", "bytes", "shred ms", "bytes")?;
        }
        for Epoch { entities, rotated_ms, rotated_bytes, shredding_ms, shredding_bytes } in &self.epochs {
            write!(f, "\n{entities:>9} {rotated_ms:>12.1} {rotated_bytes:>12.0}")?;
            write!(f, " {shredding_ms:>12.1} {shredding_bytes:>12.0}")?;
        }
        if !self.flushes.is_empty() {
            write!(f, "\n\n{:>9} {:>12} {:>12} {:>12}", "flush of", "new entities", "ms", "records/s")?;
            write!(f, " {:>14} {:>14}", "segment bytes", "keyring bytes")?;
        }
        for Flushed { records, new_entities, ms, records_per_second, segment_bytes, keyring_bytes } in &self.flushes {
            write!(f, "\n{records:>9} {new_entities:>12} {ms:>12.1} {records_per_second:>12.0}")?;
            write!(f, " {segment_bytes:>14.0} {keyring_bytes:>14.0}")?;
        }
        Ok(())
    }
}

impl Erasing {
    fn write_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stages.is_empty() {
            write!(f, "\n\n{:>9} {:>10} {:>11} {:>10}", "records", "hidden ms", "shredded ms", "purged ms")?;
            write!(f, " {:>11} {:>10}  searches/s:", "answered ms", "rebuilt ms")?;
            write!(f, " {:>8} {:>13} {:>13} {:>13}", "idle", "shredding", "purging", "rebuilding")?;
        }
        for Staged { records, hidden_ms, shredded_ms, purged_ms, answered_ms, rebuilt_ms, searches } in &self.stages {
            write!(f, "\n{records:>9} {hidden_ms:>10.1} {shredded_ms:>11.1} {purged_ms:>10.1}")?;
            write!(f, " {answered_ms:>11.1} {rebuilt_ms:>10.0}             ")?;
            let Searched { idle_qps, shredding_qps, purging_qps, rebuilding_qps } = *searches;
            write!(f, " {:>8.0}", idle_qps.unwrap_or_default())?;
            for qps in [shredding_qps, purging_qps, rebuilding_qps] {
                match qps.zip(idle_qps.filter(|idle| *idle > 0.0)) {
                    Some((qps, idle)) => write!(f, " {qps:>6.0} ({:>3.0}%)", 100.0 * qps / idle)?,
                    None => write!(f, " {:>13}", "-")?,
                }
            }
        }
        Ok(())
    }
}
