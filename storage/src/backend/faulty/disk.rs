//! The backend over a simulated medium: it numbers operations, makes the planned ones fail, and can keep the medium of
//! every moment, to be crashed afterwards. Invariant: the same calls on the same medium with the same faults give the
//! same answers.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::fault::{Fault, FaultKind, Operation, OperationKind};
use super::medium::{FileId, Medium};
use crate::backend::contract::{LockError, LogFile, StorageBackend, check_dir, check_path, parent};
use crate::backend::map::Region;
use crate::sync::Mutex;

/// A simulated disk. Clones share it.
#[derive(Clone, Default)]
pub struct Faulty {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    medium: Medium,
    /// Every operation so far, where they are kept.
    trace: Option<Vec<Operation>>,
    operations: u64,
    fault: Option<Fault>,
    struck: u64,
    capacity: Option<u64>,
    /// The medium after each change, with the number of operations until then.
    history: Option<Vec<(u64, Medium)>>,
    locked: HashSet<String>,
}

impl Faulty {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that starts as `medium`.
    pub fn on(medium: Medium) -> Self {
        Self { state: Arc::new(Mutex::new(State { medium, ..State::default() })) }
    }

    /// Keeps every operation and the medium of every moment from now on.
    #[must_use]
    pub fn recording(self) -> Self {
        {
            let mut state = self.state.lock();
            state.trace = Some(Vec::new());
            state.history = Some(vec![(state.operations, state.medium.clone())]);
        }
        self
    }

    /// Plans a failure, in place of an earlier plan; `None` makes the disk sound again.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }

    /// Gives the disk room for this many bytes; `None` for endless room.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// How many operations were asked for.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// How many operations failed by plan.
    pub fn struck(&self) -> u64 {
        self.state.lock().struck
    }

    /// Makes a directory and its parents as [`StorageBackend::create_dir`] does, but leaves their names in doubt.
    ///
    /// # Errors
    /// As there.
    pub fn create_dir_unsynced(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        let levels = dir.match_indices('/').map(|(end, _)| &dir[..end]).chain([dir]);
        for level in levels.filter(|level| !level.is_empty()) {
            self.make_dir(level)?;
        }
        Ok(())
    }

    fn make_dir(&self, level: &str) -> io::Result<()> {
        self.whole(OperationKind::MakeDir, level, |state| match state.medium.make_dir(level) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => state.medium.live.check_is_dir(level),
            other => other,
        })
    }

    /// The state of the disk now.
    pub fn medium(&self) -> Medium {
        self.state.lock().medium.clone()
    }

    /// The operations since [`recording`](Self::recording); none without it.
    pub fn trace(&self) -> Vec<Operation> {
        self.state.lock().trace.clone().unwrap_or_default()
    }

    /// The medium before the first and after each change since [`recording`](Self::recording), each with the number of
    /// operations until then.
    pub fn history(&self) -> Vec<(u64, Medium)> {
        self.state.lock().history.clone().unwrap_or_default()
    }

    /// One operation: counts it, lets it fail or does it.
    fn run<T>(
        &self,
        kind: OperationKind,
        path: &str,
        work: impl FnOnce(&mut State, Option<FaultKind>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        let number = state.operations;
        state.operations += 1;
        if let Some(trace) = &mut state.trace {
            trace.push(Operation { kind, path: path.to_owned() });
        }
        let fault = state.fault.filter(|fault| fault.strikes(number, kind)).map(|fault| fault.kind);
        state.struck += u64::from(fault.is_some());
        let done = work(&mut state, fault);
        let after = state.operations;
        if kind.changes() && state.history.is_some() {
            let medium = state.medium.clone();
            if let Some(history) = &mut state.history {
                history.push((after, medium));
            }
        }
        done
    }

    /// An operation that fails without having done anything.
    fn whole<T>(
        &self,
        kind: OperationKind,
        path: &str,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.run(kind, path, |state, fault| match fault {
            Some(fault) => Err(fault.error()),
            None => work(state),
        })
    }

    fn sync_file(&self, path: &str, id: FileId) -> io::Result<()> {
        self.run(OperationKind::Sync, path, |state, fault| match fault {
            Some(fault) => {
                state.medium.fail_sync(id);
                Err(fault.error())
            }
            None => {
                state.medium.sync(id);
                Ok(())
            }
        })
    }
}

