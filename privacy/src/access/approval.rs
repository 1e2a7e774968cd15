//! Approval of critical operations by several people, each with a signing key of their own.
//!
//! Plain signatures of m of n rather than one key that m people make together: they show who approved (Ed25519, RFC 8032).
//!
//! Invariant: an approval is for one operation on one database, with exactly its parameters, until a time, and once. What is
//! signed begins with a label of its own and names all of that at fixed places, so no signature given here means anything
//! elsewhere, and none given elsewhere means anything here.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decoder, Encoder};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::cbor::{Malformed, Sink, Written, array, fixed, length, rising};
use crate::secret::SigningKey;
use crate::signature::{SIGNATURE, VerifyingKey};

/// The longest time that an approval may be open, in milliseconds: a week.
pub const OPEN_MS_MAX: u64 = 7 * 86_400_000;
/// How many voters a quorum has at most.
const VOTERS_MAX: usize = 32;
/// How many operations that were used are remembered.
const SPENT_MAX: usize = 512;
/// What everything signed here begins with.
const LABEL: &[u8; 20] = b"lethedb approval v1\0";

/// What needs approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Critical {
    /// Replacing the root key.
    RotateRoot = 1,
    /// Raising a privacy budget.
    RaiseBudget = 2,
    /// Removing the beginning of the audit log.
    PruneAudit = 3,
    /// Weakening a security setting, this quorum included.
    WeakenSecurity = 4,
}

/// One operation, as it is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    kind: Critical,
    database: [u8; 16],
    parameters: [u8; 32],
    nonce: [u8; 16],
    expires_ms: u64,
}

/// Somebody's signature under an operation.
#[derive(Clone, Debug)]
pub struct Vote {
    /// By which key.
    pub voter: VerifyingKey,
    /// Over the operation.
    pub signature: [u8; SIGNATURE],
}

/// Who may vote, and how many must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    threshold: usize,
    voters: BTreeSet<[u8; 32]>,
}

/// A quorum that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a quorum needs at least two votes, and as many different keys, at most {VOTERS_MAX}")]
pub struct QuorumError;

/// The operations that were approved and used: those that expire last, by their nonces.
///
/// No clock says which are forgotten, since one that is set back would let an operation be done again. Once
/// [`SPENT_MAX`] are remembered, the one that expires first gives way, and what expires no later than all that are
/// left is refused, used or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<[u8; 16], u64>);

/// That an operation was approved, and by whom: only [`Quorum::check`] makes one.
#[derive(Debug)]
#[must_use = "it was approved to be done"]
pub struct Approved {
    operation: Operation,
    voters: Vec<VerifyingKey>,
}

/// Why an operation is not approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unapproved {
    /// It is one of another database.
    #[error("the approval is for another database")]
    Elsewhere,
    /// Its time is over, or too long.
    #[error("the approval has expired, or was open for more than a week")]
    Expired,
    /// It was used.
    #[error("the approval was used already")]
    Used,
    /// A vote is by nobody who may vote, or for something else.
    #[error("a vote is not by one of the voters, or for another operation")]
    Vote,
    /// Too few different people voted.
    #[error("{given} of the {needed} votes that are needed were given")]
    TooFew {
        /// Different voters whose votes count.
        given: usize,
        /// How many are needed.
        needed: usize,
    },
}

