//! A store taken apart by somebody who has its keys and every file, without the engine: everything that the surviving
//! keys open, what each sealed blob was sealed with, and the files that nothing names. Invariant: what is not found here
//! cannot be read by anyone who holds the same.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::{Metric, Settings};
use index::{Ann, BuildParams, Space};
use privacy::{
    AnchorStore, Grade, Keyring, RootKey, RowContext, RowField, Scope, SectionContext, SectionKind, open_row,
    open_section,
};
use storage::anchor_dir::AnchorDir;
use storage::backend::faulty::Medium;
use storage::backend::{Dir, Faulty};
use storage::codec::Malformed;
use storage::frame_log::{LogKind, read_frames};
use storage::id::{RecordId, SegmentId};
use storage::manifest::{self, CollectionEntry, Manifest};
use storage::record::decode_body;
use storage::recovery::{LOGS, SEGMENTS, examine, list};
use storage::segment::{FieldMap, IdMap, IndexFile, RowsFile};
use storage::wal::{Entry, replay, wal_number};

use crate::workload::ENVIRONMENT;
use crate::world::{ROOT_KEY, small_settings};

/// The index of a segment, opened.
pub struct Indexed {
    /// Codes, graph, ids, entities and the fields of payloads.
    pub sections: [Vec<u8>; 5],
    /// Whether the manifest says that its graph waits to be built.
    pub waits: bool,
    /// Whether its graph is the one that its codes alone decide.
    pub is_canonical: bool,
}

/// What was found.
#[derive(Default)]
pub struct Autopsy {
    /// Every plaintext, one after the other.
    pub plain: Vec<u8>,
    /// Every record id that a plaintext names.
    pub ids: BTreeSet<u64>,
    /// The nonce or salt of each sealed blob, with a hash of the blob.
    pub nonces: Vec<([u8; 24], u64)>,
    /// Every index, in the order of the manifest.
    pub indexes: Vec<Indexed>,
    /// Files that no manifest, keyring or job accounts for, and those that are named and missing.
    pub strays: Vec<String>,
}

/// Takes the environment on `medium` apart.
///
/// # Errors
/// Says which file does not open although the store just opened.
pub fn autopsy(medium: &Medium) -> Result<Autopsy, String> {
    let root = Dir::root(Arc::new(Faulty::on(medium.clone())));
    let identity: serde_json::Value = serde_json::from_slice(&said("lethedb.json", root.read("lethedb.json"))?)
        .map_err(|error| format!("lethedb.json: {error}"))?;
    let store = identity["store"].as_str().and_then(|store| uuid::Uuid::parse_str(store).ok());
    let scope = Scope::new(store.ok_or("lethedb.json names no store")?.into_bytes(), ENVIRONMENT);
    let dir = root.sub("env").sub(ENVIRONMENT);
    let mut found = Autopsy::default();
    let keyring = keyring(&root, &dir, scope, &mut found)?;
    let manifest = said("manifest", manifest::read_newest(&dir, &keyring.table_key(), scope))?;
    let manifest = manifest.ok_or("there is no manifest")?;
    strays(&dir, &manifest, &mut found)?;
    let bytes = said("manifest", dir.read(&manifest::file_name(manifest.number)))?;
    found.sealed(bytes.get(22..).unwrap_or_default());
    logs(&dir, &keyring, scope, &mut found)?;
    segments(&dir, &manifest, &keyring, scope, &mut found)?;
    jobs(&dir, &keyring, scope, &mut found)?;
    trail(&dir, &keyring, scope, &mut found)?;
    Ok(found)
}

impl Autopsy {
    /// Whether any plaintext holds `needle`.
    #[must_use]
    pub fn knows(&self, needle: &str) -> bool {
        self.plain.windows(needle.len()).any(|window| window == needle.as_bytes())
    }

