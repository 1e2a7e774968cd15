//! The kernels of processors without one of ours: `simsimd`'s, which has forms for NEON, SVE and
//! plain C.
//!
//! Invariant: its result passes through a double, which holds every sum of ours exactly.

use super::{scalar, table::Kernels};
use simsimd::SpatialSimilarity;

pub(super) static KERNELS: Kernels = Kernels { name: "simsimd", dot, dot4 };

fn dot(a: &[i8], b: &[i8]) -> i32 {
    i8::dot(a, b).map_or_else(|| scalar::dot(a, b), |dot| dot as i32)
}

fn dot4(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    rows.map(|row| dot(query, row))
}
