//! The book: every grant and every custom role of a database.
//!
//! Invariant: a grant that was entered stays, revoked ones too, so that a database that ever had a key never takes one who
//! shows none for its owner; and nobody grants what they lack, in a key or in a role. Roles belong to one environment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use minicbor::Decoder;
use thiserror::Error;
use zeroize::Zeroizing;

use super::api_key::{ApiKey, ApiKeyId};
use super::grant::{Grant, Refused, names, set};
use super::permission::{Permission, Permissions};
use super::role::{BuiltIn, RoleName};
use crate::cbor::{Malformed, decoded, fixed, length, rising, written};
use crate::secret::Pepper;

/// The format written, and the newest that is read.
const FORMAT: u64 = 1;

/// Every grant and every custom role.
#[derive(Clone, Debug, Default)]
pub struct Book {
    grants: BTreeMap<ApiKeyId, Grant>,
    roles: BTreeMap<(String, RoleName), Permissions>,
}

/// Bytes that are no book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the book of API keys is damaged, or of a newer version of this engine")]
pub struct BookError;

/// Why the book is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// A key of this id is there.
    #[error("a key of this id is there")]
    Taken,
    /// There is no such key, or it was revoked.
    #[error("there is no such key, or it was revoked")]
    NoKey,
    /// There is no such role.
    #[error("there is no role of this name here")]
    NoRole,
    /// The role is built in.
    #[error("the role is built in and cannot be changed")]
    BuiltIn,
    /// Keys have the role.
    #[error("keys have this role; revoke them first")]
    InUse,
    /// Who asks lacks what is to be granted.
    #[error("nobody grants a permission that they lack")]
    Lacking,
}

impl Book {
    /// Whether no key was ever made.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Every grant, by its id.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// The grant of this id.
    pub fn grant(&self, id: &ApiKeyId) -> Option<&Grant> {
        self.grants.get(id)
    }

    /// The grant of a key that is to be let in.
    ///
    /// # Errors
    /// [`Refused`]. It takes as long for a key that is not there as for one whose secret is wrong.
    pub fn admit(&self, key: &ApiKey, pepper: &Pepper, now_ms: u64, from: Option<IpAddr>) -> Result<&Grant, Refused> {
        let Some(grant) = self.grants.get(&key.id()).filter(|grant| grant.class == key.class()) else {
            std::hint::black_box(key.digest(pepper).0);
            return Err(Refused::Unknown);
        };
        grant.admit(key, pepper, now_ms, from).map(|()| grant)
    }

    /// What a grant permits: what its roles do, and its class does not forbid.
    pub fn permissions(&self, grant: &Grant) -> Permissions {
        let of = |role: &RoleName| self.role(&grant.bound.environment, role).unwrap_or_default();
        let granted = grant.roles.iter().map(of).fold(Permissions::NONE, Permissions::or);
        granted.and(grant.class.ceiling())
    }

    /// What a role permits in an environment.
    pub fn role(&self, environment: &str, name: &RoleName) -> Option<Permissions> {
        BuiltIn::parse(name.as_str())
            .map(BuiltIn::permissions)
            .or_else(|| self.roles.get(&(environment.to_owned(), name.clone())).copied())
    }

    /// The custom roles of an environment.
    pub fn roles(&self, environment: &str) -> impl Iterator<Item = (&RoleName, Permissions)> {
        self.roles.iter().filter(move |((of, _), _)| of == environment).map(|((_, name), permits)| (name, *permits))
    }

    /// Enters a grant, made by somebody with these permissions.
    ///
    /// # Errors
    /// [`ChangeError::Taken`], [`ChangeError::NoRole`], [`ChangeError::Lacking`].
    pub fn enter(&mut self, grant: Grant, maker: Permissions) -> Result<(), ChangeError> {
        if self.grants.contains_key(&grant.id) {
            return Err(ChangeError::Taken);
        }
        if grant.roles.iter().any(|role| self.role(&grant.bound.environment, role).is_none()) {
            return Err(ChangeError::NoRole);
        }
        if !maker.covers(self.permissions(&grant)) {
            return Err(ChangeError::Lacking);
        }
        self.grants.insert(grant.id, grant);
        Ok(())
    }

