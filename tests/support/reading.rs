//! How each kind of file is read: by the decoders that the engine itself uses, under the right keys, into plain bytes
//! that can be compared. Nothing is judged here.

#![allow(clippy::unwrap_used, reason = "the files that are not damaged open, or the test fails")]

use std::sync::Arc;

use engine::EntityId;
use index::{Ann, Metric, Space};
use privacy::{
    Anchor, AnchorStore, Grade, Keyring, RootKey, RowContext, RowField, Scope, SectionContext, SectionKind, Tag,
    erasure, open_row, open_section, parse_root_key,
};
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Memory};
use storage::frame_log::{LogKind, read_frames};
use storage::id::SegmentId;
use storage::manifest::{CollectionEntry, Manifest, SegmentEntry, read_newest};
use storage::record::{Record, decode_body, decode_vector};
use storage::segment::{EntityMap, FieldMap, IdMap, IndexFile, RowsFile, read_tombstones};
use storage::wal::{Entry, replay};

use crate::furnished::{COLLECTIONS, ENTITIES, ENVIRONMENT, Tree};
use crate::world::ROOT_KEY;

/// The kinds of files in a store, and the file of its root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is described where it is read")]
pub enum Kind {
    Identity,
    Manifest,
    Log,
    Rows,
    Index,
    Tombstones,
    RootPage,
    Buckets,
    NewKeys,
    Anchor,
    Job,
    Progress,
    Events,
    Mark,
    Receipt,
    RootKeyFile,
}

/// What a reader finds in a file, part by part; a part that does not open alone is `None`. Rows are parts, and so are
/// the entries of a log; other files have one.
pub type Parts = Vec<Option<Vec<u8>>>;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Identity,
        Self::Manifest,
        Self::Log,
        Self::Rows,
        Self::Index,
        Self::Tombstones,
        Self::RootPage,
        Self::Buckets,
        Self::NewKeys,
        Self::Anchor,
        Self::Job,
        Self::Progress,
        Self::Events,
        Self::Mark,
        Self::Receipt,
        Self::RootKeyFile,
    ];

    /// The kind of the file at `path`, if it is one of the damaged environment or of the whole store.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.strip_prefix(&format!("env/{ENVIRONMENT}/")).unwrap_or(path);
        [
            (name == "lethedb.json", Self::Identity),
            (name.starts_with("MANIFEST-"), Self::Manifest),
            (name.starts_with("wal/"), Self::Log),
            (name.ends_with(".rec"), Self::Rows),
            (name.ends_with(".idx"), Self::Index),
            (name.ends_with(".del"), Self::Tombstones),
            (name.starts_with("keyring/root-"), Self::RootPage),
            (name.starts_with("keyring/buckets-"), Self::Buckets),
            (name.starts_with("keyring/new-"), Self::NewKeys),
            (name.starts_with(&format!("anchors/{ENVIRONMENT}/0")), Self::Anchor),
            (name.starts_with("jobs/") && name.ends_with(".job"), Self::Job),
            (name.starts_with("jobs/") && name.ends_with(".progress"), Self::Progress),
            (name.starts_with("audit/events-"), Self::Events),
            (name.starts_with("audit/mark-"), Self::Mark),
            (name.starts_with("receipts/") && name.ends_with(".receipt"), Self::Receipt),
            (name == ROOT_KEY_FILE, Self::RootKeyFile),
        ]
        .into_iter()
        .find_map(|(is, kind)| (is && !name.starts_with("env/") && !name.ends_with('/')).then_some(kind))
    }

    /// Whether a crash may leave the end of such a file torn.
    #[must_use]
    pub fn is_log(self) -> bool {
        matches!(self, Self::Log | Self::NewKeys | Self::Events)
    }
}

/// Name under which the file of the root key stands among the others.
pub const ROOT_KEY_FILE: &str = "root.key";

/// The root key as its file holds it.
#[must_use]
pub fn root_key_text() -> Vec<u8> {
    let text = privacy::format_root_key(&RootKey::from_bytes(ROOT_KEY));
    [text.as_bytes(), b"\n"].concat()
}

/// Reads single files of one environment, the others taken as they were.
pub struct Reader {
    /// The files of the keyring and its anchors.
    pub(crate) keys: Tree,
    pub(crate) scope: Scope,
    pub(crate) keyring: Keyring,
    pub(crate) manifest: Manifest,
}

