//! APPROVE: who has to → votes shown → checked → told → spent (sealed, synced) → the walk goes on.
//!
//! Invariant: an approval is spent before what it is for is done, so that a crash between costs the votes and never lets the
//! operation be done twice. Where nobody was named to approve, nothing is asked for and nothing is spent. The statement is
//! what the votes are about: the walk makes it of what it is about to do, never of what the caller says it is, and
//! whatever somebody chose stands in quotes in it. What is of the whole database is approved by approvers of the whole
//! database: no environment can hold it up, and none can let it be done.

use std::fmt;

use privacy::access::approval::OPEN_MS_MAX;
use privacy::access::{Approval, Book, Critical, Operation, Quorum, VoterKey};
use privacy::audit::{Act, Name};

use crate::database::Database;
use crate::entropy::{OsEntropy, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;
use crate::system::SYSTEM;

/// How long votes may be gathered for an operation, in milliseconds: a day.
const OPEN_MS: u64 = OPEN_MS_MAX / 7;

/// What is to be approved, and how it reads: what [`VoterKey::vote`] wants.
#[derive(Debug)]
pub struct ApprovalNeeded {
    /// The canonical operation, in hexadecimal digits.
    pub operation: String,
    /// What kind of operation it is, where, until when, and what it does. Votes are about this text.
    pub statement: String,
    /// How many must vote.
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
    /// Fails with `Unapproved` unless enough of those who approve in the environment have voted for what the operation
    /// does. The votes are spent then.
    pub fn approved(&self, permit: &Permit, critical: Critical, does: &str) -> Result<()> {
        match self.shared.approver.get() {
            Some(approver) => approver(permit, &self.name, critical, does),
            None => Ok(()),
        }
    }
}

impl Database {
    /// As [`EnvironmentState::approved`], by those who approve in this environment, or by those of the whole database in
    /// the [system's room](SYSTEM).
    pub(crate) fn approve(&self, permit: &Permit, environment: &str, critical: Critical, does: &str) -> Result<()> {
        let Some(system) = self.system(false)? else { return Ok(()) };
        if system.look(|book| book.quorum(environment).is_none()) {
            return Ok(());
        }
        system.change_if(permit, |book| self.spend(book, permit, environment, (critical, does)))
    }

    /// Spends the votes for an operation in the book, which is to be kept; nothing, where nobody approves. What is to be
    /// told comes back.
    ///
    /// # Errors
    /// `Unapproved`.
    pub(crate) fn spend(
        &self,
        book: &mut Book,
        permit: &Permit,
        environment: &str,
        (critical, does): (Critical, &str),
    ) -> Result<Option<Act>> {
        let Some(needed) = book.quorum(environment).map(Quorum::threshold) else { return Ok(None) };
        let (database, now_ms) = (self.store().into_bytes(), self.inner.shared.clock.now_ms());
        let Some(Approval { operation, votes }) = permit.approval() else {
            let rng = &mut generator(&*self.inner.shared.entropy)?;
            let until = now_ms.saturating_add(OPEN_MS);
            let operation = Operation::new(critical, database, does.as_bytes(), until, rng);
            let (operation, statement) = (operation.to_string(), operation.statement(does));
            let needed = ApprovalNeeded { operation, statement, votes: needed };
            return Err(Error::with(ErrorKind::Unapproved, "this needs the approval of others", needed));
        };
        if !operation.is(critical, does.as_bytes()) {
            let doing = format!("the approval is for something else than this: {does}");
            return Err(Error::new(ErrorKind::Unapproved, doing));
        }
        let unapproved = |e| Error::with(ErrorKind::Unapproved, "this is not approved", e);
        let votes = book.approve(environment, (operation, votes.as_slice()), database, now_ms).map_err(unapproved)?;
        let operation =
            Name::new(critical.as_str()).map_err(|_| Error::corrupt("an operation has an impossible name"))?;
        Ok(Some(Act::ApprovalSpent { operation, votes: votes as u64 }))
    }

    /// Replaces the root key, as [`Database::rotate_root_key`], with the votes of those who approve in the whole database.
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
        self.replace_root_key(source, |present, next| {
            let does = format!("replace the root key {present} by the root key {next}");
            self.approve(&permit, SYSTEM, Critical::RotateRoot, &does)
        })
    }
}

/// What somebody chose, as statements have it: quoted, and in letters that can be told apart.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}

/// A fresh key for somebody who votes.
///
/// # Errors
/// `Io` if the system gives no randomness.
pub fn new_voter_key() -> Result<VoterKey> {
    Ok(VoterKey::generate(&mut generator(&OsEntropy)?))
}
