//! Plain data that tunes an engine; every limit that a caller can meet stands here with its default.

use index::{BuildParams, Builder as IndexBuilder};
use privacy::Cost;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::fields::Extent;

/// Limits and tuning of a database. All sizes in bytes unless named otherwise.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Records a memtable holds before the worker writes it into a segment.
    ///
    /// A search scans the codes of all of them: 30 ns each at 384 dimensions with AVX2, half a millisecond for the
    /// default, as long as the graphs of several segments take. Half as many would halve it and cost every record a
    /// third of a rebuild more, since compaction merges eight segments at a time.
    pub memtable_rows_max: usize,
    /// Bytes a memtable holds, codes included, before the worker writes it into a segment. By default the scan of longer
    /// vectors takes no longer than that of the default number of short ones.
    pub memtable_bytes_max: usize,
    /// Records one upsert may carry.
    pub batch_records_max: usize,
    /// Bytes of vectors and payloads one upsert may carry.
    pub batch_bytes_max: usize,
    /// Searches that one batch of them may carry.
    pub batch_searches_max: usize,
    /// Largest `limit` of a search or scroll; `offset` counts as well.
    pub limit_max: usize,
    /// Fields of payloads that every segment indexes by itself, those that most of its records have; 0 leaves it at the
    /// fields that a collection declares. A value takes about 8 bytes of memory and the text of each distinct one.
    pub automatic_fields: usize,
    /// Bytes that the values of all indexed fields may take while a segment's index of them is built. Where they take
    /// more, the fields that take most are left out and have their records opened, see
    /// [`Settings::unindexed_filter_limit`]. A value takes 8 bytes for each record that has it, each different one 40
    /// more and its text; at most 4 GiB are used.
    pub payload_index_bytes_max: u64,
    /// Records that one read opens at most to find out which match a filter, where no index of payloads knows. Opening
    /// one takes some microseconds.
    pub unindexed_filter_limit: u64,
    /// Largest `ef` of a search.
    pub ef_max: usize,
    /// Bytes of one payload as JSON text.
    pub payload_bytes_max: usize,
    /// Largest dimension of a collection, at most 4096.
    pub dimension_max: usize,
    /// Room on the disk that is set aside for erasures when there is none left; 0 sets none aside. An erasure needs as
    /// much as the log and the largest segment it touches; with less, the keys go and the bytes follow when they can.
    pub reserve_bytes: u64,
    /// Threads that build and scan; 0 takes as many as there are cores. As many again do what nobody waits for.
    pub threads: usize,
    /// Whether background threads flush and compact; without them, call `Environment::step`.
    pub background: bool,
    /// Neighbours per node in a segment's graph.
    pub degree: usize,
    /// Width of the walks of the builder that inserts row by row, `IndexBuilder::HnswRs`; the canonical one has none.
    pub ef_construction: usize,
    /// Who makes the first lists of a segment's graph.
    pub builder: IndexBuilder,
    /// Days after which the background thread reads a segment again to see whether it is what was written; 0 for never.
    pub scrub_days: u64,
    /// Days after which the background thread replaces an environment's KEK and anchor, unless an erasure did; 0 for
    /// never.
    pub kek_rotation_days: u64,
    /// Minutes after which the background thread looks for records past their window again; 0 for never.
    pub retention_check_minutes: u64,
    /// How looks are told in the audit log.
    pub audit_reads: AuditReads,
    /// Hours after which the background thread begins to hash the audit log anew from its first event, in slices that
    /// take a hundredth of its time; the first time as soon as an environment is open; 0 for never.
    pub audit_check_hours: u64,
    /// KiB of memory that one guess at a passphrase costs, for root keys that are wrapped from now on; see [`Cost`].
    pub passphrase_memory_kib: u32,
    /// Passes over that memory.
    pub passphrase_passes: u32,
    /// Segments with fewer rows are scanned instead of given a graph.
    pub flat_below: usize,
    /// Erasures repair the graph of a segment that keeps at least so many rows, and upkeep rebuilds it later; the graph
    /// of fewer is rebuilt at once.
    pub repair_from: usize,
    /// Hours after which a repaired graph is rebuilt before other upkeep; where upkeep has time it is rebuilt at once.
    pub rebuild_hours: u64,
}

/// How looks at what is stored are told in the audit log: searches, scrolls, counts, records, and what is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditReads {
    /// Counted by who, collection, permission and minute, and told after the minute: a crash loses the count of one.
    #[default]
    Counted,
    /// Each, durable before it is answered, which costs a sync: what cannot be told is not shown.
    Each,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memtable_rows_max: 16_384,
            memtable_bytes_max: 32 << 20,
            batch_records_max: 10_000,
            batch_bytes_max: 64 << 20,
            batch_searches_max: 256,
            limit_max: 10_000,
            automatic_fields: 64,
            payload_index_bytes_max: 1 << 30,
            unindexed_filter_limit: 100_000,
            ef_max: 10_000,
            payload_bytes_max: 64 << 10,
            dimension_max: 4096,
            reserve_bytes: 64 << 20,
            threads: 0,
            background: true,
            degree: 48,
            ef_construction: 80,
            builder: IndexBuilder::default(),
            scrub_days: 7,
            kek_rotation_days: 90,
            retention_check_minutes: 60,
            audit_reads: AuditReads::default(),
            audit_check_hours: 24,
            passphrase_memory_kib: Cost::DEFAULT.memory_kib(),
            passphrase_passes: Cost::DEFAULT.passes(),
            flat_below: 1024,
            // Building so many takes a tenth of a second on two cores, about as much as the rest of an erasure; it
            // takes three seconds for 50,000 (benches/LOG.md), and an erasure keeps the next one waiting.
            repair_from: 2048,
            rebuild_hours: 24,
        }
    }
}

impl Settings {
    /// How much of payloads is indexed.
    pub(crate) fn payload_extent(&self) -> Extent {
        Extent { others: self.automatic_fields, room: self.payload_index_bytes_max }
    }

    /// What one guess at a passphrase costs.
    pub(crate) fn passphrase_cost(&self) -> Result<Cost> {
        Cost::new(self.passphrase_memory_kib, self.passphrase_passes)
            .map_err(|e| Error::with(ErrorKind::Invalid, "the cost of a passphrase cannot be set so", e))
    }

    /// How graphs of segments are built.
    pub(crate) fn build_params(&self) -> BuildParams {
        let Self { degree, ef_construction, builder, flat_below, .. } = *self;
        BuildParams { degree, ef_construction, builder, flat_below }
    }
}
