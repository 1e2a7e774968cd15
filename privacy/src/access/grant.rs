//! A grant: what is kept of an API key, and whether a key that is shown is the one.
//!
//! Invariant: nothing of the secret is here but its hash, and that goes when the key is revoked. Data subjects that a grant
//! is bound to stand in it as ciphertext under keys of their own, which an erasure destroys with the rest: nobody can tell
//! from a grant, live or in an old copy, whom it was about.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use minicbor::{Decoder, Encoder};
use subtle::ConstantTimeEq;

use super::api_key::{ApiKey, ApiKeyId, Class, Digest};
use super::network::Network;
use super::role::RoleName;
use crate::cbor::{Malformed, Sink, Written, array, fixed, length, rising};
use crate::secret::{KeyId, Pepper};

/// What is kept of an API key.
#[derive(Clone)]
pub struct Grant {
    /// Its public part.
    pub id: ApiKeyId,
    /// For whom it is.
    pub class: Class,
    /// What people call it.
    pub label: String,
    /// Who made it; none if the program that has the database open.
    pub creator: Option<ApiKeyId>,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// From when on it is refused, if ever.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// The last day on which it was used, counted from the Unix epoch.
    pub used_day: Option<u64>,
    /// From where it may be used; anywhere if there are none.
    pub networks: BTreeSet<Network>,
    /// Its roles.
    pub roles: BTreeSet<RoleName>,
    /// Where they count.
    pub bound: Bound,
    digest: Option<Digest>,
    retiring: Option<(Digest, u64)>,
}

/// A [`Scope`](super::Scope) as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The environment.
    pub environment: String,
    /// The collections, if not all.
    pub collections: Option<BTreeSet<String>>,
    /// The types of data subjects, and the sealed ids of others, if not all.
    pub entities: Option<(BTreeSet<String>, Vec<SealedId>)>,
}

/// The id of a data subject, sealed as a row of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedId {
    /// The key that opens it while there is one.
    pub key: KeyId,
    /// The random id of the row.
    pub row: [u8; 16],
    /// The ciphertext.
    pub sealed: Vec<u8>,
}

/// Why a key is refused. Callers are told no more than that it is: the difference is for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such key, or its secret is another.
    Unknown,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// It may not be used from there.
    Address,
}

impl Grant {
    /// What is kept of `key`.
    pub fn new(key: &ApiKey, pepper: &Pepper, bound: Bound, created_ms: u64) -> Grant {
        Grant {
            id: key.id(),
            class: key.class(),
            label: String::new(),
            creator: None,
            created_ms,
            expires_ms: None,
            revoked_ms: None,
            used_day: None,
            networks: BTreeSet::new(),
            roles: BTreeSet::new(),
            bound,
            digest: Some(key.digest(pepper)),
            retiring: None,
        }
    }

