//! The watch over the clock of one environment, between the readings of it.

use std::sync::atomic::{AtomicBool, AtomicU64};

use privacy::Watch;
use storage::manifest::Manifest;
use storage::sync::Mutex;

/// Judges the clock. Invariant: [`crate::doubt`] alone lets it see a reading.
pub(crate) struct Judge {
    pub watch: Mutex<Watch>,
    /// A doubt was told, and the clock has not been believed since.
    pub is_doubted: AtomicBool,
    /// When upkeep looks for records past their window again.
    pub look_at: AtomicU64,
}

impl Judge {
    /// Goes on from what was believed last, unless nothing was kept for a time only: then nobody looked at the clock.
    pub fn resume(manifest: &Manifest, keeps_for_a_time: bool) -> Self {
        let trusted_ms = manifest.trusted_ms.filter(|_| keeps_for_a_time);
        let watch = Mutex::new(Watch::resume(trusted_ms));
        Self { watch, is_doubted: AtomicBool::new(false), look_at: AtomicU64::new(0) }
    }
}
