//! What a hostile operator who holds every key can write: any plaintext, sealed as the engine would seal it, in a file
//! that is otherwise in order.

#![allow(clippy::unwrap_used, reason = "the files that are forged were in order before")]

use std::sync::Arc;

use hkdf::Hkdf;
use privacy::{
    RowContext, RowField, SectionContext, SectionKey, SectionKind, open_row, open_section, seal_row, seal_section,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256, Sha512};
use storage::backend::{Dir, Memory};
use storage::frame_log::{FrameWriter, Header, LogKind, read_frames};
use storage::segment::layout::{FileWriter, Footer, HEADER_LEN, Kind as FileKind};
use storage::segment::{IndexFile, RowsFile, RowsWriter, write_index};

use crate::furnished::{ENVIRONMENT, Furnished, Tree};
use crate::reading::{Reader, decimal, dir, find, hexadecimal};
use crate::world::ROOT_KEY;

/// The plaintexts that can be forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described where it is decoded")]
pub enum Target {
    Manifest,
    LogEntry,
    RowTable,
    Vector,
    Body,
    Codes,
    Graph,
    Ids,
    Entities,
    Fields,
    Directory,
    Tombstones,
    RootPage,
    Bucket,
    NewKeys,
    Job,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 16] = [
        Self::Manifest,
        Self::LogEntry,
        Self::RowTable,
        Self::Vector,
        Self::Body,
        Self::Codes,
        Self::Graph,
        Self::Ids,
        Self::Entities,
        Self::Fields,
        Self::Directory,
        Self::Tombstones,
        Self::RootPage,
        Self::Bucket,
        Self::NewKeys,
        Self::Job,
    ];

    /// The code of the section that a target is, if it is one of an index file.
    #[must_use]
    pub fn section(self) -> Option<u8> {
        let codes = [(Self::Codes, 1), (Self::Graph, 2), (Self::Ids, 3), (Self::Entities, 4), (Self::Fields, 5)];
        codes.into_iter().find_map(|(target, code)| (target == self).then_some(code))
    }

    /// Where its file is, in part.
    fn place(self) -> &'static str {
        match self {
            Self::Manifest => "MANIFEST-",
            Self::LogEntry => "wal/",
            Self::RowTable | Self::Vector | Self::Body => ".rec",
            Self::Codes | Self::Graph | Self::Ids | Self::Entities | Self::Fields | Self::Directory => ".idx",
            Self::Tombstones => ".del",
            Self::RootPage => "keyring/root-",
            Self::Bucket => "keyring/buckets-",
            Self::NewKeys => "keyring/new-",
            Self::Job => ".job",
        }
    }
}

/// A store whose keys are known.
pub struct Forge {
    /// Its files.
    pub files: Tree,
    pub(crate) reader: Reader,
    root: Vec<u8>,
    kek: SectionKey,
}

