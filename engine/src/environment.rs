//! The handle of an environment, the isolated tenant: its collections, its erasures, its upkeep.

use std::sync::Arc;

use index::{MAX_DIMENSION, Metric, Space};
use privacy::access::{Approval, Permission};
use privacy::audit::{Act, Source};
use privacy::{Removal, VerifyingKey};
use rand::RngExt;
use storage::id::CollectionId;
use storage::manifest::CollectionEntry;

use crate::alias::{self, Alias};
use crate::audit::{self, Audit, AuditExport, AuditReport};
use crate::collection::Collection;
use crate::entropy::generator;
use crate::erasure::{Erase, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::info::{self, CollectionInfo};
use crate::limits::Limits;
use crate::metric_code::metric_code;
use crate::name;
use crate::permit::Permit;
use crate::receipt::{self, StoredReceipt};
use crate::relog;
use crate::rules::Rules;
use crate::schema::Schema;
use crate::segment_files::remove_files;
use crate::snapshot::View;
use crate::state::{CollectionState, EnvironmentState};
use crate::trail::{AuditWatch, SinkStanding};
use crate::worker::Bell;

mod people;
mod upkeep;

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

    /// Describes a collection to be made, or opened by its name or an alias.
    pub fn collection(&self, name: impl Into<String>) -> CollectionBuilder {
        CollectionBuilder {
            env: self.clone(),
            name: name.into(),
            dimension: None,
            metric: Metric::Cosine,
            schema: None,
            limits: None,
        }
    }

    /// The collection `name`, which may be an alias. The handle stays with the collection that was found, wherever the
    /// alias goes later.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Invalid` for a name that no collection can have.
    pub fn open_collection(&self, name: &str) -> Result<Collection> {
        name::check(name, "collection")?;
        let state = self.state.catalog.read().find(name).cloned();
        let state = state.filter(|state| self.permit.shows(&state.name, state.id));
        state.map(|state| self.handle(state)).ok_or_else(name::no_collection)
    }

    /// Has `alias` stand for `collection` from now on, instead of another one if it did: a name for readers and writers
    /// that is moved to a collection which was filled aside. Nobody ever finds it stand for nothing meanwhile. Returns
    /// the name of the collection that it stood for before.
    ///
    /// # Errors
    /// `NotFound` if there is no such collection; `Conflict` if a collection has the alias as its own name; `Invalid` for
    /// a name that no collection can have, or the 65th alias of one.
    pub fn set_alias(&self, alias: &str, collection: &str) -> Result<Option<String>> {
        alias::set(&self.state, &self.permit, alias, collection)
    }

    /// Takes an alias away, and nothing of its collection; returns the name of that, or `None` if there was no such alias.
    pub fn remove_alias(&self, alias: &str) -> Result<Option<String>> {
        alias::remove(&self.state, &self.permit, alias)
    }

    /// Every alias, in their order.
    pub fn aliases(&self) -> Vec<Alias> {
        let mut aliases = alias::list(&self.state);
        aliases.retain(|alias| self.permit.sees(&alias.collection));
        aliases
    }

    /// Facts about every collection, in name order.
    pub fn collections(&self) -> Vec<CollectionInfo> {
        let all = self.state.all();
        let shown = all.iter().filter(|state| self.permit.shows(&state.name, state.id));
        shown.map(|state| info::collection(&self.state, state)).collect()
    }

    /// Drops a collection with its aliases and destroys its keys; `false` if there was none.
    ///
    /// # Errors
    /// `Conflict` for an alias: what is to be dropped is said by its own name.
    pub fn drop_collection(&self, name: &str) -> Result<bool> {
        let env = &self.state;
        name::check(name, "collection")?;
        match env.admit_in(&self.permit, Permission::CollectionDelete, name) {
            // As one that is not there.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            admitted => admitted?,
        }
        let reserve = &env.shared.reserve;
        let (_one, _other) = (env.maintenance.lock(), env.structure.lock());
        env.check_open()?;
        let state = {
            let catalog = env.catalog.read();
            if catalog.alias(name).is_some() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "this is an alias: remove it, or drop the collection by its own name",
                ));
            }
            catalog.named(name).cloned()
        };
        let Some(state) = state else { return Ok(false) };
        let dropped = {
            let mut applied = env.apply.lock();
            let mut queue = env.queue.lock();
            env.apply_all(&mut applied, &mut queue)?;
            let dropped = state.view();
            let act = Act::CollectionDropped { collection: state.id.0 };
            let go = || env.commit(|manifest| manifest.collections.retain(|entry| entry.id != state.id));
            reserve.spend(|| {
                env.tell_batches()?;
                env.told(&self.permit, act.clone(), go)
            })?;
            env.catalog.write().remove(name);
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
        Erase {
            env: Arc::clone(&self.state),
            permit: self.permit.clone(),
            bell: self.bell.clone(),
            people: vec![(entity.into(), None)],
            reason: None,
            wait: Wait::default(),
        }
    }

    /// The receipt of the erasure that had this number, as often as it is asked for.
    ///
    /// # Errors
    /// `NotFound` if there is none, or none yet.
    pub fn receipt(&self, job: u64) -> Result<StoredReceipt> {
        self.state.admit(&self.permit, Permission::EntityRead)?;
        receipt::fetch(&self.state, job)
    }

    /// The numbers of the erasures whose receipts are kept here, rising.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn receipts(&self) -> Result<Vec<u64>> {
        self.state.admit(&self.permit, Permission::EntityRead)?;
        receipt::numbers(&self.state.dir.sub(receipt::RECEIPTS))
    }

    /// The same environment, for requests that come by another way than calls of this library: the audit log tells it.
    pub fn by_way_of(&self, source: Source) -> Self {
        Self { permit: self.permit.by_way_of(source), ..self.clone() }
    }

    /// Fails unless whoever this handle was given to may do this in all of the environment, and has the audit log tell it:
    /// for what a face shows of itself.
    ///
    /// # Errors
    /// `Denied`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        self.state.admit(&self.permit, permission)
    }

    /// The same environment, with votes for the critical operation that is asked for.
    #[must_use]
    pub fn approved_by(&self, approval: &Approval) -> Self {
        Self { permit: self.permit.approved_by(approval), ..self.clone() }
    }

    /// Whether whoever this handle was given to may do this in all of the environment, or [list what there
    /// is](Permission::CollectionList) in some of it: for what a handle tells without asking. The trusted host may do
    /// everything.
    ///
    /// # Errors
    /// `Denied`; the audit log tells it.
    pub fn demand(&self, permission: Permission) -> Result<()> {
        match permission {
            Permission::CollectionList => self.state.admit_list(&self.permit),
            permission => self.state.admit(&self.permit, permission),
        }
    }

    /// What receipts and checkpoints of the audit log of this environment are checked with: no secret, and the same for
    /// the life of the environment. Publish it where whoever gets a receipt trusts it.
    pub fn receipt_key(&self) -> VerifyingKey {
        self.state.keys.read().signing_key().verifying_key()
    }

    /// What privileged acts there were, and batches of writes counted by the minute, in an order that cannot be changed
    /// unseen. That it was read is an act, too.
    pub fn audit(&self) -> Audit {
        let (env, permit) = (Arc::clone(&self.state), self.permit.clone());
        Audit { env, permit, start: 0, end: u64::MAX, action: None, actor: None, limit: 100, cursor: 0 }
    }

    /// Reads the audit log from the disk, from its first event if it is to be `deep`, and holds it against every signed
    /// checkpoint, those in the anchor stores included.
    ///
    /// # Errors
    /// `Corrupt`, saying what is wrong with it.
    pub fn verify_audit(&self, deep: bool) -> Result<AuditReport> {
        audit::verify(&self.state, &self.permit, deep)
    }

    /// The whole audit log as lines of JSON that anybody can check with the public key alone: see [`AuditCheck`](crate::AuditCheck). That
    /// it was exported is told in it.
    ///
    /// # Errors
    /// `Denied`; `Corrupt`, before or in the midst, where the log is not what was told.
    pub fn export_audit(&self) -> Result<AuditExport> {
        audit::export(&self.state, &self.permit)
    }

    /// What the background thread knows of the audit log, and how the second sink is, if there is one.
    ///
    /// # Errors
    /// `Denied`.
    pub fn audit_watch(&self) -> Result<(AuditWatch, Option<SinkStanding>)> {
        self.state.admit(&self.permit, Permission::AuditVerify)?;
        Ok((self.state.trail.watch(), self.state.trail.sink_standing()))
    }

    /// Hashes the next slice of the audit log anew; says whether that was the last of a round. What the background
    /// thread does all the time, at its leisure.
    ///
    /// # Errors
    /// `Denied`, and those of reading; damage is told by [`Environment::audit_watch`].
    pub fn patrol_audit(&self) -> Result<bool> {
        self.state.admit(&self.permit, Permission::AuditVerify)?;
        self.state.trail.patrol(self.state.shared.clock.now_ms())
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
    schema: Option<Schema>,
    limits: Option<Limits>,
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

    /// What payloads must be like; nothing unless said otherwise. [`Collection::set_schema`] changes it later.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// How much it may hold; as much as fits unless said otherwise. [`Collection::set_limits`] changes it later.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Opens the collection, or makes it.
    ///
    /// # Errors
    /// `Conflict` if it exists with another dimension or metric, or with another schema or limits than are named here;
    /// `Invalid` for a schema that is not usable.
    pub fn open_or_create(self) -> Result<Collection> {
        name::check(&self.name, "collection")?;
        let existing = self.env.state.catalog.read().find(&self.name).cloned();
        match existing {
            None => self.make(true),
            Some(state) if !self.env.permit.shows(&state.name, state.id) => Err(name::no_collection()),
            Some(state) => self.check_same(&state).map(|()| self.env.handle(state)),
        }
    }

    /// Makes the collection.
    ///
    /// # Errors
    /// `Conflict` if a collection or alias of this name exists; `Invalid` as for [`CollectionBuilder::open_or_create`].
    pub fn create(self) -> Result<Collection> {
        self.make(false)
    }

    fn check_same(&self, state: &CollectionState) -> Result<()> {
        let same_dimension = self.dimension.is_none_or(|dimension| dimension == state.space.dimension());
        if !same_dimension || self.metric != state.metric {
            let (dimension, metric) = (state.space.dimension(), state.metric);
            let doing =
                format!("the collection exists with dimension {dimension} and metric {metric}; neither can be changed");
            return Err(Error::new(ErrorKind::Conflict, doing));
        }
        let there = state.rules();
        let wanted = self.rules(&there)?;
        if wanted.schema != there.schema || wanted.limits != there.limits {
            let doing = "the collection exists with another schema or other limits; change them by themselves";
            return Err(Error::new(ErrorKind::Conflict, doing));
        }
        Ok(())
    }

    /// `rules` with what is named here.
    fn rules(&self, rules: &Rules) -> Result<Rules> {
        let rules = rules.with_limits(self.limits.unwrap_or(rules.limits));
        self.schema.as_ref().map_or(Ok(rules.clone()), |schema| rules.with_schema(schema))
    }

    fn make(self, or_open: bool) -> Result<Collection> {
        let env = &self.env.state;
        name::check(&self.name, "collection")?;
        env.admit_in(&self.env.permit, Permission::CollectionCreate, &self.name)?;
        let max = env.shared.settings.dimension_max.min(MAX_DIMENSION);
        let dimension = self
            .dimension
            .filter(|dimension| (1..=max).contains(dimension))
            .ok_or_else(|| Error::invalid(format!("a new collection needs a dimension between 1 and {max}")))?;
        let rules = self.rules(&Rules::default())?;
        let _one = env.structure.lock();
        env.check_open()?;
        let existing = env.catalog.read().find(&self.name).cloned();
        if let Some(state) = existing {
            if or_open && self.env.permit.shows(&state.name, state.id) {
                return self.check_same(&state).map(|()| self.env.handle(state));
            }
            return Err(Error::new(ErrorKind::Conflict, "a collection or alias of this name exists"));
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
            schema: rules.encode(),
            segments: Vec::new(),
            aliases: Default::default(),
        };
        let act = Act::CollectionCreated { collection: id.0 };
        env.told(&self.env.permit, act, || env.commit(|manifest| manifest.collections.push(entry)))?;
        let state = Arc::new(CollectionState::new(id, self.name, space, rules, View::default()));
        env.catalog.write().insert(Arc::clone(&state));
        Ok(self.env.handle(state))
    }
}