impl Operation {
    /// An operation with these parameters, which are hashed as they will be carried out.
    pub fn new(
        kind: Critical,
        database: [u8; 16],
        parameters: &[u8],
        expires_ms: u64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Operation {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        Operation { kind, database, parameters: hash(parameters), nonce, expires_ms }
    }

    /// Whether it is this, with these parameters.
    pub fn is(&self, kind: Critical, parameters: &[u8]) -> bool {
        self.kind == kind && self.parameters == hash(parameters)
    }

    /// What is signed: every part at its place.
    pub fn canonical(&self) -> Vec<u8> {
        let Operation { kind, database, parameters, nonce, expires_ms } = self;
        [LABEL, &[*kind as u8][..], database, parameters, nonce, &expires_ms.to_be_bytes()].concat()
    }

    /// The operation whose canonical form this is.
    pub fn read(canonical: &[u8]) -> Option<Operation> {
        let (kind, rest) = canonical.strip_prefix(LABEL)?.split_first()?;
        let kind = Critical::ALL.into_iter().find(|known| *known as u8 == *kind)?;
        let (database, rest) = rest.split_first_chunk()?;
        let (parameters, rest) = rest.split_first_chunk()?;
        let (nonce, expires_ms) = rest.split_first_chunk()?;
        let expires_ms = u64::from_be_bytes(expires_ms.try_into().ok()?);
        Some(Operation { kind, database: *database, parameters: *parameters, nonce: *nonce, expires_ms })
    }

    /// The name of the database that it is for.
    pub fn database(&self) -> &[u8; 16] {
        &self.database
    }

    /// What is to be done.
    pub fn kind(&self) -> Critical {
        self.kind
    }

    /// From when on it cannot be approved any more, in milliseconds since the Unix epoch.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

impl Critical {
    /// All of them.
    pub const ALL: [Critical; 4] =
        [Critical::RotateRoot, Critical::RaiseBudget, Critical::PruneAudit, Critical::WeakenSecurity];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Critical::RotateRoot => "rotate_root",
            Critical::RaiseBudget => "raise_budget",
            Critical::PruneAudit => "prune_audit",
            Critical::WeakenSecurity => "weaken_security",
        }
    }
}

fn hash(parameters: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"lethedb parameters v1\0").chain_update(parameters).finalize().into()
}

impl Vote {
    /// Votes for an operation.
    pub fn cast(operation: &Operation, key: &SigningKey) -> Vote {
        Vote { voter: key.verifying_key(), signature: key.sign(&operation.canonical()) }
    }
}

impl Quorum {
    /// `threshold` of these voters.
    ///
    /// # Errors
    /// [`QuorumError`]: one vote is no approval by others.
    pub fn new(threshold: usize, voters: impl IntoIterator<Item = VerifyingKey>) -> Result<Quorum, QuorumError> {
        let voters: BTreeSet<[u8; 32]> = voters.into_iter().map(|voter| voter.0).collect();
        let is_some = voters.len() <= VOTERS_MAX && (2..=voters.len()).contains(&threshold);
        if is_some { Ok(Quorum { threshold, voters }) } else { Err(QuorumError) }
    }

    /// Whether these votes approve `operation` on this database now, if it was not used before. It is not spent by that:
    /// who lets it be done spends it first, see [`Spent::spend`].
    ///
    /// # Errors
    /// [`Unapproved`].
    pub fn check(
        &self,
        operation: &Operation,
        votes: &[Vote],
        database: [u8; 16],
        now_ms: u64,
    ) -> Result<Approved, Unapproved> {
        if operation.database != database {
            return Err(Unapproved::Elsewhere);
        }
        if operation.expires_ms <= now_ms || operation.expires_ms - now_ms > OPEN_MS_MAX {
            return Err(Unapproved::Expired);
        }
        let signed = operation.canonical();
        let mut given = BTreeSet::new();
        for vote in votes {
            let is_sound = self.has(&vote.voter) && vote.voter.verify(&signed, &vote.signature).is_ok();
            if !is_sound {
                return Err(Unapproved::Vote);
            }
            given.insert(vote.voter.0);
        }
        if given.len() < self.threshold {
            return Err(Unapproved::TooFew { given: given.len(), needed: self.threshold });
        }
        Ok(Approved { operation: operation.clone(), voters: given.into_iter().map(VerifyingKey).collect() })
    }

    /// Whether this is one of those who may vote.
    pub fn has(&self, voter: &VerifyingKey) -> bool {
        self.voters.contains(&voter.0)
    }

    /// How many must vote.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Who may vote.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = VerifyingKey> {
        self.voters.iter().copied().map(VerifyingKey)
    }

    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(2)?.u64(self.threshold as u64)?.array(self.voters.len() as u64)?;
        self.voters.iter().try_for_each(|voter| e.bytes(voter).map(drop))
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Quorum, Malformed> {
        fixed(d, 2)?;
        let threshold = d.u64()?.try_into().map_err(|_| Malformed)?;
        let mut voters = BTreeSet::new();
        for _ in 0..length(d)? {
            let voter = array(d)?;
            rising(voters.last(), &voter)?;
            voters.insert(voter);
        }
        Quorum::new(threshold, voters.into_iter().map(VerifyingKey)).map_err(|_| Malformed)
    }
}