    fn sealed(&mut self, blob: &[u8]) {
        if let Some(nonce) = blob.first_chunk() {
            let mut hasher = DefaultHasher::new();
            blob.hash(&mut hasher);
            self.nonces.push((*nonce, hasher.finish()));
        }
    }

    fn id(&mut self, id: RecordId) {
        if let RecordId::Num(number) = id {
            self.ids.insert(number);
        }
    }
}

fn said<T, E: Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

fn keyring(root: &Dir, dir: &Dir, scope: Scope, found: &mut Autopsy) -> Result<Keyring, String> {
    let anchors = AnchorDir::new(root.sub("anchors").sub(ENVIRONMENT), Grade::SameVolume);
    let epochs = said("anchors", anchors.list())?;
    let [epoch] = epochs[..] else { return Err(format!("{} anchors are there, not one", epochs.len())) };
    let anchor = said("anchor", anchors.get(epoch))?.ok_or("the anchor is gone")?;
    let files = dir.sub("keyring");
    let (page, log) = (format!("root-{epoch:020}"), format!("new-{epoch:020}.log"));
    let root_page = said(&page, files.read(&page))?;
    let buckets = |generation| files.read(&format!("buckets-{generation:020}"));
    let root_key = RootKey::from_bytes(ROOT_KEY);
    let mut keyring = Keyring::open(scope, &root_key, &anchor, &root_page, buckets)
        .map_err(|error| format!("the keyring does not open: {error}"))?;
    let mut expected = BTreeSet::from([page]);
    expected.extend(keyring.bucket_files().iter().map(|generation| format!("buckets-{generation:020}")));
    let names = BTreeSet::from_iter(said("keyring", files.list())?);
    if names.contains(&log) {
        let bytes = said(&log, files.read(&log))?;
        for (number, range) in (0..).zip(said(&log, read_frames(&bytes, LogKind::NewKeys, epoch))?.payloads) {
            let frame = bytes.get(range).unwrap_or_default();
            keyring.replay(number, frame).map_err(|error| format!("{log}: {error}"))?;
            found.sealed(frame);
        }
        expected.insert(log);
    }
    found.strays.extend(names.symmetric_difference(&expected).map(|name| format!("keyring/{name}")));
    Ok(keyring)
}

fn strays(dir: &Dir, manifest: &Manifest, found: &mut Autopsy) -> Result<(), String> {
    let paths = said("listing", list(dir))?;
    let findings = examine(manifest, &paths);
    found.strays.extend(findings.orphans.into_iter().chain(findings.missing));
    found.strays.extend(findings.unindexed.iter().map(|segment| format!("{SEGMENTS}/{segment}.idx")));
    Ok(())
}

/// Every log on disk that has a key, live or not.
fn logs(dir: &Dir, keyring: &Keyring, scope: Scope, found: &mut Autopsy) -> Result<(), String> {
    let logs = dir.sub(LOGS);
    for name in said(LOGS, logs.list())? {
        let Some((number, key)) = wal_number(&name).and_then(|number| Some((number, keyring.log_key(number)?))) else {
            continue;
        };
        let bytes = said(&name, logs.read(&name))?;
        for (place, range) in (0..).zip(said(&name, read_frames(&bytes, LogKind::Wal, number))?.payloads) {
            let sealed = bytes.get(range).unwrap_or_default();
            let context = SectionContext { scope, kind: SectionKind::WalFrame, file: number, place };
            found
                .plain
                .extend_from_slice(&open_section(&key, &context, sealed).map_err(|_| format!("{name} is damaged"))?);
            found.sealed(sealed);
        }
        for (_, entry) in said(&name, replay(&logs, number, &key, scope))?.entries {
            match entry {
                Entry::Put { records, .. } => records.iter().for_each(|record| found.id(record.id)),
                Entry::Delete { ids, .. } => ids.iter().for_each(|id| found.id(*id)),
            }
        }
    }
    Ok(())
}

