//! Facts about a collection as it stands: read from what is in memory, without opening a file.

use std::collections::{HashMap, HashSet};

use index::{Ann, Metric};
use serde::Serialize;
use storage::compaction::{Policy, pick};

use crate::declare::lacks_fields;
use crate::declared::FieldType;
use crate::kept::Retention;
use crate::limits::Limits;
use crate::maintain::size;
use crate::rebuild;
use crate::schema::Schema;
use crate::segment::Index;
use crate::snapshot::{SegmentView, paths};
use crate::state::{CollectionState, EnvironmentState};

/// Facts about a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CollectionInfo {
    /// Its name, unique in the environment.
    pub name: String,
    /// As what the audit log and statements to approve name it, in hex: a name may tell of people, and can be given again.
    pub id: String,
    /// The other names it goes by, in their order.
    pub aliases: Vec<String>,
    /// Numbers in a vector.
    pub dimension: usize,
    /// How nearness is measured.
    pub metric: Metric,
    /// Records that a read could return.
    pub records: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Records that are in no segment yet.
    pub memtable_records: u64,
    /// Bytes of its segments on disk.
    pub disk_bytes: u64,
    /// Bytes of its loaded indexes and of its memtable.
    pub resident_bytes: u64,
    /// Of [`CollectionInfo::disk_bytes`] those of the indexes of payloads, as far as they are loaded: what sealing adds, a
    /// few in a thousand, not counted.
    pub payload_index_disk_bytes: u64,
    /// Of [`CollectionInfo::resident_bytes`] those of the loaded indexes of payloads.
    pub payload_index_resident_bytes: u64,
    /// Whether the system keeps all codes and graphs among them out of swap. It refuses beyond its limit on locked
    /// memory (`ulimit -l`).
    pub is_locked: bool,
    /// Segments from which an erasure removed rows and whose graph waits to be built from those that are left.
    pub repaired_segments: u64,
    /// Segments that are damaged and left out of every answer, as paths inside the environment.
    pub damaged: Vec<String>,
    /// Fields of payloads that are indexed because somebody said so, in the order of their names.
    pub payload_indexes: Vec<PayloadIndex>,
    /// What payloads must be like.
    pub schema: Schema,
    /// How much it may hold.
    pub limits: Limits,
    /// How long it keeps records; for ever if absent.
    pub retention: Option<Retention>,
}

/// A field of payloads that is indexed because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PayloadIndex {
    /// Its key path.
    pub field: String,
    /// As what it is indexed.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Segments whose index has it. Of those whose index is not loaded nobody knows; they count as neither.
    pub ready_segments: u64,
    /// Segments whose index does not have it yet, until upkeep rewrites them.
    pub pending_segments: u64,
}

/// Facts about a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentInfo {
    /// Its name: the path of its files inside the environment, without their endings.
    pub name: String,
    /// Records in it that a read could return.
    pub records: u64,
    /// Rows in it that were deleted, replaced or masked, and whose bytes go when it is rewritten.
    pub dead_rows: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes of its index, if that is loaded.
    pub resident_bytes: u64,
    /// What searches in it use.
    pub index: IndexKind,
    /// What upkeep is to do with it.
    pub due: Option<Upkeep>,
}

/// What searches in a segment use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexKind {
    /// A graph.
    Graph,
    /// All codes: there are too few rows for a graph.
    Flat,
    /// Nothing yet: the index is loaded when the first search or write needs it.
    Unloaded,
    /// Nothing: the segment is damaged, and left out of every answer.
    Damaged,
}

/// What upkeep does with a segment when its turn comes; searches do not wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Upkeep {
    /// Build its graph from the rows that an erasure left.
    Rebuild,
    /// Write it anew: its index lacks a field that is to be indexed, or its index file is damaged.
    Mend,
    /// Merge it with others, or rid it of dead rows.
    Compact,
}

