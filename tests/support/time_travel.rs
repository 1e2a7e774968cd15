//! The time-travelling adversary: holds the root key, every byte that was ever in any file, and some anchors.
//!
//! It opens every keyring page that these open, replays every log of keys, and with all keys from all of them opens
//! whatever opens of every version of every file, row blobs with every data key it has and not only with the one that a
//! table names. Invariant: whether a person can be found depends on the anchors alone; with a destroyed one added to the
//! live ones this very code finds them, or it would prove nothing by finding nobody. The adversary may also guess a name: it
//! then has the tag, by the live keyring, and tries whatever it has as the blind that makes the pseudonym of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use privacy::{
    Anchor, AnchorStore, Dek, EntityId, Grade, Keyring, RootKey, RowContext, RowField, Scope, SectionContext,
    SectionKey, SectionKind, Tag, open_row, open_section,
};
use storage::anchor_dir::AnchorDir;
use storage::backend::faulty::Medium;
use storage::backend::{Dir, Faulty, Memory};
use storage::backup::{Contents, digest_of};
use storage::frame_log::{LogKind, read_frames};
use storage::id::SegmentId;
use storage::manifest::Manifest;
use storage::record::decode_body;
use storage::segment::layout::rows_name;
use storage::segment::{FieldMap, IdMap, IndexFile, RowsFile};
use storage::wal::{Entry, salvage, wal_number};

use crate::known::{Known, Person};
use crate::told::{pseudonyms, told};
use crate::workload::ENVIRONMENT;
use crate::world::ROOT_KEY;

/// Where the files of backups are among the others.
const BACKUPS: &str = "backup/";
/// What stands before the sealed part of a manifest and of a backup's list.
const NUMBERED_HEADER: usize = 22;

/// Every version of every file of one environment, and every anchor that there ever was.
pub struct Archive {
    scope: Scope,
    /// By path inside the environment.
    versions: BTreeMap<String, BTreeSet<Vec<u8>>>,
    anchors: BTreeMap<u64, BTreeSet<[u8; 32]>>,
    /// The epochs whose anchors are there at the end.
    live: BTreeSet<u64>,
    /// Names that the adversary thinks of.
    guesses: Vec<EntityId>,
}

impl Archive {
    /// Collects the files of `histories`, disks that recorded, in the order of time. The adversary thinks of these names.
    ///
    /// # Errors
    /// Says what the store lacks.
    pub fn of(histories: &[&Faulty], guesses: &[&str]) -> Result<Self, String> {
        let last = histories.last().ok_or("no history")?.medium();
        let identity = last.read("lethedb.json").map_err(|error| error.to_string())?;
        let identity: serde_json::Value = serde_json::from_slice(&identity).map_err(|error| error.to_string())?;
        let store = identity["store"].as_str().and_then(|store| uuid::Uuid::parse_str(store).ok());
        let scope = Scope::new(store.ok_or("lethedb.json names no store")?.into_bytes(), ENVIRONMENT);
        let (versions, anchors) = (BTreeMap::new(), BTreeMap::new());
        let guesses = guesses.iter().filter_map(|name| EntityId::new(*name).ok()).collect();
        let mut archive = Self { scope, versions, anchors, live: BTreeSet::new(), guesses };
        histories.iter().for_each(|disk| archive.add_all(disk, ""));
        archive.live = anchors_of(&last).into_keys().collect();
        Ok(archive)
    }

    /// Adds what an archive of backups ever held, another disk that recorded.
    #[must_use]
    pub fn with_backups(mut self, archive: &Faulty) -> Self {
        self.add_all(archive, BACKUPS);
        self
    }

    fn add_all(&mut self, disk: &Faulty, below: &str) {
        for (_, medium) in disk.history() {
            self.add(&medium, below);
        }
        self.add(&disk.medium(), below);
    }

    fn add(&mut self, medium: &Medium, below: &str) {
        let inside = format!("env/{ENVIRONMENT}/");
        for path in medium.paths() {
            if let (Some(name), Ok(bytes)) = (path.strip_prefix(&inside), medium.read(path)) {
                let versions = self.versions.entry(format!("{below}{name}")).or_default();
                if !versions.contains(&bytes) {
                    versions.insert(bytes);
                }
            }
        }
        for (epoch, anchor) in anchors_of(medium) {
            self.anchors.entry(epoch).or_default().insert(anchor);
        }
    }

    /// What the live anchors and the root key open.
    #[must_use]
    pub fn known(&self) -> Known {
        let live = self.anchors.iter().filter(|(epoch, _)| self.live.contains(epoch));
        self.with(&live.flat_map(|(_, anchors)| anchors.iter().copied()).collect::<Vec<_>>())
    }