impl Reader {
    /// A reader of the files of `tree`, which are in order.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let identity: serde_json::Value = serde_json::from_slice(&tree["lethedb.json"]).unwrap();
        let store: uuid::Uuid = identity["store"].as_str().unwrap().parse().unwrap();
        let scope = Scope::new(store.into_bytes(), ENVIRONMENT);
        let keyring = keyring(scope, tree, usize::MAX).unwrap();
        let (path, bytes) = find(tree, "MANIFEST-");
        let manifest = read_newest(&dir(path, bytes), &keyring.table_key(), scope).unwrap().unwrap();
        let of_keys = |path: &str| path.contains("/keyring/") || path.starts_with("anchors/");
        let keys = tree.iter().filter(|(path, _)| of_keys(path)).map(|(path, bytes)| (path.clone(), bytes.clone()));
        Self { keys: keys.collect(), scope, keyring, manifest }
    }

    /// Reads `bytes` as the file at `path`.
    ///
    /// # Errors
    /// The reader's own, as text.
    pub fn read(&self, path: &str, bytes: &[u8]) -> Result<Parts, String> {
        let whole = |value| vec![Some(value)];
        let at = dir(path, bytes);
        match Kind::of(path).unwrap() {
            Kind::Identity => Err("only the whole store reads its identity".into()),
            Kind::Manifest => {
                let manifest = read_newest(&at, &self.keyring.table_key(), self.scope).map_err(text)?;
                Ok(whole(format!("{manifest:?}").into_bytes()))
            }
            Kind::Log => self.log(path, &at),
            Kind::Rows => self.rows(path, &at),
            Kind::Index => self.index(path, &at).map(whole),
            Kind::Tombstones => self.tombstones(path, &at).map(whole),
            Kind::RootPage | Kind::Buckets => self.with(path, bytes, usize::MAX).map(whole),
            Kind::NewKeys => {
                let frames = frames(path, bytes)?.len();
                (1..=frames).map(|count| self.with(path, bytes, count).map(Some)).collect()
            }
            Kind::Anchor => {
                // Anchors of two environments look alike; the root page tells them apart.
                AnchorDir::new(at, Grade::SameVolume).get(decimal(path)).map_err(text)?;
                self.with(path, bytes, usize::MAX).map(whole)
            }
            Kind::Job => {
                let key = self.keyring.job_key(decimal(path)).unwrap();
                let context =
                    SectionContext { scope: self.scope, kind: SectionKind::Job, file: decimal(path), place: 0 };
                Ok(whole(open_section(&key, &context, bytes).map_err(text)?.to_vec()))
            }
            Kind::Events => self.events(path, bytes),
            Kind::Progress => {
                let job = erasure::Job::open(&self.keyring.audit_key(), self.scope, decimal(path), bytes);
                Ok(whole(format!("{:?}", job.map_err(text)?).into_bytes()))
            }
            Kind::Mark | Kind::Receipt => Ok(whole(self.told(path, bytes)?)),
            Kind::RootKeyFile => {
                // The file has no checksum: the fingerprint in the root page is what tells a wrong key.
                let key = parse_root_key(str::from_utf8(bytes).map_err(text)?).map_err(text)?;
                let header = Keyring::inspect(find(&self.keys, "keyring/root-").1).unwrap();
                if key.fingerprint() == header.root_key { Ok(whole(vec![1])) } else { Err("another root key".into()) }
            }
        }
    }

    fn log(&self, path: &str, at: &Dir) -> Result<Parts, String> {
        let number = hexadecimal(path);
        let key = self.keyring.log_key(number).unwrap();
        let log = replay(at, number, &key, self.scope).map_err(text)?;
        Ok(log.entries.iter().map(|(sequence, entry)| Some(entry_bytes(*sequence, entry))).collect())
    }

    /// The frames of a block of the audit log, each of one or more events.
    fn events(&self, path: &str, bytes: &[u8]) -> Result<Parts, String> {
        let (scope, numbers) = (self.scope, decimals(path));
        let file = (numbers[0] << 27) | numbers[1];
        let frames = read_frames(bytes, LogKind::Audit, file).map_err(text)?.payloads;
        let open = |(place, at): (u64, std::ops::Range<usize>)| {
            let context = SectionContext { scope, kind: SectionKind::AuditFrame, file, place };
            let plain = open_section(&self.keyring.audit_key(), &context, &bytes[at]);
            plain.map(|plain| Some(plain.to_vec())).map_err(text)
        };
        (0..).zip(frames).map(open).collect()
    }

    /// A mark or a receipt.
    fn told(&self, path: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let numbers = decimals(path);
        let (kind, place) = match numbers.get(1) {
            None => (SectionKind::AuditWatermark, 0),
            Some(version) => (SectionKind::Receipt, *version),
        };
        let context = SectionContext { scope: self.scope, kind, file: numbers[0], place };
        Ok(open_section(&self.keyring.audit_key(), &context, bytes).map_err(text)?.to_vec())
    }

    fn rows(&self, path: &str, at: &Dir) -> Result<Parts, String> {
        let (collection, segment) = self.segment(path);
        let file = RowsFile::open(at, segment.id, &self.keyring.table_key(), self.scope).map_err(text)?;
        if u64::from(file.len()) != segment.rows {
            return Err("another number of rows".into());
        }
        Ok((0..file.len()).map(|position| self.row(&file, position, collection)).collect())
    }

    fn row(&self, file: &RowsFile, position: u32, collection: &CollectionEntry) -> Option<Vec<u8>> {
        let names = file.row(position).ok()?;
        let dek = self.keyring.dek_by_id(names.key)?;
        let context = |field| RowContext { scope: self.scope, collection: collection.id.0, row: names.row.0, field };
        let vector = open_row(dek, &context(RowField::Vector), file.vector_blob(position).ok()?).ok()?;
        let body = open_row(dek, &context(RowField::Body), file.body_blob(position).ok()?).ok()?;
        Some(record_bytes(&decode_body(&body).ok()?.with_vector(decode_vector(&vector).ok()?)))
    }

    fn index(&self, path: &str, at: &Dir) -> Result<Vec<u8>, String> {
        let (collection, segment) = self.segment(path);
        let key = self.keyring.index_key(segment.id.0).unwrap();
        let file = IndexFile::open(at, segment.id, key, self.scope).map_err(text)?;
        let section = |code| file.section(code).map_err(text)?.ok_or_else(|| "a section is missing".to_owned());
        let space = self.space(collection);
        let ann = Ann::decode(&space, &section(1)?, &section(2)?).map_err(text)?;
        let ids = IdMap::decode(&section(3)?).map_err(text)?;
        let entities = EntityMap::decode(&section(4)?).map_err(text)?;
        let rows = u32::try_from(segment.rows).unwrap();
        let fields = FieldMap::decode(&section(5)?, rows).map_err(text)?;
        let maps = [&ids.encode()[..], &entities.encode(), &fields.encode()].concat();
        Ok([&ann.encode_codes()[..], &ann.encode_graph(), &maps].concat())
    }

    pub(crate) fn space(&self, collection: &CollectionEntry) -> Space {
        let metric = COLLECTIONS.iter().find(|(name, ..)| *name == collection.name).map_or(Metric::L2, |it| it.2);
        Space::new(metric, collection.dimension as usize, self.keyring.rotation_seed(collection.id.0).expose())
    }

    fn tombstones(&self, path: &str, at: &Dir) -> Result<Vec<u8>, String> {
        let (_, segment) = self.segment(path);
        let version = segment.tombstones.unwrap();
        let dead = read_tombstones(at, segment.id, version, segment.rows, &self.keyring.table_key(), self.scope);
        Ok(dead.map_err(text)?.iter().flat_map(u32::to_le_bytes).collect())
    }

    pub(crate) fn segment(&self, path: &str) -> (&CollectionEntry, &SegmentEntry) {
        let id = SegmentId(hexadecimal(path));
        self.manifest.segments().find(|(_, segment)| segment.id == id).unwrap()
    }

    /// Everything that the keyring answers where one of its files is exchanged and `frames` of its log count.
    fn with(&self, path: &str, bytes: &[u8], frames: usize) -> Result<Vec<u8>, String> {
        let mut files = self.keys.clone();
        files.insert(path.to_owned(), bytes.to_vec());
        Ok(self.answers(&keyring(self.scope, &files, frames)?))
    }

    fn answers(&self, keyring: &Keyring) -> Vec<u8> {
        let mut out = format!(
            "{} {} {:?} {} {}",
            keyring.epoch_number(),
            keyring.next_frame(),
            keyring.bucket_files(),
            keyring.entity_count(),
            keyring.destroyed_count()
        )
        .into_bytes();
        out.extend([*keyring.table_key().expose(), *keyring.rotation_seed([0; 16]).expose()].concat());
        out.extend(keyring.order_key().expose());
        let people = (0..ENTITIES).map(|n| keyring.tag(&EntityId::new(format!("person-{n}")).unwrap()));
        for owner in people.chain([Tag::COLLECTION]) {
            out.extend(owner.as_bytes());
            out.extend(keyring.blind(&owner).iter().flat_map(|blind| *blind.expose()));
            for collection in &self.manifest.collections {
                out.extend(
                    keyring
                        .dek(&owner, collection.id.0, None)
                        .iter()
                        .flat_map(|(id, dek)| [&id.0[..], dek.expose()].concat()),
                );
            }
        }
        for number in 0..self.manifest.next_segment + 4 {
            let keys = [keyring.log_key(number), keyring.index_key(number), keyring.job_key(number)];
            out.extend(keys.iter().flat_map(|key| key.as_ref().map_or([0; 32], |key| *key.expose())));
        }
        out
    }
}

