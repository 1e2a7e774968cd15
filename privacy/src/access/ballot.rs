//! Approvals and votes as people hand them about: text.
//!
//! ```text
//! operation   186 hex digits: the canonical form of an Operation
//! vote        <64 hex digits of the voter's key>:<128 hex digits of the signature>
//! approval    operation, then votes, with spaces between
//! statement   what its voters read: kind, database and end of the operation, and what it does
//! ```
//!
//! Invariant: nothing here is a secret but the [`VoterKey`], which cannot be printed but on purpose, once, into the file of
//! whoever votes. Nobody signs an operation without its statement: what is signed is a hash of what is done, which says
//! nothing to a reader. A statement is of one operation: what voters read of its kind, its database and its end is held
//! against what they sign.

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

    /// Votes for an operation whose [statement](Operation::statement) this is.
    ///
    /// # Errors
    /// [`BallotError::Statement`] for an operation that is or does something else.
    pub fn vote(&self, operation: &Operation, statement: &str) -> Result<Vote, BallotError> {
        let does = statement.strip_prefix(&operation.heading()).ok_or(BallotError::Statement)?;
        if !operation.is(operation.kind(), does.as_bytes()) {
            return Err(BallotError::Statement);
        }
        Ok(Vote::cast(operation, &self.0))
    }
}

impl Operation {
    /// What voters read: what kind of operation it is, on which database and until when, and what it `does`.
    pub fn statement(&self, does: &str) -> String {
        self.heading() + does
    }

    fn heading(&self) -> String {
        let (kind, database) = (self.kind().as_str(), HEXLOWER.encode(self.database()));
        format!("{kind} on the database {database} before {}: ", utc(self.expires_ms()))
    }
}

/// A time in RFC 3339, in UTC, by the days of the proleptic Gregorian calendar since 0000-03-01.
fn utc(time_ms: u64) -> String {
    let (days, second) = (time_ms / 86_400_000 + 719_468, time_ms / 1000 % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month, next) = (day - (153 * month + 2) / 5 + 1, month % 12 + 3, u64::from(month >= 10));
    let month = if month > 12 { month - 12 } else { month };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
    fn times_read_as_they_are() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(time_ms), text);
        }
    }

    #[test]
    fn text_leads_back_and_nobody_signs_what_they_were_not_told() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (one, other) = (VoterKey::generate(rng), VoterKey::generate(rng));
        let operation = Operation::new(Critical::RaiseBudget, [1; 16], b"epsilon 12", 1000, rng);
        let statement = operation.statement("epsilon 12");
        let vote = |key: &VoterKey| key.vote(&operation, &statement).unwrap();
        let votes = vec![vote(&one), vote(&other)];
        let text = Approval { operation: operation.clone(), votes }.to_string();
        let read: Approval = text.parse().unwrap();
        assert_eq!((read.to_string(), &read.operation, read.votes.len()), (text.clone(), &operation, 2));
        let database = "01".repeat(16);
        assert_eq!(
            statement,
            format!("raise_budget on the database {database} before 1970-01-01T00:00:01Z: epsilon 12")
        );
        // What is done, and the kind, the database and the end: each is what is signed, or nothing is.
        for (said, instead) in [("epsilon 12", "epsilon 11"), ("raise", "lower"), ("0101", "0201"), (":01Z", ":02Z")] {
            let other = statement.replacen(said, instead, 1);
            assert_eq!(one.vote(&operation, &other).err(), Some(BallotError::Statement), "{other}");
        }
        assert_eq!(one.vote(&operation, "epsilon 12").err(), Some(BallotError::Statement), "half of it");
        assert_eq!(VoterKey::parse(&one.text()).unwrap().public(), one.public());
        for wrong in ["", "00", &text[1..], &text[..text.len() - 1], &format!("{operation} x"), &text.to_uppercase()] {
            assert!(wrong.parse::<Approval>().is_err(), "{wrong}");
        }
    }
}
