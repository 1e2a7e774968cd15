//! ACCESS: permit → nobody grants what they lack → told → journal (sealed, synced) → from the next request on.
//!
//! Invariant: the text of a key leaves once, with the answer that made it; what is kept of it is in the book alone.

use std::collections::BTreeSet;

use privacy::EntityId;
use privacy::access::{
    ApiKey, ApiKeyId, Bound, ChangeError, Class, Entities, Grant, Network, Permission, Permissions, RoleName, Scope,
};
use privacy::audit::{Act, Name, Source};
use zeroize::Zeroizing;

use crate::database::Database;
use crate::entropy::generator;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::name;
use crate::permit::Permit;
use crate::scopes::sealed;
use crate::system::System;

/// The longest label of a key, in bytes.
const LABEL_BYTES_MAX: usize = 128;
/// How many networks and roles a key has at most.
const LIST_MAX: usize = 64;
/// The longest that the secret before a rotation is taken, in milliseconds: thirty days.
const OVERLAP_MS_MAX: u64 = 30 * 86_400_000;

/// API keys and roles.
pub struct Access {
    pub(crate) db: Database,
    pub(crate) permit: Permit,
}

/// A key that is to be made. It permits nothing until it has a role.
#[derive(Clone)]
pub struct ApiKeyRequest {
    /// For whom it is.
    pub class: Class,
    /// The environment that it is for.
    pub environment: String,
    /// What people call it; name no data subject in it.
    pub label: String,
    /// Its roles, built in or defined in the environment.
    pub roles: Vec<String>,
    /// The collections that it reaches, by their own names; all if none are named.
    pub collections: Option<Vec<String>>,
    /// The types of data subjects that it is shown, see [`Entities`]. With these or [`ApiKeyRequest::entities`] it reads
    /// and writes the records of these alone, as if no others were there: where one of somebody else has the id of one that
    /// it writes, it is told that this was stored, and nothing is.
    pub entity_types: Option<Vec<String>>,
    /// The data subjects that it is shown.
    pub entities: Option<Vec<String>>,
    /// From when on it is refused, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// From where it may be used: addresses and networks such as `10.0.0.0/8`; from anywhere if there are none.
    pub networks: Vec<String>,
}

/// A key that was made, or given another secret.
pub struct IssuedApiKey {
    /// The key itself. It is shown once and kept nowhere.
    pub text: Zeroizing<String>,
    /// What is kept of it.
    pub info: ApiKeyInfo,
}

/// What is kept of a key. It does not say whom it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyInfo {
    /// Its public part.
    pub id: String,
    /// For whom it is: `sk`, `pk`, `ik` or `ak`.
    pub class: &'static str,
    /// The environment that it is for.
    pub environment: String,
    /// What people call it.
    pub label: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// What it permits now, by these roles.
    pub permissions: Vec<&'static str>,
    /// The collections that it reaches; none if all.
    pub collections: Option<Vec<String>>,
    /// The types of data subjects that it is shown, and how many others; none if all.
    pub entities: Option<(Vec<String>, usize)>,
    /// From where it may be used; from anywhere if there are none.
    pub networks: Vec<String>,
    /// The key whose holder made it; none if the host did.
    pub created_by: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// From when on it is refused.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// Until when the secret before the last rotation is taken, too.
    pub overlap_until_ms: Option<u64>,
    /// The last day on which it was used, counted from the Unix epoch.
    pub used_day: Option<u64>,
}

impl ApiKeyRequest {
    /// A key of this class for an environment, without any role.
    pub fn new(class: Class, environment: impl Into<String>) -> Self {
        Self {
            class,
            environment: environment.into(),
            label: String::new(),
            roles: Vec::new(),
            collections: None,
            entity_types: None,
            entities: None,
            expires_ms: None,
            networks: Vec::new(),
        }
    }
}

impl Database {
    /// API keys and roles, all of them: for the program that has the database open.
    pub fn access(&self) -> Access {
        Access::new(self.clone(), Permit::trusted_host())
    }