    /// Whether `key`, shown at this time and from there, is to be let in. An address that is not known is in no network.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(&self, key: &ApiKey, pepper: &Pepper, now_ms: u64, from: Option<IpAddr>) -> Result<(), Refused> {
        let shown = key.digest(pepper);
        if self.revoked_ms.is_some() {
            return Err(Refused::Revoked);
        }
        let is_current = self.digest.as_ref().is_some_and(|digest| shown.is(digest));
        let is_retiring = self.retiring.as_ref().is_some_and(|(digest, until)| shown.is(digest) && now_ms < *until);
        if !is_current && !is_retiring {
            return Err(Refused::Unknown);
        }
        if self.is_expired(now_ms) {
            return Err(Refused::Expired);
        }
        let may_come = |from: IpAddr| self.networks.iter().any(|network| network.has(from));
        if !self.networks.is_empty() && !from.is_some_and(may_come) {
            return Err(Refused::Address);
        }
        Ok(())
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }

    /// Whether it is neither revoked nor expired.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && !self.is_expired(now_ms)
    }

    /// Until when the secret before the last rotation is taken, too.
    pub fn overlap_until_ms(&self) -> Option<u64> {
        self.retiring.as_ref().map(|(_, until)| *until)
    }

    /// Takes another secret; the one before is taken, too, until then, and never again where that is 0.
    pub(super) fn rotate(&mut self, key: &ApiKey, pepper: &Pepper, overlap_until_ms: u64) {
        let before = self.digest.replace(key.digest(pepper)).filter(|_| overlap_until_ms > 0);
        self.retiring = before.map(|digest| (digest, overlap_until_ms));
    }

    /// Ends it for good.
    pub(super) fn revoke(&mut self, now_ms: u64) {
        self.revoked_ms = Some(now_ms);
        (self.digest, self.retiring) = (None, None);
    }

    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(14)?.str(self.id.as_str())?.str(self.class.as_str())?.str(&self.label)?;
        e.array(self.creator.iter().len() as u64)?;
        self.creator.iter().try_for_each(|id| e.str(id.as_str()).map(drop))?;
        e.u64(self.created_ms)?;
        for number in [self.expires_ms, self.revoked_ms, self.used_day] {
            e.array(number.iter().len() as u64)?;
            number.iter().try_for_each(|number| e.u64(*number).map(drop))?;
        }
        e.array(self.networks.len() as u64)?;
        self.networks.iter().try_for_each(|network| e.str(&network.to_string()).map(drop))?;
        names(e, self.roles.iter().map(RoleName::as_str))?;
        self.bound.write(e)?;
        e.array(self.digest.iter().len() as u64)?;
        self.digest.iter().try_for_each(|digest| e.bytes(&digest.0).map(drop))?;
        e.array(2 * self.retiring.iter().len() as u64)?;
        self.retiring.iter().try_for_each(|(digest, until)| e.bytes(&digest.0)?.u64(*until).map(drop))?;
        // For what a later version adds.
        e.array(0).map(drop)
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Grant, Malformed> {
        fixed(d, 14)?;
        Ok(Grant {
            id: ApiKeyId::parse(d.str()?).ok_or(Malformed)?,
            class: Class::parse(d.str()?).ok_or(Malformed)?,
            label: d.str()?.to_owned(),
            creator: maybe(d, |d| ApiKeyId::parse(d.str()?).ok_or(Malformed))?,
            created_ms: d.u64()?,
            expires_ms: maybe(d, |d| Ok(d.u64()?))?,
            revoked_ms: maybe(d, |d| Ok(d.u64()?))?,
            used_day: maybe(d, |d| Ok(d.u64()?))?,
            networks: set(d, |d| d.str()?.parse().map_err(|_| Malformed))?,
            roles: set(d, |d| RoleName::new(d.str()?).map_err(|_| Malformed))?,
            bound: Bound::read(d)?,
            digest: maybe(d, |d| array(d).map(Digest))?,
            retiring: match length(d)? {
                0 => None,
                2 => Some((Digest(array(d)?), d.u64()?)),
                _ => return Err(Malformed),
            },
        })
        .and_then(|grant| fixed(d, 0).map(|()| grant))
    }
}

/// Shows no hash, and nobody's words.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("id", &self.id).field("class", &self.class).finish_non_exhaustive()
    }
}

impl Digest {
    /// Compares in a time that does not depend on where they differ.
    fn is(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Bound {
    fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(3)?.str(&self.environment)?.array(self.collections.iter().len() as u64)?;
        self.collections.iter().try_for_each(|all| names(e, all.iter().map(String::as_str)))?;
        e.array(2 * self.entities.iter().len() as u64)?;
        self.entities.iter().try_for_each(|(types, ids)| {
            names(e, types.iter().map(String::as_str))?;
            e.array(ids.len() as u64)?;
            ids.iter().try_for_each(|id| e.array(3)?.bytes(&id.key.0)?.bytes(&id.row)?.bytes(&id.sealed).map(drop))
        })
    }

    fn read(d: &mut Decoder<'_>) -> Result<Bound, Malformed> {
        fixed(d, 3)?;
        let text = |d: &mut Decoder<'_>| Ok(d.str()?.to_owned());
        Ok(Bound {
            environment: d.str()?.to_owned(),
            collections: maybe(d, |d| set(d, text))?,
            entities: match length(d)? {
                0 => None,
                2 => Some((set(d, text)?, (0..length(d)?).map(|_| SealedId::read(d)).collect::<Result<_, _>>()?)),
                _ => return Err(Malformed),
            },
        })
    }
}

impl SealedId {
    fn read(d: &mut Decoder<'_>) -> Result<SealedId, Malformed> {
        fixed(d, 3)?;
        Ok(SealedId { key: KeyId(array(d)?), row: array(d)?, sealed: d.bytes()?.to_vec() })
    }
}

/// Names that rise.
pub(super) fn names<'a>(e: &mut Encoder<Sink>, names: impl ExactSizeIterator<Item = &'a str>) -> Written {
    e.array(names.len() as u64)?;
    names.into_iter().try_for_each(|name| e.str(name).map(drop))
}

fn maybe<T>(
    d: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match length(d)? {
        0 => Ok(None),
        1 => read(d).map(Some),
        _ => Err(Malformed),
    }
}

/// A set whose members rise.
pub(super) fn set<T: Ord>(
    d: &mut Decoder<'_>,
    read: impl Fn(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<BTreeSet<T>, Malformed> {
    let mut all = BTreeSet::new();
    for _ in 0..length(d)? {
        let one = read(d)?;
        rising(all.last(), &one)?;
        all.insert(one);
    }
    Ok(all)
}
