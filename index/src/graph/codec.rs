//! The graph as bytes and back.
//!
//! Form, all numbers little-endian: version, degree (one byte each), two zero bytes, rows (4 bytes),
//! the adjacency (rows × degree numbers).
//!
//! Invariant: whatever decodes is safe to walk: ids exist. A list need not be good or connected;
//! search falls back to scanning when a walk finds too little.

use super::frozen::FrozenGraph;
use super::params::DEGREES;
use crate::arena::Arena;
use crate::codec::{DecodeError, Reader};
use zeroize::Zeroizing;

/// The newest byte form of a graph.
const VERSION: u8 = 2;

impl FrozenGraph {
    /// The graph as bytes; a pure function of the graph.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 + 4 * self.adjacency.len()));
        bytes.extend([VERSION, self.degree as u8, 0, 0]);
        bytes.extend((self.len() as u32).to_le_bytes());
        for to in self.adjacency.iter() {
            bytes.extend(to.to_le_bytes());
        }
        bytes
    }

    /// Reads a graph over `rows` rows.
    ///
    /// # Errors
    /// If the bytes are not such a graph.
    pub fn decode(bytes: &[u8], rows: usize) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let degree = usize::from(reader.byte()?);
        if !DEGREES.contains(&degree) {
            return Err(DecodeError::Range { what: "degree" });
        }
        if reader.bytes(2)? != [0, 0] {
            return Err(DecodeError::Range { what: "reserved bytes" });
        }
        if reader.number()? as usize != rows {
            return Err(DecodeError::Length);
        }
        let words = reader.words(rows.checked_mul(degree).ok_or(DecodeError::Length)?)?;
        reader.end()?;
        let mut adjacency = Arena::zeroed(words.len());
        let mut greatest = 0;
        for (to, &word) in adjacency.iter_mut().zip(words) {
            *to = u32::from_le_bytes(word);
            greatest = greatest.max(*to);
        }
        if greatest as usize >= rows.max(1) {
            return Err(DecodeError::Range { what: "neighbour" });
        }
        Ok(Self { degree, adjacency })
    }
}