fn segments(
    dir: &Dir,
    manifest: &Manifest,
    keyring: &Keyring,
    scope: Scope,
    found: &mut Autopsy,
) -> Result<(), String> {
    let files = dir.sub(SEGMENTS);
    for (collection, segment) in manifest.segments() {
        rows(&files, segment.id, collection.id.0, keyring, scope, found)?;
        let Some(key) = keyring.index_key(segment.id.0) else { continue };
        let index = said("index", IndexFile::open(&files, segment.id, key, scope))?;
        let mut sections = [const { Vec::new() }; 5];
        for (code, plain) in (1..).zip(&mut sections) {
            *plain = said("index", index.section(code))?.ok_or("a section is missing")?.to_vec();
            found.plain.extend_from_slice(plain);
        }
        let [codes, graph, ids, _, fields] = &sections;
        said("fields", plain_fields(fields, segment.rows, &mut found.plain))?;
        said("ids", IdMap::decode(ids))?.iter_sorted(None).for_each(|(id, _)| found.id(id));
        let is_canonical = canonical_graph(collection, keyring, codes)? == *graph;
        found.indexes.push(Indexed { waits: segment.repaired_at.is_some(), is_canonical, sections });
        let name = format!("{}.idx", segment.id);
        found.sealed(said(&name, files.read(&name))?.get(24..).unwrap_or_default());
    }
    Ok(())
}

/// Every text and name in the index of payloads, which may be packed.
fn plain_fields(bytes: &[u8], rows: u64, plain: &mut Vec<u8>) -> Result<(), Malformed> {
    let map = FieldMap::decode(bytes, u32::try_from(rows).unwrap_or(u32::MAX))?;
    for field in map.fields() {
        plain.extend_from_slice(field.name.as_bytes());
        for (_, column) in &field.columns {
            let texts = (0..column.len()).filter_map(|at| column.text(at));
            texts.for_each(|text| plain.extend_from_slice(text.as_bytes()));
        }
    }
    Ok(())
}

/// The graph that a build makes of `codes`.
fn canonical_graph(collection: &CollectionEntry, keyring: &Keyring, codes: &[u8]) -> Result<Vec<u8>, String> {
    let metric = [Metric::Cosine, Metric::Dot, Metric::L2].get(usize::from(collection.metric).wrapping_sub(1));
    let metric = *metric.ok_or("a metric that there is none of")?;
    let space = Space::new(metric, collection.dimension as usize, keyring.rotation_seed(collection.id.0).expose());
    let Settings { degree, ef_construction, builder, flat_below, .. } = small_settings();
    let params = BuildParams { degree, ef_construction, builder, flat_below };
    let built = said("codes", Ann::decode(&space, codes, &[]))?.rebuilt(&space, &params, &|| false);
    Ok(built.ok_or("a build that nobody stops ends early")?.encode_graph().to_vec())
}

fn rows(
    files: &Dir,
    segment: SegmentId,
    collection: [u8; 16],
    keyring: &Keyring,
    scope: Scope,
    found: &mut Autopsy,
) -> Result<(), String> {
    let rows = said("rows", RowsFile::open(files, segment, &keyring.table_key(), scope))?;
    for position in 0..rows.len() {
        let names = said("row", rows.row(position))?;
        let (vector, body) = (said("row", rows.vector_blob(position))?, said("row", rows.body_blob(position))?);
        found.sealed(vector);
        found.sealed(body);
        let Some(dek) = keyring.dek_by_id(names.key) else {
            if keyring.is_destroyed(names.key) {
                continue;
            }
            return Err(format!("a row of segment {segment} has a key that is neither live nor destroyed"));
        };
        let context = |field| RowContext { scope, collection, row: names.row.0, field };
        let opened =
            |field, blob| open_row(dek, &context(field), blob).map_err(|_| format!("a row of {segment} is damaged"));
        found.plain.extend_from_slice(&opened(RowField::Vector, vector)?);
        let body = said("body", decode_body(&opened(RowField::Body, body)?))?;
        found.id(body.id);
        found.plain.extend_from_slice(body.entity.as_ref().map_or("", |entity| entity.as_str()).as_bytes());
        found.plain.extend_from_slice(body.payload.as_deref().unwrap_or_default());
    }
    Ok(())
}

