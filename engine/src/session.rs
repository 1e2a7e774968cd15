//! AUTHORIZE: credentials → grant → permit: the only door for whoever is not the program that opened the database.
//!
//! Invariant: a session holds nothing that its key does not grant, and lasts no longer than a request should: the next
//! one asks the book again, so that a revocation counts from the next request on.

use std::net::IpAddr;
use std::sync::Arc;

use privacy::access::{ApiKey, Approval, Bound, Claims, Class, Entities, Grant, Permission, Trust};
use privacy::audit::{Name, Source};

use crate::access::Access;
use crate::database::Database;
use crate::end_user::EndUser;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::permit::{Caller, Permit};
use crate::scopes::unsealed;

/// What somebody shows to be let in. Borrowed, so that the text is wiped where it came from.
pub struct Credentials<'a> {
    api_key: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Credentials<'a> {
    /// An API key.
    pub fn api_key(text: &'a str) -> Self {
        Self { api_key: text, address: None }
    }

    /// Shown from this address.
    #[must_use]
    pub fn from_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }
}

/// Somebody who was let in, for one request.
#[derive(Clone)]
pub struct Session {
    db: Database,
    permit: Permit,
    environment: String,
    is_public: bool,
}

impl Database {
    /// Lets somebody in, as far as their credentials reach.
    ///
    /// # Errors
    /// `Denied`, which does not say what is wrong with a key that looks like one; `Invalid` for what does not look like
    /// one, saying why.
    pub fn authorize(&self, credentials: &Credentials<'_>) -> Result<Session> {
        let key = ApiKey::parse(credentials.api_key)
            .map_err(|error| Error::with(ErrorKind::Invalid, "the API key cannot be used", error))?;
        let unknown = || Error::new(ErrorKind::Denied, "this database has no API keys");
        let system = self.system(false)?.ok_or_else(unknown)?;
        let (grant, permissions) = system.admit(&key, credentials.address)?;
        let scope = self.scope_of(&grant)?;
        let name = Name::new(grant.id.as_str()).map_err(|_| Error::corrupt("an API key has an impossible id"))?;
        let is_public = grant.class == Class::Public;
        let environment = grant.bound.environment;
        let subjects = scope.subjects().cloned().map(Arc::new);
        let address = credentials.address;
        let caller = Caller { key: name, address, permissions, scope, subjects, end_user: None };
        let session = Session { db: self.clone(), permit: Permit::of(caller), environment, is_public };
        // A public key is in everybody's hands: without a token, it shows what rules show to nobody in particular.
        if is_public { session.for_end_user(Claims::default()) } else { Ok(session) }
    }

    /// The scope of a grant, with the data subjects that were not erased since.
    fn scope_of(&self, grant: &Grant) -> Result<privacy::access::Scope> {
        let Bound { environment, collections, entities } = &grant.bound;
        let wrong = |_| Error::corrupt("an API key has an impossible scope");
        let mut scope = privacy::access::Scope::environment(environment).map_err(wrong)?;
        if let Some(names) = collections {
            scope = scope.collections(names.iter().cloned()).map_err(wrong)?;
        }
        if let Some((types, sealed)) = entities {
            // The environment is opened only for this.
            let ids = match sealed.is_empty() {
                true => Vec::new(),
                false => unsealed(&self.open_environment(environment)?.state, sealed)?,
            };
            scope = scope.entities(Entities { types: types.clone(), ids: ids.into_iter().collect() }).map_err(wrong)?;
        }
        Ok(scope)
    }
}

impl Session {
    /// The environment that the key is for.
    pub fn environment_name(&self) -> &str {
        &self.environment
    }

    /// The public part of the key: the same while its secret changes.
    pub fn key_id(&self) -> &str {
        self.permit.caller().map_or("", |caller| caller.key.as_str())
    }

    /// Whether the key is one that everybody may have.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// The same, for requests that come by another way than calls of this library: the audit log tells it.
    #[must_use]
    pub fn by_way_of(&self, source: Source) -> Self {
        Self { permit: self.permit.by_way_of(source), ..self.clone() }
    }

    /// The same, for an end user of whom somebody [trusted](Session::trust) claims this: reads alone, and of the records
    /// alone that the rules of their collections show them. Whoever calls this has verified the token that says so.
    ///
    /// # Errors
    /// Those of reading the rules.
    pub fn for_end_user(&self, claims: Claims) -> Result<Session> {
        let Some(caller) = self.permit.caller() else { return Ok(self.clone()) };
        let rules = self.db.system(false)?.map(|system| system.look(|book| book.rules(&self.environment)));
        let end_user = EndUser { claims, rules: rules.unwrap_or_default() };
        let caller = Caller {
            permissions: caller.permissions.and(EndUser::ceiling()),
            end_user: Some(Arc::new(end_user)),
            ..caller.clone()
        };
        let (_, source) = self.permit.by();
        Ok(Session { permit: Permit::of(caller).by_way_of(source), ..self.clone() })
    }

    /// Whose tokens of end users are believed in the environment of the key; nobody's, if none.
    ///
    /// # Errors
    /// Those of opening the room that keeps it.
    pub fn trust(&self) -> Result<Option<Trust>> {
        let system = self.db.system(false)?;
        Ok(system.and_then(|system| system.look(|book| book.trust(&self.environment).cloned())))
    }

    /// The same, with votes for the critical operation that is asked for.
    #[must_use]
    pub fn approved_by(&self, approval: &Approval) -> Self {
        Self { permit: self.permit.approved_by(approval), ..self.clone() }
    }

    /// Whether the key permits this somewhere.
    pub fn may(&self, permission: Permission) -> bool {
        self.permit.permissions().contains(permission)
    }

    /// The environment `name`. Only that of the key is there.
    ///
    /// # Errors
    /// `NotFound` for every other name, in use or not; otherwise as [`Database::open_environment`].
    pub fn environment(&self, name: &str) -> Result<Environment> {
        if name != self.environment {
            return Err(crate::name::no_environment());
        }
        let opened = self.db.open_environment(name)?;
        Ok(Environment { permit: self.permit.clone(), ..opened })
    }

    /// API keys and roles, as far as the key reaches.
    pub fn access(&self) -> Access {
        Access::new(self.db.clone(), self.permit.clone())
    }
}