/// Opens the keyring in `files` as the engine does, but with at most `count` frames of its log.
pub(crate) fn keyring(scope: Scope, files: &Tree, count: usize) -> Result<Keyring, String> {
    let (path, page) = find(files, "keyring/root-");
    let root_key = RootKey::from_bytes(ROOT_KEY);
    let header = Keyring::inspect(page).map_err(text)?;
    let anchor = &files[&format!("anchors/{ENVIRONMENT}/{:020}", decimal(path))];
    let anchor = Anchor::from_bytes(anchor[8..40].try_into().unwrap());
    let buckets = |generation: u64| {
        let file = files.get(&format!("env/{ENVIRONMENT}/keyring/buckets-{generation:020}"));
        file.cloned().ok_or("a bucket file is missing")
    };
    let mut keyring = Keyring::open(scope, &root_key, &anchor, page, buckets).map_err(text)?;
    let log = format!("env/{ENVIRONMENT}/keyring/new-{:020}.log", header.epoch);
    if let Some(bytes) = files.get(&log) {
        for (number, frame) in (0..).zip(frames(&log, bytes)?).take(count) {
            keyring.replay(number, &bytes[frame]).map_err(text)?;
        }
    }
    Ok(keyring)
}

fn frames(path: &str, bytes: &[u8]) -> Result<Vec<std::ops::Range<usize>>, String> {
    Ok(read_frames(bytes, LogKind::NewKeys, decimal(path)).map_err(text)?.payloads)
}

