//! The second sink: files outside the data directory that hold the audit log once more, line by line.
//!
//! Invariant: a process writes files of its own and goes on with nobody's, whose end a crash may have torn: it begins one
//! where the last whole line of the newest file ends. So no event is left out and none told twice, but for one case: after
//! a sync that failed, lines of which nobody knows whether they are on the disk are written once more into a new file.
//! Files are named by the place of their first event. What a failed write leaves is for [`feed`](super::feed) to say.

use std::sync::Arc;

use privacy::audit::{Head, Log};
use privacy::{Scope, VerifyingKey};
use storage::backend::{Dir, Disk, LogFile};
use storage::sync::Mutex;

use crate::audit_event::hex;
use crate::audit_line::{self, Line};
use crate::error::{Error, Result};
use crate::home::Where;

/// Where audit logs are told a second time, and what happens while that cannot be done.
pub struct AuditSink {
    place: Where,
    is_required: bool,
    lag_ms: u64,
    file_bytes: u64,
}

impl AuditSink {
    /// Files in a directory of this directory for each environment: best on another volume, which other people look after.
    pub fn directory(path: impl Into<std::path::PathBuf>) -> Self {
        Self::at(Where::Path(path.into()))
    }

    /// The same, behind a backend.
    pub fn backend(backend: Arc<dyn storage::backend::StorageBackend>) -> Self {
        Self::at(Where::Backend(backend))
    }

    fn at(place: Where) -> Self {
        Self { place, is_required: false, lag_ms: 0, file_bytes: 64 << 20 }
    }

    /// Whether acts are refused while the sink takes no events (`false` unless said otherwise: then it catches up once it
    /// does). An act whose event is in the log when the sink is first found gone is done; the next one is refused.
    #[must_use]
    pub fn required(mut self, is_required: bool) -> Self {
        self.is_required = is_required;
        self
    }

    /// How long an event may wait for the sink, in milliseconds; 0, the default, has it synced there before its act takes
    /// effect, which costs every act a second sync. Upkeep, which wakes every five seconds, adds that much.
    #[must_use]
    pub fn lag_ms(mut self, lag_ms: u64) -> Self {
        self.lag_ms = lag_ms;
        self
    }

    /// Bytes after which a file is ended at its next checkpoint and another begun; 64 MiB unless said otherwise.
    #[must_use]
    pub fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }
}

/// The same for every environment of a database.
#[derive(Clone)]
pub(crate) struct SinkPlace(Arc<AuditSink>);

impl SinkPlace {
    pub fn new(sink: AuditSink) -> Self {
        Self(Arc::new(sink))
    }

    /// The sink of the environment `name`.
    pub fn of(&self, name: &str) -> Sink {
        Sink { settings: self.clone(), name: name.to_owned(), file: Mutex::default() }
    }
}

/// The sink of one environment.
pub(crate) struct Sink {
    settings: SinkPlace,
    name: String,
    pub(super) file: Mutex<Standing>,
}

/// How far the sink is.
#[derive(Default)]
pub(super) struct Standing {
    /// The log as the sink has it; none until somebody looked.
    pub log: Option<Log>,
    /// The size of the newest checkpoint in it.
    pub signed: u64,
    /// The file of this process.
    writer: Option<Box<dyn LogFile>>,
    /// Since when an event waits for it, in milliseconds since the Unix epoch.
    pub waiting_since: Option<u64>,
    /// What was wrong the last time, and when to try again.
    pub fault: Option<(String, u64)>,
}

/// What the newest files say of how far the sink is.
pub(super) struct Found {
    /// The place of the next event.
    pub next: u64,
    /// The last event, if there is one.
    pub last: Option<Vec<u8>>,
    /// Whether a checkpoint follows on it.
    pub is_signed: bool,
}

impl Sink {
    /// Whether acts are refused while it takes no events.
    pub fn is_required(&self) -> bool {
        self.settings.0.is_required
    }

    /// How long an event may wait for it.
    pub fn lag_ms(&self) -> u64 {
        self.settings.0.lag_ms
    }