/// Every frame of the audit log and its mark.
fn trail(dir: &Dir, keyring: &Keyring, scope: Scope, found: &mut Autopsy) -> Result<(), String> {
    let (files, key) = (dir.sub("audit"), keyring.audit_key());
    for name in said("audit", files.list())? {
        let bytes = said(&name, files.read(&name))?;
        let mut open = |kind, file, place, sealed: &[u8]| {
            let context = SectionContext { scope, kind, file, place };
            let plain = open_section(&key, &context, sealed).map_err(|_| format!("audit/{name} is damaged"))?;
            found.plain.extend_from_slice(&plain);
            found.sealed(sealed);
            Ok::<_, String>(())
        };
        let numbers: Vec<u64> = name.split(['-', '.']).filter_map(|part| part.parse().ok()).collect();
        match *numbers {
            [size] if name.starts_with("mark-") => {
                open(SectionKind::AuditWatermark, size, 0, &bytes)?;
            }
            [block, generation] => {
                let number = (block << 27) | generation;
                for (place, at) in (0..).zip(said(&name, read_frames(&bytes, LogKind::Audit, number))?.payloads) {
                    open(SectionKind::AuditFrame, number, place, bytes.get(at).unwrap_or_default())?;
                }
            }
            _ => found.strays.push(format!("audit/{name}")),
        }
    }
    Ok(())
}

fn jobs(dir: &Dir, keyring: &Keyring, scope: Scope, found: &mut Autopsy) -> Result<(), String> {
    let jobs = dir.sub("jobs");
    for name in said("jobs", jobs.list())? {
        let key = name.strip_suffix(".job").and_then(|number| number.parse().ok());
        let key = key.and_then(|number: u64| Some((number, keyring.job_key(number)?)));
        if let Some((number, key)) = key {
            let context = SectionContext { scope, kind: SectionKind::Job, file: number, place: 0 };
            let sealed = said(&name, jobs.read(&name))?;
            found
                .plain
                .extend_from_slice(&open_section(&key, &context, &sealed).map_err(|_| format!("{name} is damaged"))?);
        }
        let progress: Option<Vec<u64>> =
            name.strip_suffix(".progress").and_then(|parts| parts.split('.').map(|part| part.parse().ok()).collect());
        if let Some([number, _]) = progress.as_deref() {
            let context = SectionContext { scope, kind: SectionKind::Job, file: *number, place: 1 };
            let sealed = said(&name, jobs.read(&name))?;
            let plain = open_section(&keyring.audit_key(), &context, &sealed);
            found.plain.extend_from_slice(&plain.map_err(|_| format!("{name} is damaged"))?);
            found.sealed(&sealed);
        }
        // A job waits for the graphs that it left to be rebuilt, and for nothing else.
        if progress.is_none() || !found.indexes.iter().any(|index| index.waits) {
            found.strays.push(format!("jobs/{name}"));
        }
    }
    let receipts = dir.sub("receipts");
    for name in said("receipts", receipts.list())? {
        let parts: Option<Vec<u64>> =
            name.strip_suffix(".receipt").and_then(|parts| parts.split('.').map(|part| part.parse().ok()).collect());
        let Some([file, place]) = parts.as_deref() else {
            found.strays.push(format!("receipts/{name}"));
            continue;
        };
        let context = SectionContext { scope, kind: SectionKind::Receipt, file: *file, place: *place };
        let sealed = said(&name, receipts.read(&name))?;
        let plain = open_section(&keyring.audit_key(), &context, &sealed);
        found.plain.extend_from_slice(&plain.map_err(|_| format!("{name} is damaged"))?);
        found.sealed(&sealed);
    }
    Ok(())
}