/// A directory that holds one file.
pub(crate) fn dir(path: &str, bytes: &[u8]) -> Dir {
    let name = path.rsplit('/').next().unwrap_or(path);
    let dir = Dir::root(Arc::new(Memory::new()));
    dir.create(name).and_then(|mut file| file.append(bytes)).unwrap();
    dir
}

pub(crate) fn find<'a>(tree: &'a Tree, what: &str) -> (&'a str, &'a [u8]) {
    let prefix = format!("env/{ENVIRONMENT}/{what}");
    let (path, bytes) = tree.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)).last().unwrap();
    (path, bytes)
}

/// The number in a name such as `root-00000000000000000007`.
pub(crate) fn decimal(path: &str) -> u64 {
    let digits = |c: char| !c.is_ascii_digit();
    path.rsplit('/').next().unwrap().split(digits).find_map(|part| part.parse().ok()).unwrap()
}

/// Every number in the name of a file, in order.
fn decimals(path: &str) -> Vec<u64> {
    let name = path.rsplit('/').next().unwrap();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// The first number in a name such as `000000000000002a-0000000000000003.del`.
pub(crate) fn hexadecimal(path: &str) -> u64 {
    let name = path.rsplit('/').next().unwrap();
    u64::from_str_radix(&name[..16], 16).unwrap()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn entry_bytes(sequence: u64, entry: &Entry) -> Vec<u8> {
    let mut out = format!("{sequence} {:?} ", entry.collection()).into_bytes();
    match entry {
        Entry::Put { records, .. } => records.iter().for_each(|record| out.extend(record_bytes(record))),
        Entry::Delete { ids, .. } => out.extend(format!("{ids:?}").bytes()),
    }
    out
}

fn record_bytes(record: &Record) -> Vec<u8> {
    let entity = record.entity.as_ref().map(EntityId::as_str);
    let payload = record.payload.as_deref().map(String::from_utf8_lossy);
    let vector: Vec<u32> = record.vector.iter().map(|number| number.to_bits()).collect();
    format!("{} {} {entity:?} {vector:?} {payload:?};", record.id, record.sequence).into_bytes()
}
