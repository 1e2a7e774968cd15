//! A permit is the proof, carried by every handle, that its holder may act in a scope.
//!
//! The program that links the engine and opens the database is its trusted host and may do everything; narrower permits
//! come from authorising a caller. The walks ask the permit before anything else.
//!
//! Invariant: what is outside of the scope is not there. A collection outside answers as one of no such name, whether it
//! exists or not; an act that would reach beyond the scope is refused whatever is there, but for writes of records, which
//! leave what lies beyond it as it is ([`write`](crate::write)).

use std::net::IpAddr;
use std::sync::Arc;

use privacy::EntityId;
use privacy::access::{Approval, Entities, Permission, Permissions, Scope};
use privacy::audit::{Actor, Name, Source};
use privacy::dp::ledger::Principal;
use storage::id::CollectionId;

use crate::end_user::EndUser;
use crate::error::{Error, ErrorKind, Result};
use crate::name;

/// Proof that the holder may act. Handles clone it; nothing outside this crate can make one.
#[derive(Clone, Debug)]
pub struct Permit {
    holder: Holder,
    source: Source,
    /// The votes that were shown for what is asked.
    approval: Option<Arc<Approval>>,
}

#[derive(Clone, Debug)]
enum Holder {
    TrustedHost,
    Engine,
    Caller(Arc<Caller>),
}

/// Somebody who was authorised.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The public part of the key that they showed.
    pub key: Name,
    /// From where.
    pub address: Option<IpAddr>,
    pub permissions: Permissions,
    pub scope: Scope,
    /// The data subjects of the scope, if not all.
    pub subjects: Option<Arc<Entities>>,
    /// For whom they ask, if not for themselves.
    pub end_user: Option<Arc<EndUser>>,
}

impl Permit {
    /// The permit of the process that holds the root key.
    pub(crate) fn trusted_host() -> Self {
        Self::held_by(Holder::TrustedHost, Source::Library)
    }

    /// The permit of the engine itself: upkeep and recovery.
    pub(crate) fn engine() -> Self {
        Self::held_by(Holder::Engine, Source::Worker)
    }

    /// The permit of somebody who was authorised.
    pub(crate) fn of(caller: Caller) -> Self {
        Self::held_by(Holder::Caller(Arc::new(caller)), Source::Library)
    }

    fn held_by(holder: Holder, source: Source) -> Self {
        Self { holder, source, approval: None }
    }

    /// The same, with votes for what is asked.
    pub(crate) fn approved_by(&self, approval: &Approval) -> Self {
        Self { approval: Some(Arc::new(approval.clone())), ..self.clone() }
    }

    /// The votes that were shown, if any were.
    pub(crate) fn approval(&self) -> Option<&Approval> {
        self.approval.as_deref()
    }

    /// The same, for requests that come by another way.
    pub(crate) fn by_way_of(&self, source: Source) -> Self {
        Self { source, ..self.clone() }
    }

    /// Who the audit log names, and by which way the request came.
    pub(crate) fn by(&self) -> (Actor, Source) {
        let actor = match &self.holder {
            Holder::TrustedHost => Actor::Host,
            Holder::Engine => Actor::Engine,
            Holder::Caller(caller) => Actor::ApiKey { key: caller.key.clone(), address: caller.address },
        };
        (actor, self.source)
    }

    /// The opaque id under which the ledger of privacy budgets knows the holder.
    pub(crate) fn principal(&self) -> Principal {
        match &self.holder {
            Holder::TrustedHost => Principal([0; 16]),
            Holder::Engine => Principal([1; 16]),
            Holder::Caller(caller) => Principal::of_key(&caller.key),
        }
    }