impl Forge {
    /// The store of `seed`, in the middle of an erasure.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Furnished::new(seed, true).files)
    }

    /// A furnished store.
    #[must_use]
    pub fn of(files: Tree) -> Self {
        let reader = Reader::new(&files);
        let (path, page) = find(&files, "keyring/root-");
        let epoch = decimal(path);
        let anchor = &files[&format!("anchors/{ENVIRONMENT}/{epoch:020}")][8..40];
        let info: [&[u8]; 3] = [b"lethedb kek v1\0", &reader.scope.environment, &epoch.to_be_bytes()];
        let mut kek = [0; 32];
        Hkdf::<Sha512>::new(Some(anchor), &ROOT_KEY).expand_multi_info(&info, &mut kek).unwrap();
        let kek = SectionKey::from_bytes(kek);
        let context = SectionContext { scope: reader.scope, kind: SectionKind::RootPage, file: epoch, place: 0 };
        let root = open_section(&kek, &context, &page[36..]).unwrap().to_vec();
        Self { files, reader, root, kek }
    }

    /// The path of the file that holds `target`.
    #[must_use]
    pub fn path(&self, target: Target) -> &str {
        let prefix = format!("env/{ENVIRONMENT}/");
        let place = target.place();
        // An ending is not any part: receipts end otherwise than rows.
        let is_there = |path: &str| if place.starts_with('.') { path.ends_with(place) } else { path.contains(place) };
        self.files.keys().find(|path| path.starts_with(&prefix) && is_there(path)).unwrap()
    }

    /// How many rows the segment has whose file holds `target`.
    #[must_use]
    pub fn row_count(&self, target: Target) -> u32 {
        u32::try_from(self.reader.segment(self.path(target)).1.rows).unwrap()
    }

    /// The real plaintexts of `target`.
    #[must_use]
    pub fn corpus(&self, target: Target) -> Vec<Vec<u8>> {
        let path = self.path(target);
        let bytes = &self.files[path];
        let open = |key: &SectionKey, context: SectionContext, sealed: &[u8]| {
            open_section(key, &context, sealed).unwrap().to_vec()
        };
        let table_key = self.reader.keyring.table_key();
        match target {
            Target::Manifest => vec![open(&table_key, self.context(target, 0), &bytes[22..])],
            Target::LogEntry => {
                let key = self.reader.keyring.log_key(hexadecimal(path)).unwrap();
                let frames = read_frames(bytes, LogKind::Wal, hexadecimal(path)).unwrap().payloads;
                (0..).zip(frames).map(|(frame, at)| open(&key, self.context(target, frame), &bytes[at])).collect()
            }
            Target::RowTable => {
                vec![open(&table_key, self.context(target, 0), Footer::read("", bytes).unwrap().1)]
            }
            Target::Vector => (0..6).map(|position| self.blob(position, RowField::Vector)).collect(),
            Target::Body => (0..6).map(|position| self.blob(position, RowField::Body)).collect(),
            Target::Directory => {
                vec![open(&self.index_key(), self.context(target, 256), Footer::read("", bytes).unwrap().1)]
            }
            Target::Tombstones => vec![open(&table_key, self.context(target, self.version()), &bytes[HEADER_LEN..])],
            Target::RootPage => vec![self.root.clone()],
            Target::Bucket => vec![self.with_page_key(&self.context(target, 0), bytes).1],
            Target::NewKeys => {
                let frames = read_frames(bytes, LogKind::NewKeys, decimal(path)).unwrap().payloads;
                (0..)
                    .zip(frames)
                    .map(|(frame, at)| self.with_page_key(&self.context(target, frame), &bytes[at]).1)
                    .collect()
            }
            Target::Job => {
                let key = self.reader.keyring.job_key(decimal(path)).unwrap();
                vec![open(&key, self.context(target, 0), bytes)]
            }
            Target::Codes | Target::Graph | Target::Ids | Target::Entities | Target::Fields => self.sections(target),
        }
    }

    /// The files that hold `plain` as `target`.
    #[must_use]
    pub fn forge(&self, target: Target, plain: &[u8]) -> Tree {
        let path = self.path(target).to_owned();
        let before = &self.files[&path];
        let rng = &mut StdRng::seed_from_u64(0);
        let mut seal = |key: &SectionKey, place| seal_section(key, &self.context(target, place), plain, rng);
        let table_key = self.reader.keyring.table_key();
        let bytes = match target {
            Target::Manifest => [&before[..22], &seal(&table_key, 0)].concat(),
            Target::LogEntry => {
                let number = hexadecimal(&path);
                let key = self.reader.keyring.log_key(number).unwrap();
                log(Header { kind: LogKind::Wal, number, base: 0 }, &[&seal(&key, 0)])
            }
            Target::RowTable => {
                let footer = Footer::read("", before).unwrap().0;
                let blobs = &before[HEADER_LEN..footer.offset as usize];
                file(&path, FileKind::Rows, blobs, &seal(&table_key, 0), footer.count)
            }
            Target::Vector => self.rows(RowField::Vector, plain),
            Target::Body => self.rows(RowField::Body, plain),
            Target::Directory => {
                let sections = &before[HEADER_LEN..Footer::read("", before).unwrap().0.offset as usize];
                file(&path, FileKind::Index, sections, &seal(&self.index_key(), 256), plain.len() as u64 / 17)
            }
            Target::Tombstones => [&before[..HEADER_LEN], &seal(&table_key, self.version())].concat(),
            Target::RootPage => self.root_page(plain),
            Target::Bucket => return self.bucket(&path, plain),
            Target::NewKeys => {
                let frames = read_frames(before, LogKind::NewKeys, decimal(&path)).unwrap().payloads;
                let (key, _) = self.with_page_key(&self.context(target, 0), &before[frames[0].clone()]);
                log(Header { kind: LogKind::NewKeys, number: decimal(&path), base: 0 }, &[&seal(&key, 0)])
            }
            Target::Job => seal(&self.reader.keyring.job_key(decimal(&path)).unwrap(), 0),
            Target::Codes | Target::Graph | Target::Ids | Target::Entities | Target::Fields => {
                self.index(target, plain)
            }
        };
        Tree::from([(path, bytes)])
    }

    fn context(&self, target: Target, place: u64) -> SectionContext {
        let path = self.path(target);
        let (kind, file) = match target {
            Target::Manifest => (SectionKind::Manifest, decimal(path)),
            Target::LogEntry => (SectionKind::WalFrame, hexadecimal(path)),
            Target::RowTable | Target::Vector | Target::Body => (SectionKind::RowTable, hexadecimal(path)),
            Target::Tombstones => (SectionKind::Tombstones, hexadecimal(path)),
            Target::RootPage => (SectionKind::RootPage, decimal(path)),
            Target::Bucket => (SectionKind::BucketPage, decimal(path)),
            Target::NewKeys => (SectionKind::NewKeys, decimal(path)),
            Target::Job => (SectionKind::Job, decimal(path)),
            _ => (SectionKind::Index, hexadecimal(path)),
        };
        SectionContext { scope: self.reader.scope, kind, file, place }
    }

    fn version(&self) -> u64 {
        self.reader.segment(self.path(Target::Tombstones)).1.tombstones.unwrap()
    }

    fn index_key(&self) -> Arc<SectionKey> {
        self.reader.keyring.index_key(hexadecimal(self.path(Target::Codes))).unwrap()
    }

    /// The sections of this code in every index file.
    fn sections(&self, target: Target) -> Vec<Vec<u8>> {
        let of_environment =
            |path: &&String| path.starts_with(&format!("env/{ENVIRONMENT}/")) && path.ends_with(".idx");
        let all = self.files.keys().filter(of_environment).map(|path| self.section(path, target.section().unwrap()));
        all.collect()
    }

    pub(crate) fn section(&self, path: &str, code: u8) -> Vec<u8> {
        let (_, segment) = self.reader.segment(path);
        let key = self.reader.keyring.index_key(segment.id.0).unwrap();
        let file = IndexFile::open(&dir(path, &self.files[path]), segment.id, key, self.reader.scope).unwrap();
        file.section(code).unwrap().unwrap().to_vec()
    }

    fn index(&self, target: Target, plain: &[u8]) -> Vec<u8> {
        let path = self.path(target);
        let mut sections: Vec<(u8, Vec<u8>)> = (1..=5).map(|code| (code, self.section(path, code))).collect();
        sections
            .iter_mut()
            .filter(|(code, _)| target.section() == Some(*code))
            .for_each(|(_, bytes)| *bytes = plain.to_vec());
        let sections: Vec<(u8, &[u8])> = sections.iter().map(|(code, bytes)| (*code, bytes.as_slice())).collect();
        let (at, rng) = (Dir::root(Arc::new(Memory::new())), &mut StdRng::seed_from_u64(0));
        let segment = self.reader.segment(path).1.id;
        write_index(&at, segment, &sections, &self.index_key(), self.reader.scope, rng).unwrap();
        only_file(&at)
    }

    fn rows_file(&self) -> RowsFile {
        let path = self.path(Target::RowTable);
        let segment = self.reader.segment(path).1.id;
        RowsFile::open(&dir(path, &self.files[path]), segment, &self.reader.keyring.table_key(), self.reader.scope)
            .unwrap()
    }

    fn row_context(&self, row: [u8; 16], field: RowField) -> RowContext {
        let collection = self.reader.segment(self.path(Target::RowTable)).0.id.0;
        RowContext { scope: self.reader.scope, collection, row, field }
    }

    fn blob(&self, position: u32, field: RowField) -> Vec<u8> {
        let rows = self.rows_file();
        let (names, row) = (rows.row(position).unwrap(), rows.sealed_row(position).unwrap());
        let blob = if field == RowField::Vector { row.vector } else { row.body };
        let dek = self.reader.keyring.dek_by_id(names.key).unwrap();
        open_row(dek, &self.row_context(names.row.0, field), &blob).unwrap().to_vec()
    }

    /// The rows file whose first row has `plain` for a vector or body.
    fn rows(&self, field: RowField, plain: &[u8]) -> Vec<u8> {
        let (rows, rng) = (self.rows_file(), &mut StdRng::seed_from_u64(0));
        let at = Dir::root(Arc::new(Memory::new()));
        let mut writer = RowsWriter::create(&at, self.reader.segment(self.path(Target::RowTable)).1.id).unwrap();
        for position in 0..rows.len() {
            let mut row = rows.sealed_row(position).unwrap();
            if position == 0 {
                let dek = self.reader.keyring.dek_by_id(row.key).unwrap();
                let blob = seal_row(dek, &self.row_context(row.row.0, field), plain, rng).into();
                *(if field == RowField::Vector { &mut row.vector } else { &mut row.body }) = blob;
            }
            writer.push(&row).unwrap();
        }
        writer.finish(&self.reader.keyring.table_key(), self.reader.scope, rng).unwrap();
        only_file(&at)
    }

    /// The key in the root page that opens a section, and what it seals. Keys are the byte strings of 32 bytes.
    fn with_page_key(&self, context: &SectionContext, sealed: &[u8]) -> (SectionKey, Vec<u8>) {
        let strings = self.root.windows(34).filter(|window| window.starts_with(&[0x58, 0x20]));
        let mut keys = strings.map(|window| SectionKey::from_bytes(window[2..].try_into().unwrap()));
        keys.find_map(|key| open_section(&key, context, sealed).ok().map(|plain| (key, plain.to_vec()))).unwrap()
    }

    fn root_page(&self, plain: &[u8]) -> Vec<u8> {
        let mut page = find(&self.files, "keyring/root-").1[..36].to_vec();
        page.extend(seal_section(&self.kek, &self.context(Target::RootPage, 0), plain, &mut StdRng::seed_from_u64(0)));
        let checksum = Sha256::new().chain_update(&page[..28]).chain_update(&page[36..]).finalize();
        page[28..36].copy_from_slice(&checksum[..8]);
        page
    }

    /// A bucket file of one page, and the root page that gives its new length, which is the last number before the pair
    /// that is the stamp.
    fn bucket(&self, path: &str, plain: &[u8]) -> Tree {
        let (context, before) = (self.context(Target::Bucket, 0), &self.files[path]);
        let (key, _) = self.with_page_key(&context, before);
        let page = seal_section(&key, &context, plain, &mut StdRng::seed_from_u64(0));
        let number = |bytes: &[u8]| minicbor::to_vec(bytes.len() as u64).unwrap();
        let (old, pair) = (number(before), [0x82]);
        let length_and_stamp = [&old[..], &pair].concat();
        let at = self.root.windows(length_and_stamp.len()).rposition(|part| part == length_and_stamp).unwrap();
        let root = [&self.root[..at], &number(&page), &self.root[at + old.len()..]].concat();
        Tree::from([(path.to_owned(), page), (find(&self.files, "keyring/root-").0.to_owned(), self.root_page(&root))])
    }
}

/// A log of these frames.
pub(crate) fn log(header: Header, frames: &[&[u8]]) -> Vec<u8> {
    let at = Dir::root(Arc::new(Memory::new()));
    let mut writer = FrameWriter::create(&at, "log", &header).unwrap();
    frames.iter().for_each(|frame| _ = writer.append(frame).unwrap());
    only_file(&at)
}

/// A file of a segment with these parts.
fn file(path: &str, kind: FileKind, body: &[u8], part: &[u8], count: u64) -> Vec<u8> {
    let at = Dir::root(Arc::new(Memory::new()));
    let segment = storage::id::SegmentId(hexadecimal(path));
    let mut writer = FileWriter::create(&at, "file", kind, segment).unwrap();
    writer.append(body).unwrap();
    writer.finish(part, count).unwrap();
    only_file(&at)
}

fn only_file(at: &Dir) -> Vec<u8> {
    at.read(&at.list().unwrap()[0]).unwrap()
}
