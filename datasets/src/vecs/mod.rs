//! The plain vector files of the field, read row by row; fbin and npy are written, too.
//!
//! | extension | head of the file           | each row                               | from |
//! |-----------|----------------------------|----------------------------------------|------|
//! | `fvecs`   | none                       | u32 dimension, then f32                | Jégou's TEXMEX corpora |
//! | `bvecs`   | none                       | u32 dimension, then u8                 | Jégou's TEXMEX corpora |
//! | `fbin`    | u32 rows, u32 dimension    | f32                                    | Big-ANN-Benchmarks |
//! | `u8bin`   | u32 rows, u32 dimension    | u8                                     | Big-ANN-Benchmarks |
//! | `npy`     | NumPy's header, 1.0 to 3.0 | f16, f32 or f64, two-dimensional, C order | NEP 1 |
//!
//! Everything is little-endian. Invariant: what the head promises is compared with the length of the file before
//! anything is allocated, so a damaged file costs an error and no memory; every error says at which byte.

mod format;
mod layout;
mod npy;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use format::Format;
pub use npy::write as write_npy;
pub use rows::Rows;
pub use source::ReadError;
pub use writer::{Head, RowWriter};