    /// Its directory, of this log alone: other databases and lost logs have others.
    fn dir(&self, scope: Scope, lost: u64) -> Result<Dir> {
        let root = match &self.settings.0.place {
            Where::Path(path) => Dir::root(Arc::new(
                Disk::open(path).map_err(|e| Error::io("the directory of the second audit sink cannot be used", e))?,
            )),
            Where::Backend(backend) => Dir::root(Arc::clone(backend)),
        };
        let log = if lost == 0 { String::new() } else { format!("-{lost}") };
        let database = hex(scope.database.get(..4).unwrap_or_default());
        Ok(root.sub(&format!("{}-{database}{log}", self.name)))
    }

    /// How far it is, by its files.
    ///
    /// # Errors
    /// Those of reading them.
    pub(super) fn look(&self, scope: Scope, lost: u64) -> Result<Found> {
        let doing = "the second audit sink cannot be read";
        let dir = self.dir(scope, lost)?;
        let mut names = dir.list().map_err(|e| Error::io(doing, e))?;
        names.retain(|name| numbers(name).is_some());
        for name in names.iter().rev() {
            let bytes = dir.read(name).map_err(|e| Error::io(doing, e))?;
            if let Some(found) = found_in(&bytes) {
                return Ok(found);
            }
        }
        Ok(Found { next: 0, last: None, is_signed: false })
    }

    /// Appends lines and syncs them, to a new file if this process has none: then `log` is what stands before it.
    ///
    /// # Errors
    /// Those of the disk, after which the file is given up.
    pub(super) fn append(
        &self,
        standing: &mut Standing,
        (scope, origin, key): (Scope, &privacy::audit::Origin, &VerifyingKey),
        log: &Log,
        lines: &str,
    ) -> Result<()> {
        let doing = "the second audit sink takes no event";
        let mut writer = match standing.writer.take() {
            Some(writer) => writer,
            None => {
                let dir = self.dir(scope, origin.lost())?;
                dir.make().map_err(|e| Error::io(doing, e))?;
                let mut writer = create(&dir, log.size()).map_err(|e| Error::io(doing, e))?;
                let head = audit_line::head(origin, key, log);
                writer.append(head.as_bytes()).map_err(|e| Error::io(doing, e))?;
                dir.sync_dir().map_err(|e| Error::io(doing, e))?;
                writer
            }
        };
        writer.append(lines.as_bytes()).map_err(|e| Error::io(doing, e))?;
        writer.sync().map_err(|e| Error::io(doing, e))?;
        standing.writer = Some(writer);
        Ok(())
    }

    /// Ends the file after a checkpoint if it is long enough.
    pub(super) fn rotate(&self, standing: &mut Standing) {
        if standing.writer.as_ref().is_some_and(|file| file.len() >= self.settings.0.file_bytes) {
            standing.writer = None;
        }
    }
}

/// What the last whole lines of a file say; none if it has not even a head.
fn found_in(bytes: &[u8]) -> Option<Found> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').and_then(|end| bytes.get(..end))?;
    let mut is_signed = false;
    for line in whole.rsplit(|byte| *byte == b'\n') {
        let Some(line) = str::from_utf8(line).ok().and_then(Line::read) else { continue };
        match line {
            Line::Checkpoint(_) => is_signed = true,
            Line::Event(event) => {
                let next = Head::decode(&event).ok()?.sequence.checked_add(1)?;
                return Some(Found { next, last: Some(event), is_signed });
            }
            Line::Head(head) => return Some(Found { next: head.first, last: None, is_signed: false }),
        }
    }
    None
}

fn create(dir: &Dir, first: u64) -> std::io::Result<Box<dyn LogFile>> {
    let mut generation = 0;
    loop {
        match dir.create(&name(first, generation)) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => generation += 1,
            created => return created,
        }
    }
}

fn name(first: u64, generation: u64) -> String {
    format!("audit-{first:020}-{generation:04}.jsonl")
}

fn numbers(file: &str) -> Option<(u64, u64)> {
    let (first, generation) = file.strip_prefix("audit-")?.strip_suffix(".jsonl")?.split_once('-')?;
    let numbers = (first.parse().ok()?, generation.parse().ok()?);
    (name(numbers.0, numbers.1) == file).then_some(numbers)
}