impl Spent {
    /// Spends an operation that was approved. The caller makes that durable before it is done.
    ///
    /// # Errors
    /// [`Unapproved::Used`]; [`Unapproved::Expired`] for one that expires before so many others that nobody remembers
    /// whether it was used.
    pub fn spend(&mut self, approved: &Approved) -> Result<(), Unapproved> {
        let Operation { nonce, expires_ms, .. } = approved.operation;
        if self.0.contains_key(&nonce) {
            return Err(Unapproved::Used);
        }
        let first = self.0.iter().min_by_key(|(_, expires_ms)| **expires_ms).map(|(nonce, until)| (*nonce, *until));
        if let Some((first, until)) = first.filter(|_| self.0.len() >= SPENT_MAX) {
            if expires_ms <= until {
                return Err(Unapproved::Expired);
            }
            self.0.remove(&first);
        }
        self.0.insert(nonce, expires_ms);
        Ok(())
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|(nonce, expires_ms)| e.array(2)?.bytes(nonce)?.u64(*expires_ms).map(drop))
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Spent, Malformed> {
        let mut spent = Spent::default();
        for _ in 0..length(d)? {
            fixed(d, 2)?;
            let (nonce, expires_ms) = (array(d)?, d.u64()?);
            rising(spent.0.last_key_value().map(|(nonce, _)| nonce), &nonce)?;
            spent.0.insert(nonce, expires_ms);
        }
        Ok(spent)
    }
}