/// Facts about a collection now.
pub(crate) fn collection(env: &EnvironmentState, state: &CollectionState) -> CollectionInfo {
    let view = state.view();
    let (served, hidden) = view.served();
    let aliases = {
        let catalog = env.catalog.read();
        let its = catalog.aliases().filter(|(_, name)| catalog.has(state) && *name == state.name);
        its.map(|(alias, _)| alias.to_owned()).collect()
    };
    let rules = state.rules();
    let payload_indexes = payload_indexes(state);
    let manifest = env.manifest.lock();
    let segments = manifest.collection(state.id).map(|entry| entry.segments.as_slice()).unwrap_or_default();
    let loaded = || view.segments.iter().filter_map(|view| view.segment.resident());
    CollectionInfo {
        name: state.name.clone(),
        id: format!("{:032x}", u128::from_be_bytes(state.id.0)),
        aliases,
        dimension: state.space.dimension(),
        metric: state.metric,
        records: served.live(),
        segments: view.segments.len() as u64,
        memtable_records: view.memtable.live_len() as u64,
        disk_bytes: segments.iter().map(|segment| segment.rec_bytes + segment.idx_bytes).sum(),
        resident_bytes: (loaded().map(Index::resident_bytes).sum::<usize>() + view.memtable.resident_bytes()) as u64,
        payload_index_disk_bytes: loaded().map(|index| index.fields.encoded_len()).sum::<usize>() as u64,
        payload_index_resident_bytes: loaded().map(|index| index.fields.resident_bytes()).sum::<usize>() as u64,
        is_locked: loaded().all(Index::is_locked) && view.memtable.is_locked(),
        repaired_segments: segments.iter().filter(|segment| segment.repaired_at.is_some()).count() as u64,
        damaged: paths(&hidden),
        payload_indexes,
        schema: (*rules.schema).clone(),
        limits: rules.limits,
        retention: rules.retention,
    }
}

/// The fields that somebody had indexed, and how far that is.
pub(crate) fn payload_indexes(state: &CollectionState) -> Vec<PayloadIndex> {
    let view = state.view();
    let count = |field: &str, kind, has: bool| {
        let indexes = view.segments.iter().filter_map(|view| view.segment.resident());
        indexes.filter(|index| index.fields.fields().iter().any(|found| is_declared(found, field, kind)) == has).count()
    };
    let index = |(field, kind): (&str, FieldType)| PayloadIndex {
        field: field.to_owned(),
        kind,
        ready_segments: count(field, kind, true) as u64,
        pending_segments: count(field, kind, false) as u64,
    };
    state.declared().iter().map(index).collect()
}

fn is_declared(found: &storage::segment::Field, field: &str, kind: FieldType) -> bool {
    *found.name == *field && found.kind == kind.code()
}

/// Facts about every segment of a collection, oldest first.
pub(crate) fn segments(env: &EnvironmentState, state: &CollectionState) -> Vec<SegmentInfo> {
    let (view, declared, waiting) = (state.view(), state.declared(), rebuild::waiting(env));
    let (served, _) = view.served();
    let picks = pick(&served.segments.iter().map(size).collect::<Vec<_>>(), &Policy::default());
    let picked: HashSet<_> = picks.into_iter().flatten().collect();
    let disk_bytes: HashMap<_, _> = {
        let manifest = env.manifest.lock();
        let entries = manifest.collection(state.id).into_iter().flat_map(|entry| &entry.segments);
        entries.map(|entry| (entry.id, entry.rec_bytes + entry.idx_bytes)).collect()
    };
    let due = |view: &SegmentView| match view.segment.id {
        _ if view.segment.is_quarantined() => None,
        id if waiting.contains_key(&id) => Some(Upkeep::Rebuild),
        _ if view.segment.condition().is_stale() || lacks_fields(view, &declared) => Some(Upkeep::Mend),
        id => picked.contains(&id).then_some(Upkeep::Compact),
    };
    let segment = |view: &SegmentView| SegmentInfo {
        name: view.segment.path(),
        records: view.live(),
        dead_rows: view.dead.len(),
        disk_bytes: disk_bytes.get(&view.segment.id).copied().unwrap_or_default(),
        resident_bytes: view.segment.resident().map_or(0, Index::resident_bytes) as u64,
        index: match view.segment.resident().map(|index| &index.ann) {
            _ if view.segment.is_quarantined() => IndexKind::Damaged,
            Some(Ann::Graph(..)) => IndexKind::Graph,
            Some(Ann::Flat(_)) => IndexKind::Flat,
            None => IndexKind::Unloaded,
        },
        due: due(view),
    };
    view.segments.iter().map(segment).collect()
}