    /// Gives a grant another secret, whose owner gets all that it permits; the one before is taken, too, until then.
    ///
    /// # Errors
    /// [`ChangeError::NoKey`], [`ChangeError::Lacking`].
    pub fn rotate(
        &mut self,
        key: &ApiKey,
        pepper: &Pepper,
        overlap_until_ms: u64,
        maker: Permissions,
    ) -> Result<(), ChangeError> {
        let live = self.grants.get(&key.id()).filter(|grant| grant.revoked_ms.is_none() && grant.class == key.class());
        let permits = live.map(|grant| self.permissions(grant)).ok_or(ChangeError::NoKey)?;
        if !maker.covers(permits) {
            return Err(ChangeError::Lacking);
        }
        let grant = self.grants.get_mut(&key.id()).ok_or(ChangeError::NoKey)?;
        grant.rotate(key, pepper, overlap_until_ms);
        Ok(())
    }

    /// Ends a grant for good; whether it was there and had not ended.
    pub fn revoke(&mut self, id: &ApiKeyId, now_ms: u64) -> bool {
        let live = self.grants.get_mut(id).filter(|grant| grant.revoked_ms.is_none());
        live.map(|grant| grant.revoke(now_ms)).is_some()
    }

    /// Notes the day on which a key was used; whether that is news.
    pub fn note_use(&mut self, id: &ApiKeyId, day: u64) -> bool {
        let grant = self.grants.get_mut(id).filter(|grant| grant.used_day.is_none_or(|used| used < day));
        grant.map(|grant| grant.used_day = Some(day)).is_some()
    }

    /// Says what a role permits in an environment, for all keys that have it.
    ///
    /// # Errors
    /// [`ChangeError::BuiltIn`]; [`ChangeError::Lacking`] if the maker lacks what it is to permit, or permits now.
    pub fn define(
        &mut self,
        environment: &str,
        name: &RoleName,
        permits: Permissions,
        maker: Permissions,
    ) -> Result<(), ChangeError> {
        if BuiltIn::parse(name.as_str()).is_some() {
            return Err(ChangeError::BuiltIn);
        }
        let before = self.role(environment, name).unwrap_or_default();
        if !maker.covers(permits.or(before)) {
            return Err(ChangeError::Lacking);
        }
        self.roles.insert((environment.to_owned(), name.clone()), permits);
        Ok(())
    }

    /// Takes a role away that no key has which was not revoked.
    ///
    /// # Errors
    /// [`ChangeError::BuiltIn`], [`ChangeError::NoRole`], [`ChangeError::InUse`].
    pub fn undefine(&mut self, environment: &str, name: &RoleName) -> Result<(), ChangeError> {
        if BuiltIn::parse(name.as_str()).is_some() {
            return Err(ChangeError::BuiltIn);
        }
        let has = |grant: &Grant| {
            grant.revoked_ms.is_none() && grant.bound.environment == environment && grant.roles.contains(name)
        };
        if self.grants.values().any(has) {
            return Err(ChangeError::InUse);
        }
        self.roles.remove(&(environment.to_owned(), name.clone())).map(drop).ok_or(ChangeError::NoRole)
    }

    /// The book as bytes, to be sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        written(|e| {
            e.array(3)?.u64(FORMAT)?.array(self.grants.len() as u64)?;
            self.grants.values().try_for_each(|grant| grant.write(e))?;
            e.array(self.roles.len() as u64)?;
            self.roles.iter().try_for_each(|((environment, name), permits)| {
                e.array(3)?.str(environment)?.str(name.as_str())?;
                let permits: Vec<&str> = permits.iter().map(Permission::as_str).collect();
                names(e, permits.into_iter())
            })
        })
    }

    /// Reads a book.
    ///
    /// # Errors
    /// [`BookError`]: without the book nobody is let in.
    pub fn decode(bytes: &[u8]) -> Result<Book, BookError> {
        let read = |d: &mut Decoder<'_>| {
            fixed(d, 3)?;
            if d.u64()? != FORMAT {
                return Err(Malformed);
            }
            let mut book = Book::default();
            for _ in 0..length(d)? {
                let grant = Grant::read(d)?;
                rising(book.grants.last_key_value().map(|(id, _)| id), &grant.id)?;
                book.grants.insert(grant.id, grant);
            }
            for _ in 0..length(d)? {
                fixed(d, 3)?;
                let name = (d.str()?.to_owned(), RoleName::new(d.str()?).map_err(|_| Malformed)?);
                rising(book.roles.last_key_value().map(|(name, _)| name), &name)?;
                let permits = set(d, |d| Permission::parse(d.str()?).ok_or(Malformed))?;
                book.roles.insert(name, permits.into_iter().collect());
            }
            Ok(book)
        };
        decoded(bytes, Book::encode, read).map_err(|Malformed| BookError)
    }
}

#[cfg(test)]
mod tests;