    /// Whether whoever is not this program must show a key: from the first one on that was made, whatever became of it.
    ///
    /// # Errors
    /// Those of opening the room that keeps them.
    pub fn asks_for_keys(&self) -> Result<bool> {
        Ok(self.system(false)?.is_some_and(|system| system.is_locked()))
    }
}

impl Access {
    pub(crate) fn new(db: Database, permit: Permit) -> Self {
        Self { db, permit }
    }

    /// The same, for requests that come by another way than calls of this library: the audit log tells it.
    #[must_use]
    pub fn by_way_of(&self, source: Source) -> Self {
        Self { db: self.db.clone(), permit: self.permit.by_way_of(source) }
    }

    /// Makes a key. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Denied` for a permission that whoever asks lacks; `NotFound` for an environment or a role that is not there;
    /// `Invalid` for a scope, network or label that is none; `Conflict` for a public key where no collection has rules
    /// for end users.
    pub fn create(&self, request: &ApiKeyRequest) -> Result<IssuedApiKey> {
        let env = self.environment(&request.environment)?;
        env.state.admit(&self.permit, Permission::ApiKeyCreate)?;
        env.state.admit(&self.permit, Permission::RoleAssign)?;
        let (roles, networks) = checked(request)?;
        let scope = scope(request)?;
        let system = self.system()?;
        if request.class == Class::Public && system.look(|book| book.rules(&request.environment).is_empty()) {
            let doing = "a key of class pk needs rules for end users; set them for a collection first";
            return Err(Error::new(ErrorKind::Conflict, doing));
        }
        let mut rng = generator(&*env.state.shared.entropy)?;
        let key = ApiKey::generate(request.class, &mut rng);
        let bound = sealed(&env.state, &scope)?;
        let mut grant = Grant::new(&key, system.pepper(), bound, env.state.shared.clock.now_ms());
        grant.label = request.label.clone();
        grant.creator = self.permit.caller().and_then(|caller| ApiKeyId::parse(caller.key.as_str()));
        (grant.expires_ms, grant.networks, grant.roles) = (request.expires_ms, networks, roles);
        let act = Act::ApiKeyCreated { key: name_of(key.id())? };
        self.change(&env, &system, act, |book| book.enter(grant, self.permit.permissions()))?;
        self.issued(&system, &key)
    }

