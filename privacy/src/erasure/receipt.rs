//! The receipt of an erasure: what was done, signed, and proven to stand in the audit log.
//!
//! ```text
//! [format, statement, signature, event, [hash, …], checkpoint]
//! ```
//!
//! Invariant: a receipt that verifies says what the signer said: every byte of it is signed, or leads to what is, but for
//! lines that further witnesses may add below the checkpoint. It is
//! checked with the environment's public key alone, without a database. It names nobody: who has an id and its salt can
//! tell that the receipt is about that id, and nobody else can.

use minicbor::Decoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::facts::{Erased, Purging, Shredding, Stamp};
use super::job::{Job, Stage};
use super::subject::Subject;
use crate::audit::{
    Act, Checkpoint, CheckpointError, Event, Hash, InclusionProof, Origin, Outcome, ProofError, leaf_hash,
};
use crate::cbor::{Malformed, array, decoded, fixed, length, written};
use crate::entity::EntityId;
use crate::keyring::Grade;
use crate::seal::Scope;
use crate::secret::{Salt, SigningKey};
use crate::signature::{SIGNATURE, SignatureError, VerifyingKey};

/// The format written, and the newest that is read.
const FORMAT: u64 = 1;
/// What is signed begins with this, which no note does: the key signs checkpoints too.
const LABEL: &[u8] = b"lethedb receipt v1\0";

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The environment.
    pub scope: Scope,
    /// The number of the job in it.
    pub job: u64,
    /// When the erasure was asked for.
    pub begun: Stamp,
    /// When no read returned the entities any more.
    pub hidden: Stamp,
    /// When their keys were destroyed.
    pub shredded: Stamp,
    /// When no live file held a row of theirs.
    pub purged: Stamp,
    /// When every index was one that never knew them; `None` if that was to come.
    pub rebuilt: Option<Stamp>,
    /// The entities, by subject.
    pub erased: Vec<Erased>,
    /// What shredding did.
    pub shredding: Shredding,
    /// What purging did.
    pub purging: Purging,
}

/// A statement with its signature, to be told to the audit log.
pub struct Signed {
    statement: Statement,
    bytes: Vec<u8>,
    signature: [u8; SIGNATURE],
}

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    statement: Statement,
    bytes: Vec<u8>,
    signature: [u8; SIGNATURE],
    event: Vec<u8>,
    path: Vec<Hash>,
    checkpoint: String,
}

/// Why bytes are no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// Not the encoding of a receipt.
    #[error("this is no receipt, or one that was changed")]
    Malformed,
    /// Written by a newer version of this engine.
    #[error("the receipt has format {found}, the newest known here is {max}")]
    Newer {
        /// The receipt's format.
        found: u64,
        /// The newest format that is read here.
        max: u64,
    },
}