impl Approved {
    /// What was approved.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Who approved it.
    pub fn voters(&self) -> &[VerifyingKey] {
        &self.voters
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const DATABASE: [u8; 16] = [3; 16];

    fn keys() -> Vec<SigningKey> {
        (1..=4).map(|seed| SigningKey::from_bytes([seed; 32])).collect()
    }

    fn quorum(threshold: usize) -> Quorum {
        Quorum::new(threshold, keys()[..3].iter().map(SigningKey::verifying_key)).unwrap()
    }

    fn operation(seed: u64) -> Operation {
        Operation::new(Critical::RotateRoot, DATABASE, b"to key 7", 1000, &mut StdRng::seed_from_u64(seed))
    }

    fn votes(operation: &Operation, who: &[usize]) -> Vec<Vote> {
        who.iter().map(|who| Vote::cast(operation, &keys()[*who])).collect()
    }

    #[test]
    fn enough_votes_approve_once() {
        let (operation, mut spent) = (operation(1), Spent::default());
        let approve = |spent: &mut Spent| {
            let approved = quorum(2).check(&operation, &votes(&operation, &[0, 2]), DATABASE, 0)?;
            spent.spend(&approved).map(|()| approved)
        };
        let approved = approve(&mut spent).unwrap();
        assert!(approved.operation().is(Critical::RotateRoot, b"to key 7"));
        assert!(!approved.operation().is(Critical::RotateRoot, b"to key 8"), "other parameters");
        assert!(!approved.operation().is(Critical::PruneAudit, b"to key 7"), "another operation");
        assert_eq!(approved.voters().len(), 2);
        assert_eq!(approve(&mut spent).err(), Some(Unapproved::Used), "shown again");
    }

    #[test]
    fn what_is_not_approved() {
        let given = operation(1);
        let refused =
            |operation: Operation, votes: &[Vote], now_ms| quorum(2).check(&operation, votes, DATABASE, now_ms).err();
        let all = votes(&given, &[0, 1, 2]);
        let few = Some(Unapproved::TooFew { given: 1, needed: 2 });
        assert_eq!(refused(given.clone(), &all[..1], 0), few, "one fewer than needed");
        assert_eq!(refused(given.clone(), &votes(&given, &[1, 1, 1]), 0), few, "one who signs thrice");
        assert_eq!(refused(given.clone(), &votes(&given, &[0, 3]), 0), Some(Unapproved::Vote), "a stranger");
        assert_eq!(refused(given.clone(), &all, 1000), Some(Unapproved::Expired));
        let far = Operation { expires_ms: OPEN_MS_MAX + 1, ..given.clone() };
        assert_eq!(refused(far.clone(), &votes(&far, &[0, 1]), 0), Some(Unapproved::Expired));
        let elsewhere = Operation { database: [4; 16], ..given.clone() };
        assert_eq!(refused(elsewhere.clone(), &votes(&elsewhere, &[0, 1]), 0), Some(Unapproved::Elsewhere));
        let others = [
            Operation { kind: Critical::PruneAudit, ..given.clone() },
            Operation { parameters: hash(b"to key 8"), ..given.clone() },
            Operation { nonce: [9; 16], ..given.clone() },
            Operation { expires_ms: 2000, ..given.clone() },
        ];
        for other in others {
            assert_eq!(refused(other, &all, 0), Some(Unapproved::Vote), "votes for one operation are for no other");
        }
    }

    #[test]
    fn the_canonical_form_leads_back_and_nothing_else_does() {
        let given = operation(7);
        let canonical = given.canonical();
        assert_eq!(Operation::read(&canonical), Some(given));
        for wrong in [&canonical[1..], &canonical[..92], &[&canonical[..], &[0]].concat(), b""] {
            assert_eq!(Operation::read(wrong), None);
        }
        let mut unknown = canonical;
        unknown[20] = 9;
        assert_eq!(Operation::read(&unknown), None, "an operation that nobody knows");
    }

    #[test]
    fn a_quorum_is_of_several() {
        let voters = || keys().into_iter().map(|key| key.verifying_key());
        for (threshold, count) in [(0, 4), (1, 4), (5, 4), (3, 2)] {
            assert_eq!(Quorum::new(threshold, voters().take(count)), Err(QuorumError), "{threshold} of {count}");
        }
        let twice = voters().take(1).chain(voters().take(1));
        assert_eq!(Quorum::new(2, twice), Err(QuorumError), "one key named twice is one voter");
    }

    /// Whatever the clock says later, and however many others were used since.
    #[test]
    fn what_was_used_stays_used_when_the_clock_is_set_back() {
        let (mut spent, rng) = (Spent::default(), &mut StdRng::seed_from_u64(3));
        let mut use_it = |operation: &Operation, now_ms| {
            let approved = quorum(2).check(operation, &votes(operation, &[0, 1]), DATABASE, now_ms)?;
            spent.spend(&approved)
        };
        let mut until = |expires_ms| Operation::new(Critical::PruneAudit, DATABASE, b"x", expires_ms, rng);
        let first = until(1000);
        assert_eq!(use_it(&first, 0), Ok(()));
        assert_eq!(use_it(&until(9000), 5000), Ok(()), "another, long after the first expired");
        assert_eq!(use_it(&first, 0), Err(Unapproved::Used), "the clock is set back");
        for at in 0..2 * SPENT_MAX as u64 {
            assert_eq!(use_it(&until(10_000 + at), 9500), Ok(()));
        }
        assert_eq!(use_it(&first, 0), Err(Unapproved::Expired), "forgotten, and refused for it");
        assert_eq!(use_it(&until(1000), 0), Err(Unapproved::Expired), "as is what nobody could tell from it");
        assert_eq!(use_it(&until(20_000), 0), Ok(()));
    }

    proptest! {
        /// Whoever votes, an operation is done at most once, and only by as many as are needed.
        #[test]
        fn used_at_most_once(
            tries in prop::collection::vec((0u64..3, prop::collection::vec(0usize..3, 0..4), 0u64..1500), 0..20),
            threshold in 2usize..=3,
        ) {
            let (mut spent, mut done, mut clock) = (Spent::default(), BTreeSet::new(), 0);
            for (which, who, now) in tries {
                clock = clock.max(now);
                let operation = operation(which);
                let different = who.iter().collect::<BTreeSet<_>>().len();
                let approved = quorum(threshold)
                    .check(&operation, &votes(&operation, &who), DATABASE, clock)
                    .and_then(|approved| spent.spend(&approved));
                let is_due = different >= threshold && clock < 1000;
                prop_assert_eq!(approved.is_ok(), is_due && done.insert(which));
            }
        }
    }
}
