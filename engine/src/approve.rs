//! APPROVE: who has to → votes shown → checked → told → spent (sealed, synced) → the walk goes on.
//!
//! Invariant: an approval is spent before what it is for is done, so that a crash between costs the votes and never lets the
//! operation be done twice. Where nobody was named to approve, nothing is asked for and nothing is spent. The statement is
//! what the votes are about: the walk makes it of what it is about to do, never of what the caller says it is.

use std::fmt;
use std::sync::Arc;

use privacy::access::approval::OPEN_MS_MAX;
use privacy::access::{Approval, Critical, Operation, Unapproved, VoterKey};
use privacy::audit::{Act, Name};

use crate::database::Database;
use crate::entropy::{OsEntropy, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;
use crate::system::System;

/// How long votes may be gathered for an operation, in milliseconds: a day.
const OPEN_MS: u64 = OPEN_MS_MAX / 7;

/// What is to be approved, and how it reads: what [`VoterKey::vote`] wants.
#[derive(Debug)]
pub struct ApprovalNeeded {
    /// The canonical operation, in hexadecimal digits.
    pub operation: String,
    /// What it does. Votes are about this text.
    pub statement: String,
    /// How many must vote; the most, where several environments are concerned.
    pub votes: usize,
}

impl fmt::Display for ApprovalNeeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApprovalNeeded { operation, statement, votes } = self;
        write!(f, "{votes} votes for the operation {operation}, which says: {statement}")
    }
}

impl std::error::Error for ApprovalNeeded {}

impl Error {
    /// What has to be approved, if that is what is missing.
    pub fn approval_needed(&self) -> Option<&ApprovalNeeded> {
        self.cause()
    }
}

impl EnvironmentState {
    /// Fails with `Unapproved` unless enough of those who approve in the environment have voted for what the statement
    /// says. The votes are spent then.
    pub fn approved(&self, permit: &Permit, critical: Critical, statement: &str) -> Result<()> {
        match self.shared.approver.get() {
            Some(approver) => approver(permit, &self.name, critical, statement),
            None => Ok(()),
        }
    }
}

impl Database {
    /// As [`EnvironmentState::approved`], by those who approve in any of these environments.
    pub(crate) fn approve(
        &self,
        permit: &Permit,
        environments: &[&str],
        critical: Critical,
        statement: &str,
    ) -> Result<()> {
        let Some(system) = self.system(false)? else { return Ok(()) };
        let needed = |book: &privacy::access::Book| {
            environments.iter().filter_map(|name| book.quorum(name)).map(|quorum| quorum.threshold()).max()
        };
        let Some(votes) = system.look(needed) else { return Ok(()) };
        let (database, now_ms) = (self.store().into_bytes(), self.inner.shared.clock.now_ms());
        let Some(Approval { operation, votes }) = permit.approval() else {
            let rng = &mut generator(&*self.inner.shared.entropy)?;
            let until = now_ms.saturating_add(OPEN_MS);
            let operation = Operation::new(critical, database, statement.as_bytes(), until, rng).to_string();
            let needed = ApprovalNeeded { operation, statement: statement.to_owned(), votes };
            return Err(Error::with(ErrorKind::Unapproved, "this needs the approval of others", needed));
        };
        if !operation.is(critical, statement.as_bytes()) {
            let doing = format!("the approval is for something else than this: {statement}");
            return Err(Error::new(ErrorKind::Unapproved, doing));
        }
        spend(&system, permit, critical, |book| {
            book.approve(environments, (operation, votes.as_slice()), database, now_ms)
        })
    }

    /// Replaces the root key, as [`Database::rotate_root_key`], with the votes of those who approve in any environment.
    ///
    /// # Errors
    /// `Unapproved`, if there is anybody to approve and it is not approved; else those of that.
    pub fn rotate_root_key_approved(
        &self,
        source: &crate::root_key::RootKey,
        approval: Option<&Approval>,
    ) -> Result<u64> {
        let permit = Permit::trusted_host();
        let permit = approval.map_or_else(|| permit.clone(), |approval| permit.approved_by(approval));
        self.replace_root_key(source, |present| {
            let Some(system) = self.system(false)? else { return Ok(()) };
            let all: Vec<String> = system.look(|book| book.quorums().map(|(name, _)| name.to_owned()).collect());
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            self.approve(&permit, &all, Critical::RotateRoot, &format!("replace the root key {present} by another"))
        })
    }
}

/// A fresh key for somebody who votes.
///
/// # Errors
/// `Io` if the system gives no randomness.
pub fn new_voter_key() -> Result<VoterKey> {
    Ok(VoterKey::generate(&mut generator(&OsEntropy)?))
}

fn spend(
    system: &Arc<System>,
    permit: &Permit,
    critical: Critical,
    approve: impl Fn(&mut privacy::access::Book) -> Result<usize, Unapproved>,
) -> Result<()> {
    let unapproved = |e| Error::with(ErrorKind::Unapproved, "this is not approved", e);
    // Counted on a copy, so that what is told is how many they were; it is checked again as the book is changed.
    let votes = system.look(|book| approve(&mut book.clone())).map_err(unapproved)?;
    let name = Name::new(critical.as_str()).map_err(|_| Error::corrupt("an operation has an impossible name"))?;
    let act = Act::ApprovalSpent { operation: name, votes: votes as u64 };
    system.change(permit, act, |book| approve(book).map(drop).map_err(unapproved))
}