impl State {
    fn has_room_for(&self, bytes: u64) -> bool {
        self.capacity.is_none_or(|capacity| self.medium.bytes().saturating_add(bytes) <= capacity)
    }
}

impl StorageBackend for Faulty {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        check_path(path)?;
        let id = self.whole(OperationKind::Create, path, |state| state.medium.create(path))?;
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), id }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        check_path(path)?;
        self.whole(OperationKind::Create, path, |state| {
            state.medium.live.check_is_free(path)?;
            if !state.has_room_for(bytes) {
                return Err(FaultKind::Full.error());
            }
            let id = state.medium.create(path)?;
            state.medium.set_aside(id, bytes);
            Ok(())
        })
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        check_path(path)?;
        self.whole(OperationKind::Read, path, |state| state.medium.read(path))
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        Ok(Region::Owned(Arc::from(self.read(path)?)))
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        check_path(path)?;
        self.whole(OperationKind::Read, path, |state| Ok(state.medium.contents(path)?.live.len() as u64))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        check_dir(dir)?;
        self.whole(OperationKind::List, dir, |state| match state.medium.live.check_is_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(state.medium.live.list(dir)),
        })
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        let levels = dir.match_indices('/').map(|(end, _)| &dir[..end]).chain([dir]);
        for level in levels.filter(|level| !level.is_empty()) {
            self.make_dir(level)?;
            self.sync_dir(parent(level)).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_path(from)?;
        check_path(to)?;
        self.run(OperationKind::Rename, to, |state, fault| match fault {
            Some(FaultKind::Full) => Err(FaultKind::Full.error()),
            Some(fault) => {
                // The contract leaves open whether it happened: it did at every other place.
                if state.operations.is_multiple_of(2) {
                    state.medium.rename(from, to)?;
                }
                Err(fault.error())
            }
            None => state.medium.rename(from, to),
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        self.whole(OperationKind::Remove, path, |state| state.medium.remove(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        check_path(dir)?;
        self.whole(OperationKind::Remove, dir, |state| state.medium.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        self.run(OperationKind::SyncDir, dir, |state, fault| {
            state.medium.live.check_is_dir(dir)?;
            match fault {
                Some(fault) => {
                    state.medium.fail_sync_dir(dir);
                    Err(fault.error())
                }
                None => {
                    state.medium.sync_dir(dir);
                    Ok(())
                }
            }
        })
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        check_path(path)?;
        let taken = self.whole(OperationKind::Lock, path, |state| {
            match state.medium.create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            Ok(state.locked.insert(path.to_owned()))
        })?;
        if taken {
            Ok(Box::new(FaultyLock { disk: self.clone(), path: path.to_owned() }))
        } else {
            Err(LockError::Held { pid: Some(std::process::id()) })
        }
    }

    /// Four operations, each of them a place to crash or to fail.
    fn wipe(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let id = self.whole(OperationKind::Overwrite, path, |state| {
            let id = *state.medium.live.file(path)?;
            let zeros = vec![0; state.medium.len(id)];
            state.medium.write(id, 0, &zeros);
            Ok(id)
        })?;
        self.sync_file(path, id)?;
        self.remove(path)?;
        self.sync_dir(parent(path))
    }
}

struct FaultyFile {
    disk: Faulty,
    path: String,
    id: FileId,
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.run(OperationKind::Append, &self.path, |state, fault| {
            let at = state.medium.len(self.id);
            match fault {
                Some(fault) => {
                    let half = bytes.get(..bytes.len() / 2).filter(|_| fault == FaultKind::Short);
                    state.medium.write(self.id, at, half.unwrap_or_default());
                    Err(fault.error())
                }
                None if !state.has_room_for(bytes.len() as u64) => Err(FaultKind::Full.error()),
                None => {
                    state.medium.write(self.id, at, bytes);
                    Ok(())
                }
            }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync_file(&self.path, self.id)
    }

    fn len(&self) -> u64 {
        self.disk.state.lock().medium.len(self.id) as u64
    }
}

struct FaultyLock {
    disk: Faulty,
    path: String,
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.state.lock().locked.remove(&self.path);
    }
}
