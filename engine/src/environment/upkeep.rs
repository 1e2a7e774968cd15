//! What an environment does for itself, when it is told to, and how it is: flush, compact, verify, scrub, drill.

use std::path::Path;

use privacy::Grade as AnchorGrade;
use privacy::access::Permission;
use storage::recovery::{LOGS, SEGMENTS};

use super::Environment;
use crate::drill::{self, Drill};
use crate::error::{Error, Result};
use crate::flush;
use crate::health::Health;
use crate::keys::KEYRING;
use crate::maintain;
use crate::scrub::{self, Scrub};
use crate::step::Step;
use crate::verify::{self, Depth, VerifyReport};

impl Environment {
    /// Writes every memtable into a segment.
    pub fn flush(&self) -> Result<()> {
        self.state.admit(&self.permit, Permission::EnvUpdate)?;
        flush::flush(&self.state)
    }

    /// Flushes, then merges every collection into one segment without dead rows. No graph waits to be rebuilt after
    /// that.
    pub fn compact(&self) -> Result<()> {
        self.state.admit(&self.permit, Permission::EnvUpdate)?;
        maintain::compact(&self.state)
    }

    /// Does the most urgent piece of upkeep, if any; what the background thread does.
    pub fn step(&self) -> Result<Step> {
        self.state.admit(&self.permit, Permission::EnvUpdate)?;
        maintain::step(&self.state, &|| false)
    }

    /// Authenticates every stored byte of every live file and reports what is wrong.
    pub fn verify(&self) -> Result<VerifyReport> {
        verify::verify(&self.state, &self.permit, Depth::Bytes)
    }

    /// [`Environment::verify`], and whether every index says what its rows say, its graph leads everywhere, and no
    /// id is live twice.
    pub fn verify_deep(&self) -> Result<VerifyReport> {
        verify::verify(&self.state, &self.permit, Depth::Meaning)
    }

    /// Authenticates every stored byte of the segment that was checked longest ago; what the background thread does
    /// with each every [`crate::Settings::scrub_days`].
    pub fn scrub(&self) -> Result<Scrub> {
        self.state.admit(&self.permit, Permission::EnvUpdate)?;
        scrub::scrub(&self.state, u64::MAX, &|| false)
    }

    /// Opens this environment inside the copied data directory `copy`, read-only, with the live keyring.
    pub fn drill(&self, copy: &Path) -> Result<Drill> {
        drill::drill(&self.state, &self.permit, copy)
    }

    /// How far the destruction of an anchor reaches, and with it an erasure.
    pub fn anchor_grade(&self) -> AnchorGrade {
        self.state.shared.homes.grade()
    }

    /// Whether it takes writes now.
    pub fn health(&self) -> Health {
        Health::of(&self.state.shared)
    }

    /// Bytes of its segments, logs and keyring.
    pub fn disk_bytes(&self) -> Result<u64> {
        let env = &self.state;
        let mut total = 0;
        for sub in [SEGMENTS, LOGS, KEYRING] {
            let dir = env.dir.sub(sub);
            for name in dir.list().map_err(|e| Error::io("the environment cannot be listed", e))? {
                // A file that upkeep removed meanwhile takes no room.
                total += dir.len(&name).unwrap_or_default();
            }
        }
        Ok(total)
    }
}