    /// Who was authorised; nobody had to be where the host itself asks.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        match &self.holder {
            Holder::TrustedHost | Holder::Engine => None,
            Holder::Caller(caller) => Some(caller),
        }
    }

    /// What it permits, wherever that is.
    pub(crate) fn permissions(&self) -> Permissions {
        self.caller().map_or_else(Permissions::all, |caller| caller.permissions)
    }

    /// The data subjects whose records it shows; none if all.
    pub(crate) fn subjects(&self) -> Option<&Arc<Entities>> {
        self.caller()?.subjects.as_ref()
    }

    /// For whom the holder asks, if not for themselves.
    pub(crate) fn end_user(&self) -> Option<&EndUser> {
        self.caller()?.end_user.as_deref()
    }

    /// Whether it shows all records of what it reaches.
    pub(crate) fn shows_all(&self) -> bool {
        self.subjects().is_none() && self.end_user().is_none()
    }

    /// Whether the collection of this name, its own, is in its scope.
    pub(crate) fn sees(&self, collection: &str) -> bool {
        self.caller().is_none_or(|caller| caller.scope.has_collection(collection))
    }

    /// Whether the collection of this name and id is there for the holder: to end users, one without rules is not.
    pub(crate) fn shows(&self, collection: &str, id: CollectionId) -> bool {
        self.sees(collection) && self.end_user().is_none_or(|end_user| end_user.knows(collection, id))
    }

    /// Fails with `Denied` where the holder may not do this in all of the environment.
    pub(crate) fn check(&self, permission: Permission) -> Result<()> {
        self.check_named(permission)?;
        match self.caller() {
            Some(caller) if !caller.scope.is_whole() || caller.end_user.is_some() => Err(beyond(permission)),
            _ => Ok(()),
        }
    }

    /// Fails where the holder may not do this with the collection of this name and all that is in it: with `NotFound` if
    /// that is outside of the scope.
    pub(crate) fn check_in(&self, permission: Permission, collection: &str) -> Result<()> {
        self.check_read(permission, collection)?;
        if !self.shows_all() { Err(beyond(permission)) } else { Ok(()) }
    }

    /// As [`Permit::check_in`], for what looks only at the records that the permit shows.
    pub(crate) fn check_read(&self, permission: Permission, collection: &str) -> Result<()> {
        self.check_named(permission)?;
        if self.sees(collection) { Ok(()) } else { Err(name::no_collection()) }
    }

    /// As [`Permit::check_read`], for what changes no records but those of the scope's data subjects.
    pub(crate) fn check_write(&self, permission: Permission, collection: &str) -> Result<()> {
        self.check_read(permission, collection)?;
        if self.end_user().is_some() { Err(beyond(permission)) } else { Ok(()) }
    }

    /// Fails with `Denied` where the holder may not do this with all that is stored about a data subject.
    pub(crate) fn check_about(&self, permission: Permission, entity: &EntityId) -> Result<()> {
        self.check_named(permission)?;
        match self.caller().map(|caller| &caller.scope) {
            Some(scope) if scope.collection_names().is_some() || !scope.has_entity(Some(entity)) => {
                Err(beyond(permission))
            }
            _ => Ok(()),
        }
    }

    /// Fails with `Denied` where the holder may do this nowhere.
    pub(crate) fn check_named(&self, permission: Permission) -> Result<()> {
        if self.permissions().contains(permission) {
            return Ok(());
        }
        let doing = format!(
            "the permission {permission} is needed for this: the key's roles, its class or an end user's token withhold it"
        );
        Err(Error::new(ErrorKind::Denied, doing))
    }
}

fn beyond(permission: Permission) -> Error {
    let doing = format!("this reaches beyond the collections or data subjects for which {permission} was granted");
    Error::new(ErrorKind::Denied, doing)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn permit(permissions: &[Permission], scope: Scope) -> Permit {
        let subjects = scope.subjects().cloned().map(Arc::new);
        let permissions = permissions.iter().copied().collect();
        Permit::of(Caller { key: Name::new("k").unwrap(), address: None, permissions, scope, subjects, end_user: None })
    }

    fn kinds(permit: &Permit, permission: Permission) -> [Option<ErrorKind>; 5] {
        let id = |id| EntityId::new(id).unwrap();
        let kind = |result: Result<()>| result.err().map(|error| error.kind());
        [
            kind(permit.check(permission)),
            kind(permit.check_in(permission, "docs")),
            kind(permit.check_read(permission, "docs")),
            kind(permit.check_about(permission, &id("user:1"))),
            kind(permit.check_about(permission, &id("other"))),
        ]
    }

    #[test]
    fn a_permit_reaches_as_far_as_its_scope() {
        use Permission::{EntityErase, RecordRead};
        let (denied, gone) = (Some(ErrorKind::Denied), Some(ErrorKind::NotFound));
        let whole = Scope::environment("acme").unwrap();
        assert_eq!(kinds(&Permit::trusted_host(), EntityErase), [None; 5]);
        assert_eq!(kinds(&permit(&[EntityErase], whole.clone()), EntityErase), [None; 5]);
        assert_eq!(kinds(&permit(&[EntityErase], whole.clone()), RecordRead), [denied; 5]);
        let of_docs = whole.clone().collections(["docs".to_owned()]).unwrap();
        assert_eq!(kinds(&permit(&[RecordRead], of_docs), RecordRead), [denied, None, None, denied, denied]);
        let of_others = whole.clone().collections(["notes".to_owned()]).unwrap();
        assert_eq!(kinds(&permit(&[RecordRead], of_others), RecordRead), [denied, gone, gone, denied, denied]);
        let entities = Entities { types: ["user".to_owned()].into(), ..Entities::default() };
        let of_users = whole.entities(entities).unwrap();
        assert_eq!(kinds(&permit(&[RecordRead], of_users), RecordRead), [denied, denied, None, None, denied]);
    }
}