    /// The keys for an environment, revoked and expired ones too, by their ids.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn list(&self, environment: &str) -> Result<Vec<ApiKeyInfo>> {
        self.environment(environment)?.state.admit(&self.permit, Permission::ApiKeyList)?;
        let Some(system) = self.db.system(false)? else { return Ok(Vec::new()) };
        Ok(system.look(|book| {
            let its = book.grants().filter(|grant| grant.bound.environment == environment);
            its.map(|grant| info(grant, book.permissions(grant))).collect()
        }))
    }

    /// Ends a key for good, from the next request on; `false` if there is none of this id in the environment, or it had
    /// ended.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn revoke(&self, environment: &str, id: &str) -> Result<bool> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::ApiKeyRevoke)?;
        let Some((system, id)) = self.known(environment, id)? else { return Ok(false) };
        if system.look(|book| book.grant(&id).is_none_or(|grant| grant.revoked_ms.is_some())) {
            return Ok(false);
        }
        let now_ms = env.state.shared.clock.now_ms();
        self.change(&env, &system, Act::ApiKeyRevoked { key: name_of(id)? }, |book| {
            book.revoke(&id, now_ms);
            Ok(())
        })?;
        Ok(true)
    }

    /// Gives a key another secret. The one before is taken for `overlap_ms` more, at most thirty days.
    ///
    /// # Errors
    /// `NotFound` for a key that is not there or was revoked; `Denied` if it permits more than whoever asks.
    pub fn rotate(&self, environment: &str, id: &str, overlap_ms: u64) -> Result<IssuedApiKey> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::ApiKeyCreate)?;
        if overlap_ms > OVERLAP_MS_MAX {
            return Err(Error::invalid("the secrets of a key may overlap for at most thirty days"));
        }
        let (system, id) = self.known(environment, id)?.ok_or_else(|| refused(ChangeError::NoKey))?;
        let class = system.look(|book| book.grant(&id).map(|grant| grant.class));
        let class = class.ok_or_else(|| refused(ChangeError::NoKey))?;
        let key = ApiKey::renewed(class, id, &mut generator(&*env.state.shared.entropy)?);
        // Without an overlap no clock, whatever it is set to, brings the secret before back.
        let until = if overlap_ms > 0 { env.state.shared.clock.now_ms().saturating_add(overlap_ms) } else { 0 };
        self.change(&env, &system, Act::ApiKeyRotated { key: name_of(id)? }, |book| {
            book.rotate(&key, system.pepper(), until, self.permit.permissions())
        })?;
        self.issued(&system, &key)
    }

    /// The roles that an environment defines, by their names, with what they permit.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn roles(&self, environment: &str) -> Result<Vec<(String, Permissions)>> {
        self.environment(environment)?.state.admit(&self.permit, Permission::RoleRead)?;
        let Some(system) = self.db.system(false)? else { return Ok(Vec::new()) };
        let role = |(name, permits): (&RoleName, Permissions)| (name.as_str().to_owned(), permits);
        Ok(system.look(|book| book.roles(environment).map(role).collect()))
    }

    /// Says what a role permits, for every key that has it, from the next request on.
    ///
    /// # Errors
    /// `Denied` for a permission that whoever asks lacks; `Conflict` for a role that is built in; `Invalid` for a name
    /// that no role can have.
    pub fn define_role(&self, environment: &str, name: &str, permits: Permissions) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::RoleWrite)?;
        let role = role(name)?;
        let act = Act::RoleChanged { role: audit_name(name)? };
        self.change(&env, &*self.system()?, act, |book| {
            book.define(environment, &role, permits, self.permit.permissions())
        })
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// `Conflict` for one that is built in, or that a key has; `NotFound` if there is none of this name.
    pub fn remove_role(&self, environment: &str, name: &str) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::RoleWrite)?;
        let role = role(name)?;
        let system = self.db.system(false)?.ok_or_else(|| refused(ChangeError::NoRole))?;
        let act = Act::RoleChanged { role: audit_name(name)? };
        self.change(&env, &system, act, |book| book.undefine(environment, &role))
    }

    /// The environment, if whoever asks may know of it.
    pub(crate) fn environment(&self, name: &str) -> Result<Environment> {
        match self.permit.caller() {
            Some(caller) if caller.scope.environment_name() != name => Err(name::no_environment()),
            _ => self.db.open_environment(name),
        }
    }

    pub(crate) fn system(&self) -> Result<std::sync::Arc<System>> {
        self.db.system(true)?.ok_or_else(|| Error::corrupt("the room of API keys was not made"))
    }

    /// The room and the id, if a key of the environment has it.
    fn known(&self, environment: &str, id: &str) -> Result<Option<(std::sync::Arc<System>, ApiKeyId)>> {
        let (Some(system), Some(id)) = (self.db.system(false)?, ApiKeyId::parse(id)) else { return Ok(None) };
        let is_its = |grant: &Grant| grant.bound.environment == environment;
        let is_there = system.look(|book| book.grant(&id).is_some_and(is_its));
        Ok(is_there.then_some((system, id)))
    }

    /// Changes the book; both the environment and the system tell it.
    fn change(
        &self,
        env: &Environment,
        system: &System,
        act: Act,
        change: impl FnOnce(&mut privacy::access::Book) -> Result<(), ChangeError>,
    ) -> Result<()> {
        system.change(&self.permit, act.clone(), |book| {
            change(book).map_err(refused)?;
            env.state.tell(&self.permit, act).map(drop)
        })
    }

    fn issued(&self, system: &System, key: &ApiKey) -> Result<IssuedApiKey> {
        let info = system.look(|book| book.grant(&key.id()).map(|grant| info(grant, book.permissions(grant))));
        let info = info.ok_or_else(|| refused(ChangeError::NoKey))?;
        Ok(IssuedApiKey { text: key.text(), info })
    }
}