    /// What the live anchors and the destroyed ones open together.
    #[must_use]
    pub fn known_to_a_thief_of_anchors(&self) -> Known {
        self.with(&self.anchors.values().flatten().copied().collect::<Vec<_>>())
    }

    /// What `entity` ever had, by all anchors that there ever were.
    #[must_use]
    pub fn person(&self, entity: &str) -> Person {
        let mut person = Person::default();
        let Ok(entity) = EntityId::new(entity) else { return person };
        let anchors: Vec<[u8; 32]> = self.anchors.values().flatten().copied().collect();
        let keyrings = self.keyrings(&anchors);
        let Some(first) = keyrings.first() else { return person };
        let collections = self.manifests(&first.table_key(), &mut Known::default());
        let tag = first.tag(&entity);
        for keyring in &keyrings {
            person.blinds.extend(keyring.blind(&tag).map(|blind| *blind.expose()));
            let ids = collections.iter().flat_map(|collection| keyring.keys_of(*collection));
            let ids = ids.filter(|(owner, ..)| *owner == tag);
            person.keys.extend(ids.filter_map(|(_, id, _)| keyring.dek_by_id(id)).map(|dek| *dek.expose()));
        }
        person.pseudonyms = self.pseudonyms(&tag, &person.blinds);
        person.tag = Some(tag);
        person
    }

