//! The book: every grant and every custom role of a database, the rules for end users and whose tokens are believed, and
//! who approves what is critical.
//!
//! Invariant: a grant that was entered stays, revoked ones too, so that a database that ever had a key never takes one who
//! shows none for its owner; and nobody grants what they lack, in a key or in a role. Roles belong to one environment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use minicbor::{Decoder, Encoder};
use thiserror::Error;
use zeroize::Zeroizing;

use super::api_key::{ApiKey, ApiKeyId};
use super::approval::{Operation, Quorum, Spent, Unapproved, Vote};
use super::grant::{Grant, Refused, names, set};
use super::permission::{Permission, Permissions};
use super::role::{BuiltIn, RoleName};
use super::rule::CollectionRules;
use super::trust::Trust;
use crate::cbor::{Malformed, Sink, Written, decoded, fixed, length, rising, written};
use crate::secret::Pepper;

/// The format of a book with grants and roles alone, as every book was once.
const PLAIN: u64 = 1;
/// The newest format that is read, written where there is anything beside those.
const FORMAT: u64 = 2;

/// Every grant and every custom role, and what else is decided of access.
#[derive(Clone, Debug, Default)]
pub struct Book {
    grants: BTreeMap<ApiKeyId, Grant>,
    roles: BTreeMap<(String, RoleName), Permissions>,
    /// By environment, as all below, and collection: those of one are handed out whole, to every request of an end user.
    rules: BTreeMap<String, Arc<BTreeMap<String, CollectionRules>>>,
    trusts: BTreeMap<String, Trust>,
    quorums: BTreeMap<String, Quorum>,
    spent: Spent,
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

    /// The rules for end users of each collection of an environment that has any, by the collection's name.
    pub fn rules(&self, environment: &str) -> Arc<BTreeMap<String, CollectionRules>> {
        self.rules.get(environment).cloned().unwrap_or_default()
    }

    /// Gives the collection of this name these rules instead of those it has; without any, end users are shown nothing of it.
    pub fn set_rules(&mut self, environment: &str, collection: &str, rules: Option<CollectionRules>) {
        let all = Arc::make_mut(self.rules.entry(environment.to_owned()).or_default());
        match rules {
            Some(rules) => all.insert(collection.to_owned(), rules),
            None => all.remove(collection),
        };
        self.rules.retain(|_, all| !all.is_empty());
    }

    /// Whose tokens of end users are believed in an environment; nobody's, if none.
    pub fn trust(&self, environment: &str) -> Option<&Trust> {
        self.trusts.get(environment)
    }

    /// Says whose tokens are believed.
    pub fn set_trust(&mut self, environment: &str, trust: Option<Trust>) {
        match trust {
            Some(trust) => self.trusts.insert(environment.to_owned(), trust),
            None => self.trusts.remove(environment),
        };
    }

    /// Who approves critical operations in an environment; nobody has to, if none.
    pub fn quorum(&self, environment: &str) -> Option<&Quorum> {
        self.quorums.get(environment)
    }

    /// Says who approves critical operations.
    pub fn set_quorum(&mut self, environment: &str, quorum: Option<Quorum>) {
        match quorum {
            Some(quorum) => self.quorums.insert(environment.to_owned(), quorum),
            None => self.quorums.remove(environment),
        };
    }

    /// Spends an operation if enough of those voted for it who approve in this environment. Returns how many different
    /// votes there were.
    ///
    /// # Errors
    /// [`Unapproved`]; nothing is spent.
    pub fn approve(
        &mut self,
        environment: &str,
        (operation, votes): (&Operation, &[Vote]),
        database: [u8; 16],
        now_ms: u64,
    ) -> Result<usize, Unapproved> {
        // Where nobody has to approve, nothing is spent.
        let Some(quorum) = self.quorums.get(environment) else { return Ok(0) };
        let approved = quorum.check(operation, votes, database, now_ms)?;
        self.spent.spend(&approved)?;
        Ok(approved.voters().len())
    }

    fn is_plain(&self) -> bool {
        self.rules.is_empty() && self.trusts.is_empty() && self.quorums.is_empty() && self.spent.is_empty()
    }

    /// The book as bytes, to be sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        written(|e| {
            let (members, format) = if self.is_plain() { (3, PLAIN) } else { (7, FORMAT) };
            e.array(members)?.u64(format)?.array(self.grants.len() as u64)?;
            self.grants.values().try_for_each(|grant| grant.write(e))?;
            e.array(self.roles.len() as u64)?;
            self.roles.iter().try_for_each(|((environment, name), permits)| {
                e.array(3)?.str(environment)?.str(name.as_str())?;
                let permits: Vec<&str> = permits.iter().map(Permission::as_str).collect();
                names(e, permits.into_iter())
            })?;
            if self.is_plain() { Ok(()) } else { self.write_rest(e) }
        })
    }

    fn write_rest(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(self.rules.values().map(|all| all.len() as u64).sum())?;
        let all = self.rules.iter().flat_map(|(environment, all)| all.iter().map(move |one| (environment, one)));
        for (environment, (collection, rules)) in all {
            e.array(2 + rules.members())?.str(environment)?.str(collection)?;
            rules.write(e)?;
        }
        e.array(self.trusts.len() as u64)?;
        self.trusts.iter().try_for_each(|(environment, trust)| {
            e.array(2)?.str(environment)?;
            trust.write(e)
        })?;
        e.array(self.quorums.len() as u64)?;
        self.quorums.iter().try_for_each(|(environment, quorum)| {
            e.array(2)?.str(environment)?;
            quorum.write(e)
        })?;
        self.spent.write(e)
    }

    /// Reads a book.
    ///
    /// # Errors
    /// [`BookError`]: without the book nobody is let in.
    pub fn decode(bytes: &[u8]) -> Result<Book, BookError> {
        let read = |d: &mut Decoder<'_>| {
            let members = length(d)?;
            let has_rest = match (members, d.u64()?) {
                (3, PLAIN) => false,
                (7, FORMAT) => true,
                _ => return Err(Malformed),
            };
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
            if has_rest {
                book.read_rest(d)?;
            }
            Ok(book)
        };
        decoded(bytes, Book::encode, read).map_err(|Malformed| BookError)
    }

    fn read_rest(&mut self, d: &mut Decoder<'_>) -> Result<(), Malformed> {
        let mut last = None;
        for _ in 0..length(d)? {
            let members = length(d)?;
            let place = (d.str()?.to_owned(), d.str()?.to_owned());
            rising(last.as_ref(), &place)?;
            self.set_rules(&place.0, &place.1, Some(CollectionRules::read(d, members.saturating_sub(2))?));
            last = Some(place);
        }
        self.trusts = by_environment(d, Trust::read)?;
        self.quorums = by_environment(d, Quorum::read)?;
        self.spent = Spent::read(d)?;
        Ok(())
    }
}

fn by_environment<T>(
    d: &mut Decoder<'_>,
    read: impl Fn(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<BTreeMap<String, T>, Malformed> {
    let mut all = BTreeMap::new();
    for _ in 0..length(d)? {
        fixed(d, 2)?;
        let environment = d.str()?.to_owned();
        rising(all.last_key_value().map(|(name, _)| name), &environment)?;
        all.insert(environment, read(d)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
