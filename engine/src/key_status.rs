//! What an operator may know of the keys: names, ages and places, and no key.

use privacy::Grade;
use serde::Serialize;

use crate::bootstrap;
use crate::database::Database;
use crate::error::Result;
use crate::home::KeyHomes;

/// The keys of a database, without any of them. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// The public name of the root key.
    pub root_key: String,
    /// Where it was taken from.
    pub source: &'static str,
    /// Whether a root key lies wrapped under a passphrase in the data directory.
    pub has_passphrase: bool,
    /// The root key before, while some environments may still have it.
    pub rotating_from: Option<String>,
    /// How it is kept in memory.
    pub memory: KeyMemory,
    /// Where anchors and mirrors of keyrings lie outside the data directory.
    pub homes: KeyHomes,
    /// The environments, in name order.
    pub environments: Vec<EnvironmentKeys>,
}

/// How root keys are kept in memory. Other keys live on the heap, and are overwritten when they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyMemory {
    /// Never written to a swap device.
    pub locked: bool,
    /// Missing from core dumps and from forked processes.
    pub kept_out_of_dumps: bool,
}

/// The keys of an environment, without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentKeys {
    /// Its name.
    pub name: String,
    /// How often its anchor was replaced.
    pub epoch: u64,
    /// The public name of the root key that its keyring is sealed with.
    pub root_key: String,
    /// When its KEK and anchor were replaced last, by a rotation or an erasure.
    pub rotated_at: u64,
    /// When upkeep replaces them at the latest; `None` for never.
    pub rotates_by: Option<u64>,
    /// How far the destruction of its anchors reaches: `same_volume`, `other_volume` or `external`.
    pub anchor_grade: &'static str,
    /// Owners that have keys.
    pub owners: usize,
    /// Keys of owners destroyed so far.
    pub destroyed: usize,
}

impl Database {
    /// What there is to know of the keys; opens every environment.
    ///
    /// # Errors
    /// Those of opening them.
    pub fn key_status(&self) -> Result<KeyStatus> {
        let inner = &self.inner;
        let environments = self.environments()?.iter().map(|name| self.keys_of(name)).collect::<Result<_>>()?;
        let (current, previous) = inner.roots.names();
        let protection = inner.roots.protection();
        Ok(KeyStatus {
            root_key: current.to_string(),
            source: inner.source.describe(),
            has_passphrase: !bootstrap::list(&inner.dir)?.is_empty(),
            rotating_from: previous.map(|key| key.to_string()),
            memory: KeyMemory { locked: protection.is_locked, kept_out_of_dumps: protection.is_kept_out },
            homes: inner.shared.homes.clone(),
            environments,
        })
    }

    fn keys_of(&self, name: &str) -> Result<EnvironmentKeys> {
        let env = self.open_environment(name)?.state;
        let root_key = env.keys.sealed_with().to_string();
        let keyring = env.keys.read();
        let rotated_at = keyring.stamp().made_at;
        let days = env.shared.settings.kek_rotation_days;
        let rotates_by = (days > 0).then(|| rotated_at.saturating_add(days.saturating_mul(24 * 60 * 60 * 1000)));
        let anchor_grade = match env.shared.homes.grade() {
            Grade::SameVolume => "same_volume",
            Grade::OtherVolume => "other_volume",
            Grade::External => "external",
        };
        Ok(EnvironmentKeys {
            name: name.to_owned(),
            epoch: keyring.epoch_number(),
            root_key,
            rotated_at,
            rotates_by,
            anchor_grade,
            owners: keyring.entity_count(),
            destroyed: keyring.destroyed_count(),
        })
    }
}
