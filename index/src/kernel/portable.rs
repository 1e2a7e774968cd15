//! The kernels of processors without one of ours: `simsimd`'s, which has forms for NEON, SVE and
//! plain C.
//!
//! Invariant: its result passes through a double, which holds every sum of ours exactly.

use super::panel;
use super::rows::Rows;
use super::scalar;
use super::table::Kernels;
use simsimd::SpatialSimilarity;

pub(super) static KERNELS: Kernels = Kernels {
    name: "simsimd",
    dot,
    dots,
    tiles: panel::tiles,
    nibble_dots,
    squares: scalar::squares,
    unpack: scalar::unpack,
    hadamard: scalar::hadamard,
};

fn dot(a: &[i8], b: &[i8]) -> i32 {
    i8::dot(a, b).map_or_else(|| scalar::dot(a, b), |dot| dot as i32)
}

fn dots(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    for (out, &position) in out.iter_mut().zip(positions) {
        *out = dot(query, rows.row(position));
    }
}

fn nibble_dots(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    for (out, &position) in out.iter_mut().zip(positions) {
        *out = scalar::nibble_dot(query, rows.row(position));
    }
}
