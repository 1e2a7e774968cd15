//! The graph as bytes and back.
//!
//! Form, all numbers little-endian: version, degree, number of layers (one byte each), a zero byte,
//! rows, entry (4 bytes each), the adjacency (rows × degree numbers); then for each layer, lowest
//! first, its count of rows, the rows, and their links (count × degree/2 ranks).
//!
//! Invariant: whatever decodes is safe to walk: ids and ranks exist, layers nest. A list need not
//! be good or connected; search falls back to scanning when a walk finds too little.

use super::frozen::{FrozenGraph, Layer};
use super::params::DEGREES;
use crate::arena::Arena;
use crate::codec::{DecodeError, Reader};
use zeroize::Zeroizing;

/// The newest byte form of a graph.
const VERSION: u8 = 1;

impl FrozenGraph {
    /// The graph as bytes; a pure function of the graph.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let upper: usize = self.layers.iter().map(|layer| 4 + 4 * (layer.rows.len() + layer.links.len())).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(12 + 4 * self.adjacency.len() + upper));
        bytes.extend([VERSION, self.degree as u8, self.layers.len() as u8, 0]);
        let mut write = |numbers: &[u32]| numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        write(&[self.len() as u32, self.entry]);
        write(&self.adjacency);
        for layer in &self.layers {
            write(&[layer.rows.len() as u32]);
            write(&layer.rows);
            write(&layer.links);
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
        let layer_count = reader.byte()?;
        if reader.byte()? != 0 {
            return Err(DecodeError::Range { what: "reserved byte" });
        }
        let (found, entry) = (reader.number()? as usize, reader.number()?);
        if found != rows {
            return Err(DecodeError::Length);
        }
        if entry as usize >= rows {
            return Err(DecodeError::Range { what: "entry" });
        }
        let words = reader.words(rows.checked_mul(degree).ok_or(DecodeError::Length)?)?;
        let mut adjacency = Arena::zeroed(words.len());
        let mut greatest = 0;
        for (to, &word) in adjacency.iter_mut().zip(words) {
            *to = u32::from_le_bytes(word);
            greatest = greatest.max(*to);
        }
        if greatest as usize >= rows {
            return Err(DecodeError::Range { what: "neighbour" });
        }
        let mut layers: Vec<Layer> = Vec::new();
        for _ in 0..layer_count {
            let layer = read_layer(&mut reader, degree / 2, rows, layers.last())?;
            layers.push(layer);
        }
        reader.end()?;
        Ok(Self { degree, entry, adjacency, layers })
    }
}

/// Reads one layer above `lower`.
fn read_layer(
    reader: &mut Reader<'_>,
    degree: usize,
    rows: usize,
    lower: Option<&Layer>,
) -> Result<Layer, DecodeError> {
    let count = reader.number()? as usize;
    let mut numbers = |count| -> Result<Vec<u32>, DecodeError> {
        Ok(reader.words(count)?.iter().map(|&word| u32::from_le_bytes(word)).collect())
    };
    let layer_rows = numbers(count)?;
    let links = numbers(count.checked_mul(degree).ok_or(DecodeError::Length)?)?;
    if layer_rows.last().is_none_or(|&last| last as usize >= rows) {
        return Err(DecodeError::Range { what: "row of a layer" });
    }
    Layer::new(layer_rows, links, degree, lower).ok_or(DecodeError::Range { what: "layer" })
}
