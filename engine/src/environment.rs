//! The handle of an environment, the isolated tenant: its collections, its erasures, its upkeep.

use std::path::Path;
use std::sync::Arc;

use index::{MAX_DIMENSION, Metric, Space};
use privacy::{EntityId, Removal};
use rand::RngExt;
use storage::id::CollectionId;
use storage::manifest::CollectionEntry;
use storage::recovery::{LOGS, SEGMENTS};

use crate::collection::{Collection, CollectionInfo};
use crate::declared::Declared;
use crate::drill::{self, Drill};
use crate::entropy::generator;
use crate::erase::{self, Erasure};
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::keys::KEYRING;
use crate::maintain;
use crate::name;
use crate::permit::{Action, Permit};
use crate::relog;
use crate::schema::metric_code;
use crate::scrub::{self, Scrub};
use crate::segment_files::remove_files;
use crate::snapshot::View;
use crate::state::{CollectionState, EnvironmentState};
use crate::step::Step;
use crate::verify::{self, Depth, VerifyReport};
use crate::worker::Bell;

/// An isolated tenant: own directory, log, manifest and keys. Clones share the same environment.
#[derive(Clone)]
pub struct Environment {
    pub(crate) state: Arc<EnvironmentState>,
    pub(crate) permit: Permit,
    pub(crate) bell: Bell,
}

impl Environment {
    /// The environment's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Describes a collection to be made or opened.
    pub fn collection(&self, name: impl Into<String>) -> CollectionBuilder {
        CollectionBuilder { env: self.clone(), name: name.into(), dimension: None, metric: Metric::Cosine }
    }

    /// The collection `name`.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Invalid` for a name that no collection can have.
    pub fn open_collection(&self, name: &str) -> Result<Collection> {
        name::check(name, "collection")?;
        let state = self.state.collections.read().get(name).cloned();
        state
            .map(|state| self.handle(state))
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no collection of this name"))
    }

    /// Facts about every collection, in name order.
    pub fn collections(&self) -> Vec<CollectionInfo> {
        self.state.all().into_iter().map(|state| self.handle(state).info()).collect()
    }

    /// Drops a collection and destroys its keys; `false` if there was none.
    pub fn drop_collection(&self, name: &str) -> Result<bool> {
        self.permit.check(Action::Manage)?;
        name::check(name, "collection")?;
        let env = &self.state;
        let reserve = &env.shared.reserve;
        let (_one, _other) = (env.maintenance.lock(), env.structure.lock());
        env.check_open()?;
        let Some(state) = env.collections.read().get(name).cloned() else { return Ok(false) };
        let dropped = {
            let mut applied = env.apply.lock();
            let mut queue = env.queue.lock();
            env.apply_all(&mut applied, &mut queue)?;
            let dropped = state.view();
            reserve.spend(|| env.commit(|manifest| manifest.collections.retain(|entry| entry.id != state.id)))?;
            env.collections.write().remove(name);
            // Whoever still has a handle of it finds nothing.
            state.publish(View { sequence: dropped.sequence, ..View::default() });
            // Its logged writes go with the log they are in, its keys with the epoch.
            reserve.spend(|| relog::move_log(env, &mut queue))?;
            let keep = env.keep(&queue)?;
            let removal = Removal { collections: vec![state.id.0], ..keep };
            reserve.spend(|| env.keys.epoch(&removal))?;
            dropped
        };
        relog::remove_old_logs(env)?;
        for view in &dropped.segments {
            remove_files(env, view)?;
        }
        Ok(true)
    }

    /// Erases a data subject: every record of it and its keys, from every collection here, so that no copy
    /// of any file made before opens for it either.
    pub fn erase(&self, entity: impl Into<String>) -> Erase {
        Erase { env: self.clone(), entity: entity.into(), reason: None }
    }

    /// Writes every memtable into a segment.
    pub fn flush(&self) -> Result<()> {
        self.permit.check(Action::Operate)?;
        maintain::flush(&self.state)
    }

    /// Flushes, then merges every collection into one segment without dead rows. No graph waits to be rebuilt after
    /// that.
    pub fn compact(&self) -> Result<()> {
        self.permit.check(Action::Operate)?;
        maintain::compact(&self.state)
    }

    /// Does the most urgent piece of upkeep, if any; what the background thread does.
    pub fn step(&self) -> Result<Step> {
        self.permit.check(Action::Operate)?;
        maintain::step(&self.state, &|| false)
    }

    /// Authenticates every stored byte of every live file and reports what is wrong.
    pub fn verify(&self) -> Result<VerifyReport> {
        verify::verify(&self.state, &self.permit, Depth::Bytes)
    }

    /// [`Environment::verify`], and whether every index says what its rows say, its graph leads everywhere, and no
    /// id is live twice.
    pub fn verify_deep(&self) -> Result<VerifyReport> {
        verify::verify(&self.state, &self.permit, Depth::Meaning)
    }

    /// Authenticates every stored byte of the segment that was checked longest ago; what the background thread does
    /// with each every [`crate::Settings::scrub_days`].
    pub fn scrub(&self) -> Result<Scrub> {
        self.permit.check(Action::Operate)?;
        scrub::scrub(&self.state, u64::MAX, &|| false)
    }

