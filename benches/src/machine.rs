//! What a measurement was made on: processor, instruction set, and how fast memory is read.
//!
//! Invariant: the bandwidth is measured in the same run on the same core, because a figure from a data sheet says nothing
//! about a machine that is shared.
#![expect(clippy::disallowed_methods, reason = "reads what the kernel says about the processor")]

use serde::Serialize;

use crate::bandwidth::Bandwidth;

/// The machine of a measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As the kernel names it.
    pub processor: String,
    /// The widest instruction set of those that engines are written for.
    pub instructions: &'static str,
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes a second, in 10⁹, that one thread reads in order from memory.
    pub read_gb_per_second: f64,
}

impl Machine {
    /// Asks the system, and measures the bandwidth on the current core.
    pub fn here(cores: usize) -> Self {
        Self::measure(cores, &Bandwidth::new())
    }

    /// Asks the system, and measures `bandwidth` on the current core.
    pub fn measure(cores: usize, bandwidth: &Bandwidth) -> Self {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            processor: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            instructions: instructions(),
            cores,
            read_gb_per_second: bandwidth.in_order(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> &'static str {
    if is_x86_feature_detected!("avx512f") {
        "avx512"
    } else if is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> &'static str {
    std::env::consts::ARCH
}