/// The roles and networks of a request.
fn checked(request: &ApiKeyRequest) -> Result<(BTreeSet<RoleName>, BTreeSet<Network>)> {
    if request.label.len() > LABEL_BYTES_MAX || request.label.chars().any(char::is_control) {
        return Err(Error::invalid(format!("the label of a key has at most {LABEL_BYTES_MAX} bytes, none of control")));
    }
    if request.roles.is_empty() || request.roles.len().max(request.networks.len()) > LIST_MAX {
        return Err(Error::invalid(format!("a key has between 1 and {LIST_MAX} roles, and at most as many networks")));
    }
    let networks = request.networks.iter().map(|network| network.parse::<Network>());
    let networks = networks.collect::<Result<_, _>>();
    let networks = networks.map_err(|e| Error::with(ErrorKind::Invalid, "a network of the key is none", e))?;
    Ok((request.roles.iter().map(|name| role(name)).collect::<Result<_>>()?, networks))
}

fn scope(request: &ApiKeyRequest) -> Result<Scope> {
    let wrong = |error| Error::with(ErrorKind::Invalid, "the scope of the key is none", error);
    let mut scope = Scope::environment(&request.environment).map_err(wrong)?;
    if let Some(names) = &request.collections {
        scope = scope.collections(names.iter().cloned()).map_err(wrong)?;
    }
    if request.entity_types.is_none() && request.entities.is_none() {
        return Ok(scope);
    }
    let ids = request.entities.iter().flatten().map(EntityId::new).collect::<Result<_, _>>()?;
    let types = request.entity_types.iter().flatten().cloned().collect();
    scope.entities(Entities { types, ids }).map_err(wrong)
}

fn info(grant: &Grant, permits: Permissions) -> ApiKeyInfo {
    let Bound { environment, collections, entities } = &grant.bound;
    ApiKeyInfo {
        id: grant.id.to_string(),
        class: grant.class.as_str(),
        environment: environment.clone(),
        label: grant.label.clone(),
        roles: grant.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        permissions: permits.iter().map(Permission::as_str).collect(),
        collections: collections.as_ref().map(|names| names.iter().cloned().collect()),
        entities: entities.as_ref().map(|(types, ids)| (types.iter().cloned().collect(), ids.len())),
        networks: grant.networks.iter().map(Network::to_string).collect(),
        created_by: grant.creator.map(|id| id.to_string()),
        created_ms: grant.created_ms,
        expires_ms: grant.expires_ms,
        revoked_ms: grant.revoked_ms,
        overlap_until_ms: grant.overlap_until_ms(),
        used_day: grant.used_day,
    }
}

fn refused(error: ChangeError) -> Error {
    let kind = match error {
        ChangeError::NoKey | ChangeError::NoRole => ErrorKind::NotFound,
        ChangeError::Lacking => ErrorKind::Denied,
        ChangeError::Taken | ChangeError::BuiltIn | ChangeError::InUse => ErrorKind::Conflict,
    };
    Error::new(kind, error.to_string())
}

fn role(name: &str) -> Result<RoleName> {
    RoleName::new(name).map_err(|e| Error::with(ErrorKind::Invalid, "a role cannot be called so", e))
}

fn name_of(id: ApiKeyId) -> Result<Name> {
    audit_name(id.as_str())
}

pub(crate) fn audit_name(name: &str) -> Result<Name> {
    Name::new(name).map_err(|e| Error::with(ErrorKind::Invalid, "the audit log cannot name it", e))
}