    /// What the audit log would call the person with this tag, if any of these were the blind.
    #[must_use]
    pub fn pseudonyms<'a>(&self, tag: &Tag, blinds: impl IntoIterator<Item = &'a [u8; 32]>) -> BTreeSet<[u8; 32]> {
        pseudonyms(tag, self.scope, blinds)
    }

    fn files<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Vec<u8>)> {
        let named = self.versions.iter().filter_map(move |(path, all)| Some((path.strip_prefix(prefix)?, all)));
        named.flat_map(|(name, all)| all.iter().map(move |bytes| (name, bytes)))
    }

    /// Every keyring that opens, as it was after each frame of its log.
    fn keyrings(&self, anchors: &[[u8; 32]]) -> Vec<Keyring> {
        let root_key = RootKey::from_bytes(ROOT_KEY);
        let most = self.versions.iter().filter(|(path, _)| path.starts_with("keyring/buckets-"));
        let most = most.map(|(_, versions)| versions.len()).max().unwrap_or(1);
        let mut opened = Vec::new();
        let pages = self.files("keyring/root-").chain(self.files("keyring/pending-"));
        let pages: BTreeSet<&Vec<u8>> = pages.map(|(_, page)| page).collect();
        for page in pages {
            for anchor in anchors {
                // A file of buckets is written again under its name by the attempt after one that failed.
                for version in 0..most {
                    let buckets = |generation: u64| {
                        let all = self.versions.get(&format!("keyring/buckets-{generation:020}")).ok_or(())?;
                        all.iter().nth(version.min(all.len() - 1)).cloned().ok_or(())
                    };
                    let anchor = Anchor::from_bytes(*anchor);
                    if let Ok(keyring) = Keyring::open(self.scope, &root_key, &anchor, page, buckets) {
                        opened.extend(self.with_frames(keyring));
                    }
                }
            }
        }
        opened
    }

    fn with_frames(&self, keyring: Keyring) -> Vec<Keyring> {
        let epoch = keyring.epoch_number();
        let mut all = vec![keyring.clone()];
        for (_, bytes) in self.files(&format!("keyring/new-{epoch:020}.log")) {
            let Ok(frames) = read_frames(bytes, LogKind::NewKeys, epoch) else { continue };
            let mut keyring = keyring.clone();
            for (number, range) in (0..).zip(frames.payloads) {
                if keyring.replay(number, bytes.get(range).unwrap_or_default()).is_err() {
                    break;
                }
            }
            all.push(keyring);
        }
        all
    }

    fn with(&self, anchors: &[[u8; 32]]) -> Known {
        let keyrings = self.keyrings(anchors);
        let mut known = Known { keyrings: keyrings.len(), ..Known::default() };
        let Some(first) = keyrings.first() else { return known };
        let table_key = first.table_key();
        let collections = self.manifests(&table_key, &mut known);
        let segments = || self.files("seg/").filter_map(|(name, bytes)| Some((segment_of(name)?, name, bytes)));
        let mut deks: BTreeMap<[u8; 32], Arc<Dek>> = BTreeMap::new();
        let rows_of = |(segment, bytes): (SegmentId, &Vec<u8>)| rows_of(segment, bytes, &table_key, self.scope);
        let mut rows: Vec<RowsFile> = segments()
            .filter(|(segment, name, _)| *name == rows_name(*segment))
            .filter_map(|(segment, _, bytes)| rows_of((segment, bytes)))
            .collect();
        rows.extend(self.backed_up(&table_key, &mut known).into_iter().filter_map(rows_of));
        for rows in &rows {
            for key in (0..rows.len()).filter_map(|at| Some(rows.row(at).ok()?.key)) {
                let found = keyrings.iter().filter_map(|keyring| keyring.dek_by_id(key));
                deks.extend(found.map(|dek| (*dek.expose(), Arc::clone(dek))));
            }
        }
        known.keys.extend(deks.keys());
        let deks: Vec<Arc<Dek>> = deks.into_values().collect();
        rows.iter().for_each(|rows| self.rows(rows, &deks, &collections, &mut known));
        for (segment, name, bytes) in segments().filter(|(_, name, _)| name.ends_with(".idx")) {
            for key in distinct(keyrings.iter().filter_map(|keyring| keyring.index_key(segment.0)), &mut known) {
                index(segment, name, bytes, key, self.scope, &mut known);
            }
        }
        for (name, bytes) in self.files("wal/") {
            let Some(number) = wal_number(name) else { continue };
            for key in distinct(keyrings.iter().filter_map(|keyring| keyring.log_key(number)), &mut known) {
                self.frames(bytes, &key, (SectionKind::WalFrame, LogKind::Wal, number), &mut known);
                let salvaged = alone(name, bytes).and_then(|dir| salvage(&dir, number, &key, self.scope).ok());
                for (_, entry) in salvaged.into_iter().flat_map(|salvaged| salvaged.entries) {
                    match entry {
                        Entry::Put { records, .. } => records.iter().for_each(|record| known.id(record.id)),
                        Entry::Delete { ids, .. } => ids.iter().for_each(|id| known.id(*id)),
                    }
                }
            }
        }
        self.jobs(&keyrings, &mut known);
        self.people(&keyrings, &mut known);
        known
    }

    /// Reads what was written down about people, and looks up whoever it can think of.
    fn people(&self, keyrings: &[Keyring], known: &mut Known) {
        for key in distinct(keyrings.iter().map(Keyring::audit_key), known) {
            known.told.extend(self.files("").flat_map(|(path, bytes)| told(path, bytes, &key, self.scope)));
        }
        known.plain.extend(known.told.iter().cloned());
        for (keyring, name) in keyrings.iter().flat_map(|keyring| self.guesses.iter().map(move |name| (keyring, name)))
        {
            known.blinds.extend(keyring.blind(&keyring.tag(name)).map(|blind| *blind.expose()));
        }
    }

    /// The files of rows of every backup that there ever was; what their lists say is known.
    fn backed_up(&self, table_key: &SectionKey, known: &mut Known) -> Vec<(SegmentId, &Vec<u8>)> {
        let objects: BTreeMap<_, _> = self.files(BACKUPS).map(|(_, bytes)| (digest_of(bytes), bytes)).collect();
        let mut found = Vec::new();
        for (name, bytes) in self.files(BACKUPS) {
            let Some(file) = name.strip_suffix(".backup").and_then(|number| number.parse().ok()) else { continue };
            let context = SectionContext { scope: self.scope, kind: SectionKind::Backup, file, place: 0 };
            let sealed = bytes.get(NUMBERED_HEADER..).unwrap_or_default();
            let Ok(plain) = open_section(table_key, &context, sealed) else { continue };
            if let Ok(contents) = minicbor::decode::<Contents>(&plain) {
                let rows = contents.segments().map(|(_, segment)| (segment.id, segment.digest));
                found.extend(rows.filter_map(|(id, digest)| Some((id, *objects.get(&digest)?))));
            }
            known.plain.push(plain.to_vec());
        }
        found
    }

    /// Opens every blob with every data key, as of every collection.
    fn rows(&self, rows: &RowsFile, deks: &[Arc<Dek>], collections: &BTreeSet<[u8; 16]>, known: &mut Known) {
        for position in 0..rows.len() {
            let Ok(row) = rows.row(position) else { continue };
            for (dek, collection) in deks.iter().flat_map(|dek| collections.iter().map(move |id| (dek, *id))) {
                let context = |field| RowContext { scope: self.scope, collection, row: row.row.0, field };
                let blobs =
                    [(RowField::Vector, rows.vector_blob(position)), (RowField::Body, rows.body_blob(position))];
                for (field, blob) in blobs {
                    let Some(plain) = blob.ok().and_then(|blob| open_row(dek, &context(field), blob).ok()) else {
                        continue;
                    };
                    if let (RowField::Body, Ok(body)) = (field, decode_body(&plain)) {
                        known.id(body.id);
                        known.plain.extend(body.entity.as_ref().map(|entity| entity.as_str().into()));
                        known.plain.extend(body.payload.clone());
                    }
                    known.plain.push(plain.to_vec());
                }
            }
        }
    }

    fn frames(
        &self,
        bytes: &[u8],
        key: &SectionKey,
        (kind, log, file): (SectionKind, LogKind, u64),
        known: &mut Known,
    ) {
        let Ok(frames) = read_frames(bytes, log, file) else { return };
        for (place, range) in (0..).zip(frames.payloads) {
            let context = SectionContext { scope: self.scope, kind, file, place };
            if let Ok(plain) = open_section(key, &context, bytes.get(range).unwrap_or_default()) {
                known.plain.push(plain.to_vec());
            }
        }
    }

    fn jobs(&self, keyrings: &[Keyring], known: &mut Known) {
        for (name, bytes) in self.files("jobs/") {
            let Some(number) = name.strip_suffix(".job").and_then(|number| number.parse().ok()) else { continue };
            for key in distinct(keyrings.iter().filter_map(|keyring| keyring.job_key(number)), known) {
                let context = SectionContext { scope: self.scope, kind: SectionKind::Job, file: number, place: 0 };
                known.plain.extend(open_section(&key, &context, bytes).ok().map(|plain| plain.to_vec()));
            }
        }
    }

    /// Opens every manifest and journal; returns the ids of all collections that there ever were.
    fn manifests(&self, table_key: &SectionKey, known: &mut Known) -> BTreeSet<[u8; 16]> {
        let mut collections = BTreeSet::new();
        for (name, bytes) in self.files("MANIFEST-") {
            let Ok(file) = name.parse() else { continue };
            let context = SectionContext { scope: self.scope, kind: SectionKind::Manifest, file, place: 0 };
            let sealed = bytes.get(NUMBERED_HEADER..).unwrap_or_default();
            let Ok(plain) = open_section(table_key, &context, sealed) else { continue };
            if let Ok(manifest) = minicbor::decode::<Manifest>(&plain) {
                collections.extend(manifest.collections.iter().map(|collection| collection.id.0));
            }
            known.plain.push(plain.to_vec());
        }
        let journals =
            [("consent-", SectionKind::Consent, LogKind::Consent), ("holds-", SectionKind::Holds, LogKind::Holds)];
        for (prefix, kind, log) in journals {
            for (name, bytes) in self.files(prefix) {
                let Some(file) = name.strip_suffix(".log").and_then(|number| number.parse().ok()) else { continue };
                self.frames(bytes, table_key, (kind, log, file), known);
            }
        }
        collections
    }
}