/// Which check a receipt did not pass. They are made in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnverifiedReceipt {
    /// The statement is not signed by this key.
    #[error("the statement of the receipt is not what was signed, or another key signed it")]
    Signature(#[source] SignatureError),
    /// The checkpoint is not signed by this key for this environment's log.
    #[error("the checkpoint in the receipt is not of this environment's audit log")]
    Checkpoint(#[source] CheckpointError),
    /// The event in the receipt does not tell of this statement.
    #[error("the audit event in the receipt is of another erasure")]
    Event,
    /// The event is not proven to be in the log.
    #[error("the receipt does not prove that its event is in the audit log")]
    Inclusion(#[source] ProofError),
}

impl Statement {
    /// What can be said of a job; `None` before it has purged.
    pub fn of(job: &Job, scope: Scope) -> Option<Statement> {
        Some(Statement {
            scope,
            job: job.number(),
            begun: job.begun(),
            hidden: job.reached(Stage::Hidden)?,
            shredded: job.reached(Stage::Shredded)?,
            purged: job.reached(Stage::Purged)?,
            rebuilt: job.reached(Stage::Rebuilt),
            erased: job.erased().to_vec(),
            shredding: job.shredding()?.clone(),
            purging: job.purging()?,
        })
    }

    /// How many records went, saturating.
    pub fn records(&self) -> u64 {
        self.erased.iter().fold(0, |sum, erased| sum.saturating_add(erased.records))
    }

    /// How far the destruction of keys reached: as far as the weakest anchor store, since each held the same anchor.
    /// `None` if there was no store.
    pub fn grade(&self) -> Option<Grade> {
        self.shredding.anchors.iter().min().copied()
    }

    /// Signs the statement.
    pub fn sign(self, key: &SigningKey) -> Signed {
        let bytes = encode(&self);
        let signature = key.sign(&[LABEL, &bytes].concat());
        Signed { statement: self, bytes, signature }
    }

    fn stamps(&self) -> impl Iterator<Item = Stamp> {
        [self.begun, self.hidden, self.shredded, self.purged].into_iter().chain(self.rebuilt)
    }
}

impl Signed {
    /// The act by which the audit log tells of this statement.
    pub fn act(&self) -> Act {
        finished(&self.statement, &self.bytes)
    }

    /// The receipt, with the event that told of it, the proof that it is in the log and the checkpoint signed there.
    pub fn prove(self, event: Vec<u8>, proof: InclusionProof, checkpoint: String) -> Receipt {
        let Signed { statement, bytes, signature } = self;
        Receipt { statement, bytes, signature, event, path: proof.path, checkpoint }
    }
}

fn finished(statement: &Statement, bytes: &[u8]) -> Act {
    let receipt = Sha256::digest(bytes).into();
    Act::ErasureFinished { job: statement.job, receipt, records: statement.records() }
}

impl Receipt {
    /// What it says. To be believed after [`Receipt::verify`] alone.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The signed checkpoint of the audit log that it is proven in. Who has kept another can ask for a consistency
    /// proof between the two.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// The audit event that tells of it, as bytes.
    pub fn event(&self) -> &[u8] {
        &self.event
    }

    /// The hashes from the event to the root in the checkpoint.
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The signature over the statement.
    pub fn signature(&self) -> &[u8; SIGNATURE] {
        &self.signature
    }

    /// The entity with this id, if the receipt is about it.
    pub fn about(&self, entity: &EntityId, salt: &Salt) -> Option<Erased> {
        let subject = Subject::of(salt, entity);
        self.statement.erased.iter().find(|erased| erased.subject == subject).copied()
    }

    /// Checks that `key` has signed the statement and the log that it is in.
    ///
    /// # Errors
    /// [`UnverifiedReceipt`], which says what did not hold.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), UnverifiedReceipt> {
        let signed = [LABEL, &self.bytes].concat();
        key.verify(&signed, &self.signature).map_err(UnverifiedReceipt::Signature)?;
        // Whichever log of the environment this is: one may be lost and followed by another.
        let scope = self.statement.scope;
        let origin = Origin::named_in(&self.checkpoint, scope).unwrap_or_else(|| Origin::of(scope));
        let checkpoint = Checkpoint::open(&self.checkpoint, &origin, key).map_err(UnverifiedReceipt::Checkpoint)?;
        let event = Event::decode(&self.event).map_err(|_| UnverifiedReceipt::Event)?;
        let told = (event.entry.act, event.entry.outcome);
        if told != (finished(&self.statement, &self.bytes), Outcome::Done) {
            return Err(UnverifiedReceipt::Event);
        }
        let proof = InclusionProof { index: event.sequence, size: checkpoint.size, path: self.path.clone() };
        proof.verify(&leaf_hash(&self.event), &checkpoint.root).map_err(UnverifiedReceipt::Inclusion)
    }

    /// The receipt as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = written(|e| {
            e.array(6)?.u64(FORMAT)?.bytes(&self.bytes)?.bytes(&self.signature)?.bytes(&self.event)?;
            e.array(self.path.len() as u64)?;
            self.path.iter().try_for_each(|hash| e.bytes(hash).map(drop))?;
            e.str(&self.checkpoint).map(drop)
        });
        bytes.to_vec()
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError`], if it is none or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
        let format = |d: &mut Decoder<'_>| {
            length(d)?;
            Ok(d.u64()?)
        };
        match format(&mut Decoder::new(bytes)) {
            Ok(found) if found > FORMAT => return Err(ReceiptError::Newer { found, max: FORMAT }),
            Ok(FORMAT) => {}
            Ok(_) | Err(Malformed) => return Err(ReceiptError::Malformed),
        }
        let read = |d: &mut Decoder<'_>| {
            fixed(d, 6)?;
            d.u64()?;
            let (bytes, signature, event) = (d.bytes()?.to_vec(), array(d)?, d.bytes()?.to_vec());
            let path = (0..length(d)?).map(|_| array(d)).collect::<Result<_, _>>()?;
            let statement = decode(&bytes)?;
            Ok(Receipt { statement, bytes, signature, event, path, checkpoint: d.str()?.to_owned() })
        };
        decoded(bytes, |receipt: &Receipt| receipt.encode().into(), read).map_err(|Malformed| ReceiptError::Malformed)
    }
}

/// `[database, environment, job, [begun, hidden, shredded, purged, rebuilt?], erased, shredding, purging]`.
fn encode(statement: &Statement) -> Vec<u8> {
    let bytes = written(|e| {
        e.array(7)?.bytes(&statement.scope.database)?.bytes(&statement.scope.environment)?.u64(statement.job)?;
        e.array(statement.stamps().count() as u64)?;
        statement.stamps().try_for_each(|stamp| stamp.write(e))?;
        Erased::write_all(&statement.erased, e)?;
        statement.shredding.write(e)?;
        statement.purging.write(e)
    });
    bytes.to_vec()
}

fn decode(bytes: &[u8]) -> Result<Statement, Malformed> {
    decoded(
        bytes,
        |statement: &Statement| encode(statement).into(),
        |d| {
            fixed(d, 7)?;
            let scope = Scope { database: array(d)?, environment: array(d)? };
            let job = d.u64()?;
            let stamps = (0..length(d)?).map(|_| Stamp::read(d)).collect::<Result<Vec<_>, _>>()?;
            let (begun, hidden, shredded, purged, rebuilt) = match *stamps {
                [begun, hidden, shredded, purged] => (begun, hidden, shredded, purged, None),
                [begun, hidden, shredded, purged, rebuilt] => (begun, hidden, shredded, purged, Some(rebuilt)),
                _ => return Err(Malformed),
            };
            if !Stamp::are_forward(stamps) {
                return Err(Malformed);
            }
            let (erased, shredding, purging) = (Erased::read_all(d)?, Shredding::read(d)?, Purging::read(d)?);
            Ok(Statement { scope, job, begun, hidden, shredded, purged, rebuilt, erased, shredding, purging })
        },
    )
}

#[cfg(test)]
mod tests;
