//! The places outside the data directory that hold keys: anchor stores and mirrors of the keyrings. Each belongs to one
//! database, whose mark it bears, and to one process at a time.
//!
//! Invariant: a place that bears the mark of another database is refused, because settling into it would destroy that
//! one's anchors; and whether it is off the volume of the data is asked of the system, never taken on trust.

use std::path::PathBuf;
use std::sync::Arc;

use privacy::Grade;
use serde::{Deserialize, Serialize};
use storage::backend::{Dir, Disk, Latch, Latched, LockError, StorageBackend};
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::identity;

const LOCK: &str = "LOCK";
const MARK: &str = "lethedb-home.json";
const FORMAT: u32 = 1;

/// Where a home is, before it is opened.
pub(crate) enum Where {
    Path(PathBuf),
    Backend(Arc<dyn StorageBackend>),
}

type Lock = Box<dyn Send + Sync>;

/// Every home of a database, opened.
pub(crate) struct Homes {
    pub anchors: Vec<(Dir, KeyHome)>,
    pub mirrors: Vec<(Dir, KeyHome)>,
    pub told: KeyHomes,
    pub locks: Vec<Lock>,
}

/// A place outside the data directory that holds anchors or mirrors keyrings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyHome {
    /// Its directory; empty for one behind a backend of its own.
    pub path: PathBuf,
    /// Whether it is certain to lie on another volume than the data. Copies and losses of that volume do not reach it.
    pub off_volume: bool,
    /// Its own name, by which it is missed if it is not there.
    pub name: Uuid,
}

/// Where a database keeps what its data cannot be read without, beside the root key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyHomes {
    /// The anchor stores; if there is none, anchors lie in the data directory.
    pub anchors: Vec<KeyHome>,
    /// The mirrors of the keyrings.
    pub mirrors: Vec<KeyHome>,
}

impl KeyHomes {
    /// Whether the loss of the data volume leaves an anchor store.
    pub fn has_anchors_off_volume(&self) -> bool {
        self.anchors.iter().any(|home| home.off_volume)
    }

    /// Whether the loss of the data volume leaves a mirror of every keyring.
    pub fn has_mirror_off_volume(&self) -> bool {
        self.mirrors.iter().any(|home| home.off_volume)
    }

    /// How far the destruction of an anchor reaches: as far as in the store where it reaches least.
    pub fn grade(&self) -> Grade {
        let all_off = !self.anchors.is_empty() && self.anchors.iter().all(|home| home.off_volume);
        if all_off { Grade::OtherVolume } else { Grade::SameVolume }
    }
}

impl KeyHome {
    pub(crate) fn grade(&self) -> Grade {
        if self.off_volume { Grade::OtherVolume } else { Grade::SameVolume }
    }
}

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
    database: Uuid,
    name: Uuid,
}

/// Whose homes are opened.
pub(crate) struct Owner<'a> {
    /// The name of the database.
    pub store: Uuid,
    /// The volume of its data.
    pub volume: Option<u64>,
    pub latch: &'a Latch,
    pub entropy: &'a dyn Entropy,
}

impl Homes {
    /// Opens them; nobody else may have any of them open.
    pub fn open(anchors: &[Where], mirrors: &[Where], owner: &Owner<'_>) -> Result<Self> {
        let mut locks = Vec::new();
        let mut all = |places: &[Where]| -> Result<Vec<(Dir, KeyHome)>> {
            let mut opened = Vec::new();
            for place in places {
                let (dir, home, lock) = open(place, owner)?;
                locks.push(lock);
                opened.push((dir, home));
            }
            Ok(opened)
        };
        let (anchors, mirrors) = (all(anchors)?, all(mirrors)?);
        let homes = |opened: &[(Dir, KeyHome)]| opened.iter().map(|(_, home)| home.clone()).collect();
        let told = KeyHomes { anchors: homes(&anchors), mirrors: homes(&mirrors) };
        Ok(Self { anchors, mirrors, told, locks })
    }
}

/// Opens a home; marks it if it bears no mark yet.
fn open(place: &Where, owner: &Owner<'_>) -> Result<(Dir, KeyHome, Lock)> {
    let path = match place {
        Where::Path(path) => path.clone(),
        Where::Backend(_) => PathBuf::new(),
    };
    let doing = || format!("the directory {} cannot keep keys", path.display());
    let backend: Arc<dyn StorageBackend> = match place {
        Where::Path(path) => Arc::new(Disk::open(path).map_err(|e| Error::io(doing(), e))?),
        Where::Backend(backend) => Arc::clone(backend),
    };
    let off_volume = matches!((owner.volume, backend.volume()), (Some(data), Some(other)) if data != other);
    let dir = Dir::root(Arc::new(Latched::new(backend, owner.latch.clone())));
    let lock = dir.lock(LOCK).map_err(|error| match error {
        LockError::Held { .. } => Error::with(ErrorKind::Busy, doing(), error),
        LockError::Io(e) => Error::io(doing(), e),
    })?;
    let name = check_mark(&dir, owner).map_err(|error| error.within(&doing()))?;
    Ok((dir, KeyHome { path, off_volume, name }, lock))
}

/// The name of a home of this owner, which is given one if it has none.
fn check_mark(dir: &Dir, owner: &Owner<'_>) -> Result<Uuid> {
    let bytes = match dir.read(MARK) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let name = identity::draw(owner.entropy)?;
            let mark = serde_json::to_vec(&Mark { format: FORMAT, database: owner.store, name })
                .map_err(|e| Error::with(ErrorKind::Io, "its mark cannot be written", e))?;
            return dir.write_new(MARK, &mark).map(|()| name).map_err(|e| Error::io("its mark cannot be written", e));
        }
        Err(e) => return Err(Error::io("its mark cannot be read", e)),
    };
    let mark: Mark = serde_json::from_slice(&bytes)
        .map_err(|e| Error::with(ErrorKind::Corrupt, format!("its mark {MARK} is damaged"), e))?;
    if mark.format != FORMAT {
        return Err(Error::new(ErrorKind::Unsupported, format!("its mark {MARK} has format {}", mark.format)));
    }
    if mark.database != owner.store {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("it holds keys of another database ({}); give each database a directory of its own", mark.database),
        ));
    }
    Ok(mark.name)
}
