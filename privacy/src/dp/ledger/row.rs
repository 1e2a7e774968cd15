//! Rows of the ledger as bytes, and how one is chained to the next.
//!
//! ```text
//! row     [sequence, entry, chain]
//! entry   [1, collection, principal, query, charge] | [2, account, cap] | [3]
//! account [code, id]   charge [code, amount]   cap [] | [ε] | [ε, δ, ρ]
//! ```
//!
//! Invariant: the encoding is deterministic CBOR, so that a row has one chain value: HMAC-SHA-256, under a key of the
//! keyring, over the value before, the number and the entry.

use std::fmt;

use minicbor::{Decoder, Encoder};
use thiserror::Error;

use super::cap::{Cap, Charge};
use crate::audit::Name;
use crate::cbor::{Malformed, Sink, Written, array, decoded, fixed, length, written};
use crate::secret::LedgerKey;

/// Bytes that are no ledger, or no row that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the ledger of privacy budgets is damaged, or of a newer version of this engine")]
pub struct LedgerError;

/// Who asks, by an opaque id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(pub [u8; 16]);

impl Principal {
    /// That of the API key with this public part, of which the first sixteen bytes count: they are ten.
    pub fn of_key(key: &Name) -> Principal {
        let mut id = [0; 16];
        id.iter_mut().zip(key.as_str().bytes()).for_each(|(id, byte)| *id = byte);
        Principal(id)
    }
}

/// The keyed hash of a canonical query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryHash(pub(super) [u8; 32]);

impl QueryHash {
    /// The hash of a query, which begins with where it is asked.
    pub fn of(key: &LedgerKey, query: &[u8]) -> QueryHash {
        QueryHash(key.mac(b"query", &[query]))
    }
}

impl fmt::Debug for QueryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryHash(..)")
    }
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// That of the environment, for people who have records in several collections, or in one that was made again.
    Environment,
    /// That of a collection, by its id, for as long as the environment lives.
    Collection([u8; 16]),
    /// The ration of one who asks. It divides what there is, and guarantees nobody anything.
    Principal(Principal),
}

/// What a query is charged to, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debit {
    /// The collection asked, by its id.
    pub collection: [u8; 16],
    /// Who asks.
    pub principal: Principal,
    /// What is asked.
    pub query: QueryHash,
    /// What it costs.
    pub charge: Charge,
}

impl Debit {
    /// Every account that pays it.
    pub fn accounts(&self) -> [Account; 3] {
        [Account::Collection(self.collection), Account::Environment, Account::Principal(self.principal)]
    }
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Debit(Debit),
    Cap { account: Account, cap: Option<Cap> },
    Forfeit,
}

/// The chain value after a row.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain(pub [u8; 32]);

impl Chain {
    /// The value after the row of this number.
    pub fn after(key: &LedgerKey, before: &Chain, sequence: u64, entry: &Entry) -> Chain {
        let entry = written(|e| entry.write(e));
        Chain(key.mac(b"row", &[&before.0, &sequence.to_be_bytes(), &entry]))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain(..)")
    }
}

/// A row.
pub(super) struct Row {
    pub sequence: u64,
    pub entry: Entry,
    pub chain: Chain,
}

impl Row {
    pub fn after(key: &LedgerKey, before: &Chain, sequence: u64, entry: Entry) -> Row {
        Row { sequence, entry, chain: Chain::after(key, before, sequence, &entry) }
    }

    pub fn encode(&self) -> Vec<u8> {
        let bytes = written(|e| {
            e.array(3)?.u64(self.sequence)?;
            self.entry.write(e)?;
            e.bytes(&self.chain.0).map(drop)
        });
        bytes.to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Row, LedgerError> {
        let read = |d: &mut Decoder<'_>| {
            fixed(d, 3)?;
            Ok(Row { sequence: d.u64()?, entry: Entry::read(d)?, chain: Chain(array(d)?) })
        };
        decoded(bytes, |row: &Row| row.encode().into(), read).map_err(|Malformed| LedgerError)
    }
}

impl Entry {
    fn write(&self, e: &mut Encoder<Sink>) -> Written {
        match self {
            Self::Debit(Debit { collection, principal, query, charge }) => {
                e.array(5)?.u8(1)?.bytes(collection)?.bytes(&principal.0)?.bytes(&query.0)?.array(2)?;
                match charge {
                    Charge::Pure(epsilon) => e.u8(0)?.u64(*epsilon).map(drop),
                    Charge::Concentrated(rho) => e.u8(1)?.u64(*rho).map(drop),
                }
            }
            Self::Cap { account, cap } => {
                e.array(3)?.u8(2)?;
                write_account(e, account)?;
                write_cap(e, cap.as_ref())
            }
            Self::Forfeit => e.array(1)?.u8(3).map(drop),
        }
    }

    fn read(d: &mut Decoder<'_>) -> Result<Entry, Malformed> {
        match (length(d)?, d.u8()?) {
            (5, 1) => {
                let (collection, principal, query) = (array(d)?, Principal(array(d)?), QueryHash(array(d)?));
                fixed(d, 2)?;
                let charge = match d.u8()? {
                    0 => Charge::Pure(d.u64()?),
                    1 => Charge::Concentrated(d.u64()?),
                    _ => return Err(Malformed),
                };
                Ok(Entry::Debit(Debit { collection, principal, query, charge }))
            }
            (3, 2) => Ok(Entry::Cap { account: read_account(d)?, cap: read_cap(d)? }),
            (1, 3) => Ok(Entry::Forfeit),
            _ => Err(Malformed),
        }
    }
}

pub(super) fn write_account(e: &mut Encoder<Sink>, account: &Account) -> Written {
    match account {
        Account::Environment => e.array(1)?.u8(0),
        Account::Collection(id) => e.array(2)?.u8(1)?.bytes(id),
        Account::Principal(principal) => e.array(2)?.u8(2)?.bytes(&principal.0),
    }
    .map(drop)
}

pub(super) fn read_account(d: &mut Decoder<'_>) -> Result<Account, Malformed> {
    match (length(d)?, d.u8()?) {
        (1, 0) => Ok(Account::Environment),
        (2, 1) => Ok(Account::Collection(array(d)?)),
        (2, 2) => Ok(Account::Principal(Principal(array(d)?))),
        _ => Err(Malformed),
    }
}

pub(super) fn write_cap(e: &mut Encoder<Sink>, cap: Option<&Cap>) -> Written {
    match cap {
        None => e.array(0).map(drop),
        Some(Cap::Pure { epsilon }) => e.array(1)?.u64(*epsilon).map(drop),
        // By its bits, so that no encoder chooses a width.
        Some(Cap::Approximate { epsilon, delta, rho }) => {
            e.array(3)?.u64(*epsilon)?.u64(delta.to_bits())?.u64(*rho).map(drop)
        }
    }
}

pub(super) fn read_cap(d: &mut Decoder<'_>) -> Result<Option<Cap>, Malformed> {
    match length(d)? {
        0 => Ok(None),
        1 => Cap::pure(d.u64()?).map(Some).map_err(|_| Malformed),
        3 => {
            let (epsilon, delta, rho) = (d.u64()?, f64::from_bits(d.u64()?), d.u64()?);
            // What it was worth when it was given, whatever a later version would find.
            Cap::approximate(epsilon, delta).map_err(|_| Malformed)?;
            Ok(Some(Cap::Approximate { epsilon, delta, rho }))
        }
        _ => Err(Malformed),
    }
}