/// Each of these keys once; all of them are known from then on.
fn distinct(keys: impl Iterator<Item = Arc<SectionKey>>, known: &mut Known) -> Vec<Arc<SectionKey>> {
    let distinct: BTreeMap<[u8; 32], Arc<SectionKey>> = keys.map(|key| (*key.expose(), key)).collect();
    known.keys.extend(distinct.keys());
    distinct.into_values().collect()
}

fn anchors_of(medium: &Medium) -> BTreeMap<u64, [u8; 32]> {
    let root = Dir::root(Arc::new(Faulty::on(medium.clone())));
    let store = AnchorDir::new(root.sub("anchors").sub(ENVIRONMENT), Grade::SameVolume);
    let epochs = store.list().unwrap_or_default().into_iter();
    epochs.filter_map(|epoch| Some((epoch, *store.get(epoch).ok()??.expose()))).collect()
}

fn segment_of(name: &str) -> Option<SegmentId> {
    let digits = name.get(..16)?;
    u64::from_str_radix(digits, 16).ok().map(SegmentId)
}

/// A directory that holds this one file.
fn alone(name: &str, bytes: &[u8]) -> Option<Dir> {
    let dir = Dir::root(Arc::new(Memory::new()));
    dir.write_new(name, bytes).ok()?;
    Some(dir)
}

fn rows_of(segment: SegmentId, bytes: &[u8], key: &SectionKey, scope: Scope) -> Option<RowsFile> {
    RowsFile::open(&alone(&rows_name(segment), bytes)?, segment, key, scope).ok()
}

fn index(segment: SegmentId, name: &str, bytes: &[u8], key: Arc<SectionKey>, scope: Scope, known: &mut Known) {
    let Some(dir) = alone(name, bytes) else { return };
    let Ok(file) = IndexFile::open(&dir, segment, key, scope) else { return };
    for code in file.codes().collect::<Vec<u8>>() {
        let Ok(Some(plain)) = file.section(code) else { continue };
        if let (3, Ok(ids)) = (code, IdMap::decode(&plain)) {
            ids.iter_sorted(None).for_each(|(id, _)| known.id(id));
        }
        if let (5, Ok(fields)) = (code, FieldMap::decode(&plain, u32::MAX)) {
            let columns = fields.fields().iter().flat_map(|field| &field.columns);
            for (_, column) in columns {
                known.plain.extend((0..column.len()).filter_map(|at| Some(column.text(at)?.as_bytes().to_vec())));
            }
        }
        known.plain.push(plain.to_vec());
    }
}
