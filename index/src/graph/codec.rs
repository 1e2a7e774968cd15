//! The graph as bytes and back.
//!
//! Form, all numbers little-endian: version, degree (one byte each), two zero bytes, rows (4 bytes), zeros up to 64
//! bytes, the adjacency (rows × degree numbers), which is searched where it is read.
//!
//! Invariant: whatever decodes is safe to walk: ids exist. A list need not be good or connected;
//! search falls back to scanning when a walk finds too little.

use super::frozen::FrozenGraph;
use super::params::DEGREES;
use crate::arena::Arena;
use crate::codec::{DecodeError, HEADER, Reader, header};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The newest byte form of a graph.
const VERSION: u8 = 3;
/// Numbers in the header's room.
const HEADER_WORDS: usize = HEADER / size_of::<u32>();
/// Numbers that one task checks.
const TASK: usize = 1 << 16;

impl FrozenGraph {
    /// The graph as bytes; a pure function of the graph.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER + 4 * self.adjacency.len()));
        bytes.extend(header([VERSION, self.degree as u8, 0, 0], self.len()));
        for to in self.adjacency.iter() {
            bytes.extend(to.to_le_bytes());
        }
        bytes
    }

    /// Reads a graph over `rows` rows out of its bytes, in the current `rayon` pool.
    ///
    /// # Errors
    /// If the bytes are not such a graph.
    pub(crate) fn decode(mut words: Arena<u32>, rows: usize) -> Result<Self, DecodeError> {
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let degree = usize::from(reader.byte()?);
        if !DEGREES.contains(&degree) {
            return Err(DecodeError::Range { what: "degree" });
        }
        if reader.bytes(2)? != [0, 0] {
            return Err(DecodeError::Range { what: "reserved bytes" });
        }
        if reader.rows()? != rows {
            return Err(DecodeError::Length);
        }
        reader.words(rows.checked_mul(degree).ok_or(DecodeError::Length)?)?;
        reader.end()?;
        words.narrow(HEADER_WORDS..words.len());
        let greatest = words.par_chunks_mut(TASK).map(|words| {
            words.iter_mut().fold(0, |greatest, to| {
                *to = u32::from_le(*to);
                greatest.max(*to)
            })
        });
        if greatest.max().unwrap_or(0) as usize >= rows.max(1) {
            return Err(DecodeError::Range { what: "neighbour" });
        }
        Ok(Self { degree, adjacency: words })
    }
}
