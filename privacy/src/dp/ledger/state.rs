//! The whole ledger as bytes: the state with which a log of rows begins.
//!
//! ```text
//! state   [format, sequence, chain, [[account, cap, spent], …], [[query, sequence], …], is forfeit, HMAC of all before]
//! spent   [[] | [ε], ρ]
//! ```
//!
//! Invariant: as for rows. Both ends of it are chained: its chain value is that of its last row, and the HMAC at its end
//! covers what no row says, the sums.

use std::collections::BTreeMap;

use minicbor::{Decoder, Encoder};

use super::cap::Spent;
use super::row::{Chain, LedgerError, QueryHash, read_account, read_cap, write_account, write_cap};
use super::{Balance, Ledger};
use crate::cbor::{Malformed, Sink, Written, array, decoded, fixed, length, rising, written};
use crate::secret::LedgerKey;

/// The format written, and the newest that is read.
const FORMAT: u64 = 1;

impl Ledger {
    /// The whole ledger as bytes, to be sealed.
    pub fn encode(&self, key: &LedgerKey) -> Vec<u8> {
        let mut bytes = written(|e| write_state(e, self)).to_vec();
        let mac = key.mac(b"state", &[&bytes]);
        bytes.extend_from_slice(&written(|e| e.bytes(&mac).map(drop)));
        bytes
    }

    /// Reads a whole ledger.
    ///
    /// # Errors
    /// [`LedgerError`]: without the ledger nobody may ask.
    pub fn decode(key: &LedgerKey, bytes: &[u8]) -> Result<Ledger, LedgerError> {
        let again = |ledger: &Ledger| ledger.encode(key).into();
        decoded(bytes, again, read_state).map_err(|Malformed| LedgerError)
    }
}

fn write_spent(e: &mut Encoder<Sink>, spent: &Spent) -> Written {
    e.array(2)?;
    match spent.epsilon {
        Some(epsilon) => e.array(1)?.u64(epsilon)?,
        None => e.array(0)?,
    };
    e.u64(spent.rho).map(drop)
}

fn read_spent(d: &mut Decoder<'_>) -> Result<Spent, Malformed> {
    fixed(d, 2)?;
    let epsilon = match length(d)? {
        0 => None,
        1 => Some(d.u64()?),
        _ => return Err(Malformed),
    };
    Ok(Spent { epsilon, rho: d.u64()? })
}

fn write_state(e: &mut Encoder<Sink>, ledger: &Ledger) -> Written {
    e.array(7)?.u64(FORMAT)?.u64(ledger.sequence)?.bytes(&ledger.chain.0)?;
    e.array(ledger.accounts.len() as u64)?;
    for (account, balance) in &ledger.accounts {
        e.array(3)?;
        write_account(e, account)?;
        write_cap(e, balance.cap.as_ref())?;
        write_spent(e, &balance.spent)?;
    }
    e.array(ledger.paid.len() as u64)?;
    for (query, sequence) in &ledger.paid {
        e.array(2)?.bytes(&query.0)?.u64(*sequence)?;
    }
    e.bool(ledger.is_forfeit).map(drop)
}

fn read_state(d: &mut Decoder<'_>) -> Result<Ledger, Malformed> {
    fixed(d, 7)?;
    if d.u64()? != FORMAT {
        return Err(Malformed);
    }
    let (sequence, chain) = (d.u64()?, Chain(array(d)?));
    let (mut accounts, mut paid) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..length(d)? {
        fixed(d, 3)?;
        let account = read_account(d)?;
        rising(accounts.last_key_value().map(|(last, _)| last), &account)?;
        let balance = Balance { cap: read_cap(d)?, spent: read_spent(d)? };
        accounts.insert(account, balance);
    }
    for _ in 0..length(d)? {
        fixed(d, 2)?;
        let query = QueryHash(array(d)?);
        rising(paid.last_key_value().map(|(last, _)| last), &query)?;
        paid.insert(query, d.u64()?);
    }
    let is_forfeit = d.bool()?;
    // The last field is compared when all is encoded again.
    array::<32>(d)?;
    Ok(Ledger { sequence, chain, accounts, paid, is_forfeit })
}
