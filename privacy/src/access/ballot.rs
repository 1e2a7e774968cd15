//! Approvals and votes as people hand them about: text.
//!
//! ```text
//! operation   186 hex digits: the canonical form of an Operation
//! vote        <64 hex digits of the voter's key>:<128 hex digits of the signature>
//! approval    operation, then votes, with spaces between
//! ```
//!
//! Invariant: nothing here is a secret but the [`VoterKey`], which cannot be printed but on purpose, once, into the file of
//! whoever votes. Nobody signs an operation without its statement: what is signed is a hash of it, which says nothing to
//! a reader.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::approval::{Operation, Vote};
use crate::secret::SigningKey;
use crate::signature::VerifyingKey;

/// How many votes an approval has at most.
const VOTES_MAX: usize = 32;

/// An operation with the votes for it.
#[derive(Clone, Debug)]
pub struct Approval {
    /// What is to be done.
    pub operation: Operation,
    /// Who is for it.
    pub votes: Vec<Vote>,
}

/// The key that somebody votes with.
pub struct VoterKey(SigningKey);

/// Why a text is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BallotError {
    /// It is no operation.
    #[error("this is no operation that could be approved: one has 186 hexadecimal digits")]
    Operation,
    /// It is no vote.
    #[error("this is no vote, or there are more than {VOTES_MAX}: one reads KEY:SIGNATURE, both in hexadecimal digits")]
    Vote,
    /// It is no key.
    #[error("this is no key of a voter: one has 64 hexadecimal digits")]
    Key,
    /// The statement is another one's.
    #[error("the operation is not the one that the statement says: do not vote for it")]
    Statement,
}

impl VoterKey {
    /// A fresh key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> VoterKey {
        VoterKey(SigningKey::generate(rng))
    }

    /// The key of this text.
    ///
    /// # Errors
    /// [`BallotError::Key`].
    pub fn parse(text: &str) -> Result<VoterKey, BallotError> {
        let bytes = Zeroizing::new(HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| BallotError::Key)?);
        let seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| BallotError::Key)?;
        Ok(VoterKey(SigningKey::from_bytes(seed)))
    }

    /// Its text, for the file that it is kept in.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(self.0.expose()))
    }

    /// The public half: how a quorum knows the voter.
    pub fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    /// Votes for an operation that does what `statement` says.
    ///
    /// # Errors
    /// [`BallotError::Statement`] for an operation that does something else.
    pub fn vote(&self, operation: &Operation, statement: &str) -> Result<Vote, BallotError> {
        if !operation.is(operation.kind(), statement.as_bytes()) {
            return Err(BallotError::Statement);
        }
        Ok(Vote::cast(operation, &self.0))
    }
}

impl FromStr for VerifyingKey {
    type Err = BallotError;

    fn from_str(text: &str) -> Result<VerifyingKey, BallotError> {
        hex(text).map(VerifyingKey).ok_or(BallotError::Key)
    }
}

impl FromStr for Operation {
    type Err = BallotError;

    fn from_str(text: &str) -> Result<Operation, BallotError> {
        let canonical = HEXLOWER.decode(text.as_bytes()).map_err(|_| BallotError::Operation)?;
        Operation::read(&canonical).ok_or(BallotError::Operation)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.canonical()))
    }
}

impl FromStr for Vote {
    type Err = BallotError;

    fn from_str(text: &str) -> Result<Vote, BallotError> {
        let (voter, signature) = text.split_once(':').ok_or(BallotError::Vote)?;
        let voter = voter.parse().map_err(|_| BallotError::Vote)?;
        Ok(Vote { voter, signature: hex(signature).ok_or(BallotError::Vote)? })
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.voter, HEXLOWER.encode(&self.signature))
    }
}

impl FromStr for Approval {
    type Err = BallotError;

    fn from_str(text: &str) -> Result<Approval, BallotError> {
        let mut words = text.split_ascii_whitespace();
        let operation = words.next().ok_or(BallotError::Operation)?.parse()?;
        let votes: Vec<Vote> = words.take(VOTES_MAX + 1).map(str::parse).collect::<Result<_, _>>()?;
        if votes.len() > VOTES_MAX { Err(BallotError::Vote) } else { Ok(Approval { operation, votes }) }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        self.votes.iter().try_for_each(|vote| write!(f, " {vote}"))
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::approval::Critical;
    use super::*;

    #[test]
    fn text_leads_back_and_nobody_signs_what_they_were_not_told() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (one, other) = (VoterKey::generate(rng), VoterKey::generate(rng));
        let operation = Operation::new(Critical::RaiseBudget, [1; 16], b"epsilon 12", 1000, rng);
        let vote = |key: &VoterKey| key.vote(&operation, "epsilon 12").unwrap();
        let votes = vec![vote(&one), vote(&other)];
        let text = Approval { operation: operation.clone(), votes }.to_string();
        let read: Approval = text.parse().unwrap();
        assert_eq!((read.to_string(), &read.operation, read.votes.len()), (text.clone(), &operation, 2));
        assert_eq!(one.vote(&operation, "epsilon 11").err(), Some(BallotError::Statement));
        assert_eq!(VoterKey::parse(&one.text()).unwrap().public(), one.public());
        for wrong in ["", "00", &text[1..], &text[..text.len() - 1], &format!("{operation} x"), &text.to_uppercase()] {
            assert!(wrong.parse::<Approval>().is_err(), "{wrong}");
        }
    }
}
