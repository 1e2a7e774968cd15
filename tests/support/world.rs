//! A database whose every source of chance is a seed, over memory or over a real directory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Builder, Clock, Database, Entropy, RootKey, Settings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::backend::{Memory, StorageBackend};

/// The root key of every test world.
pub const ROOT_KEY: [u8; 32] = [7; 32];

/// A clock that advances by one millisecond whenever it is read.
#[derive(Default)]
pub struct TickingClock(AtomicU64);

impl TickingClock {
    /// Lets so many milliseconds pass.
    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TickingClock {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Entropy that one seed decides.
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// The source of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(out);
        Ok(())
    }
}

/// Settings under which a few hundred records pass through every kind of segment, one step at a time.
#[must_use]
pub fn small_settings() -> Settings {
    Settings {
        memtable_rows_max: 24,
        flat_below: 16,
        repair_from: 18,
        degree: 8,
        ef_construction: 32,
        threads: 1,
        background: false,
        reserve_bytes: 4096,
        ..Settings::default()
    }
}

/// A builder over `memory`.
#[must_use]
pub fn in_memory(memory: &Memory, seed: u64) -> Builder {
    over(Arc::new(memory.clone()), seed)
}

/// A builder over `backend`.
#[must_use]
pub fn over(backend: Arc<dyn StorageBackend>, seed: u64) -> Builder {
    Database::builder("memory")
        .backend(backend)
        .root_key(RootKey::bytes(ROOT_KEY))
        .settings(small_settings())
        .entropy(Arc::new(SeededEntropy::new(seed)))
        .clock(Arc::new(TickingClock::default()))
}

/// A builder over the directory `path`.
#[must_use]
pub fn on_disk(path: &Path) -> Builder {
    Database::builder(path).root_key(RootKey::bytes(ROOT_KEY)).settings(small_settings())
}
