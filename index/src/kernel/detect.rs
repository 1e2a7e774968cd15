//! Chooses the kernels of this processor, once per process.
//!
//! Invariant: a kernel is handed out only after the processor said that it has the instructions.

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use super::{portable, table::Kernels};
use std::sync::OnceLock;

/// The fastest kernels of this processor.
pub fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| available().first().copied().unwrap_or(&portable::KERNELS))
}

/// Every table this processor can run, fastest first.
pub fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        tables.extend(avx512::kernels());
        tables.extend(avx2::kernels());
    }
    tables.push(&portable::KERNELS);
    tables
}