    /// Opens this environment inside the copied data directory `copy`, read-only, with the live keyring.
    pub fn drill(&self, copy: &Path) -> Result<Drill> {
        drill::drill(&self.state, &self.permit, copy)
    }

    /// Whether it takes writes now.
    pub fn health(&self) -> Health {
        Health::of(&self.state.shared)
    }

    /// Bytes of its segments, logs and keyring.
    pub fn disk_bytes(&self) -> Result<u64> {
        let env = &self.state;
        let mut total = 0;
        for sub in [SEGMENTS, LOGS, KEYRING] {
            let dir = env.dir.sub(sub);
            for name in dir.list().map_err(|e| Error::io("the environment cannot be listed", e))? {
                // A file that upkeep removed meanwhile takes no room.
                total += dir.len(&name).unwrap_or_default();
            }
        }
        Ok(total)
    }

    fn handle(&self, state: Arc<CollectionState>) -> Collection {
        Collection { env: Arc::clone(&self.state), state, permit: self.permit.clone(), bell: self.bell.clone() }
    }
}

/// A collection being described.
#[must_use = "call open_or_create() or create()"]
pub struct CollectionBuilder {
    env: Environment,
    name: String,
    dimension: Option<usize>,
    metric: Metric,
}

impl CollectionBuilder {
    /// Numbers in a vector; needed to make a collection.
    pub fn dimension(mut self, dimension: usize) -> Self {
        self.dimension = Some(dimension);
        self
    }

    /// How nearness is measured; cosine unless said otherwise.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// Opens the collection, or makes it.
    ///
    /// # Errors
    /// `Conflict` if it exists with another dimension or metric.
    pub fn open_or_create(self) -> Result<Collection> {
        name::check(&self.name, "collection")?;
        let existing = self.env.state.collections.read().get(&self.name).cloned();
        match existing {
            None => self.make(true),
            Some(state) => self.check_same(&state).map(|()| self.env.handle(state)),
        }
    }

    /// Makes the collection.
    ///
    /// # Errors
    /// `Conflict` if one of this name exists.
    pub fn create(self) -> Result<Collection> {
        self.make(false)
    }

    fn check_same(&self, state: &CollectionState) -> Result<()> {
        let same_dimension = self.dimension.is_none_or(|dimension| dimension == state.space.dimension());
        if same_dimension && self.metric == state.metric {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the collection exists with dimension {} and metric {}; neither can be changed",
                state.space.dimension(),
                state.metric
            ),
        ))
    }

    fn make(self, or_open: bool) -> Result<Collection> {
        self.env.permit.check(Action::Manage)?;
        name::check(&self.name, "collection")?;
        let env = &self.env.state;
        let max = env.shared.settings.dimension_max.min(MAX_DIMENSION);
        let dimension = self
            .dimension
            .filter(|dimension| (1..=max).contains(dimension))
            .ok_or_else(|| Error::invalid(format!("a new collection needs a dimension between 1 and {max}")))?;
        let _one = env.structure.lock();
        env.check_open()?;
        let existing = env.collections.read().get(&self.name).cloned();
        if let Some(state) = existing {
            if or_open {
                return self.check_same(&state).map(|()| self.env.handle(state));
            }
            return Err(Error::new(ErrorKind::Conflict, "a collection of this name exists"));
        }
        let id = CollectionId(generator(&*env.shared.entropy)?.random());
        let seed = env.keys.read().rotation_seed(id.0);
        let space = Arc::new(Space::new(self.metric, dimension, seed.expose()));
        let entry = CollectionEntry {
            id,
            name: self.name.clone(),
            dimension: u32::try_from(dimension).unwrap_or(u32::MAX),
            metric: metric_code(self.metric),
            created_sequence: 0,
            flushed: 0,
            schema: Vec::new(),
            segments: Vec::new(),
        };
        env.commit(|manifest| manifest.collections.push(entry))?;
        let state = Arc::new(CollectionState::new(id, self.name.clone(), space, Declared::default(), View::default()));
        env.collections.write().insert(self.name, Arc::clone(&state));
        Ok(self.env.handle(state))
    }
}

/// An erasure being put together.
#[must_use = "call run()"]
pub struct Erase {
    env: Environment,
    entity: String,
    reason: Option<String>,
}

/// Longest reason in bytes.
const REASON_BYTES_MAX: usize = 1024;

impl Erase {
    /// Why, for example the number of the request.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Runs the erasure to its end. An entity without records is erased as well: that answer looks the
    /// same, so that it tells nobody who was here.
    ///
    /// # Errors
    /// `Invalid` for an unusable id; otherwise the job goes on when the database opens next.
    pub fn run(self) -> Result<Erasure> {
        if self.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(Error::invalid(format!("a reason may have at most {REASON_BYTES_MAX} bytes")));
        }
        let erasure = erase::erase(&self.env.state, &self.env.permit, &EntityId::new(self.entity)?)?;
        Ok(Erasure { reason: self.reason, ..erasure })
    }
}
