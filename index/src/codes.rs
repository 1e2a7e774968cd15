//! The codes of a segment or memtable: one row of bytes and one norm per position, in locked
//! memory.
//!
//! Invariant: row and norm of position p come from the same vector and the [`Space`] the codes were
//! made with. It stands between quantisation, which knows no positions, and graph and search, which
//! know no vectors.

use crate::arena::Arena;
use crate::codec::{DecodeError, Reader};
use crate::kernel;
use crate::metric::{MAX_DIMENSION, Metric};
use crate::quantize::{Query, Space};
use zeroize::Zeroizing;

/// The newest byte form of codes.
const VERSION: u8 = 1;

/// The code of the zero vector, of any stride.
const ZEROS: [i8; MAX_DIMENSION] = [0; MAX_DIMENSION];

/// The codes of the vectors of one segment, by position.
pub struct Codes {
    /// What the byte form begins with: version, metric and dimension of the space.
    header: [u8; 4],
    stride: usize,
    rows: Arena<i8>,
    norms: Arena<f32>,
}

impl Codes {
    /// No codes yet, with memory set aside for `rows` of them.
    pub fn with_capacity(space: &Space, rows: usize) -> Self {
        let stride = space.stride();
        let header = header(space);
        Self {
            header,
            stride,
            rows: Arena::with_capacity(rows.saturating_mul(stride)),
            norms: Arena::with_capacity(rows),
        }
    }

    /// Encodes `vector` as the next position.
    pub fn push(&mut self, space: &Space, vector: &[f32]) {
        let start = self.rows.len();
        self.rows.extend_from_slice(&ZEROS[..self.stride]);
        let norm = space.encode(vector, &mut self.rows[start..]);
        self.norms.extend_from_slice(&[norm]);
    }

    /// Appends a code that [`Space::encode`] made, as the next position. A code of another length
    /// is cut or filled with zeros.
    pub fn push_code(&mut self, code: &[i8], norm: f32) {
        let common = code.len().min(self.stride);
        self.rows.extend_from_slice(&code[..common]);
        self.rows.extend_from_slice(&ZEROS[common..self.stride]);
        self.norms.extend_from_slice(&[norm]);
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// The code at `position`; empty beyond the end.
    #[inline]
    pub fn code(&self, position: u32) -> &[i8] {
        let start = position as usize * self.stride;
        self.rows.get(start..start + self.stride).unwrap_or_default()
    }

    /// The norm of the vector at `position`; 0 beyond the end.
    #[inline]
    pub fn norm(&self, position: u32) -> f32 {
        self.norms.get(position as usize).copied().unwrap_or_default()
    }

    /// Estimated distance of the vector at `position` from the query, and the half-width of the
    /// interval around it in which the exact distance lies (three standard deviations).
    pub fn distance(&self, query: &Query, position: u32) -> (f32, f32) {
        let mut distance = [0.0];
        self.distances(query, &[position], &mut distance);
        (distance[0], self.error(query, position))
    }

    /// Half-width of the interval around the estimated distance of `position` that holds the exact
    /// one.
    pub(crate) fn error(&self, query: &Query, position: u32) -> f32 {
        query.error(self.code(position), self.norm(position))
    }

    /// Estimated distances of many positions, into the front of `out`; four rows share each load of
    /// the query.
    #[inline]
    pub(crate) fn distances(&self, query: &Query, positions: &[u32], out: &mut [f32]) {
        let norm = |position| {
            if query.needs_norm() { self.norm(position) } else { 0.0 }
        };
        let (fours, rest) = positions.as_chunks::<4>();
        let (out_fours, out_rest) = out.split_at_mut(4 * fours.len());
        for (at, (four, out)) in fours.iter().zip(out_fours.as_chunks_mut::<4>().0).enumerate() {
            // The rows two steps ahead travel while this step computes.
            for &ahead in positions.iter().skip(4 * at + 8).take(4) {
                self.prefetch(ahead);
            }
            let dots = (query.kernels.dot4)(&query.code, four.map(|position| self.code(position)));
            for ((out, dot), &position) in out.iter_mut().zip(dots).zip(four) {
                *out = query.estimate(dot, norm(position));
            }
        }
        for (out, &position) in out_rest.iter_mut().zip(rest) {
            *out = query.estimate((query.kernels.dot)(&query.code, self.code(position)), norm(position));
        }
    }

    /// Starts loading the row at `position`.
    #[inline]
    pub(crate) fn prefetch(&self, position: u32) {
        kernel::prefetch(self.code(position));
    }

    /// Bytes of one code.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.rows.resident_bytes() + self.norms.resident_bytes()
    }

    /// Whether the system agreed to keep the codes out of swap.
    pub fn is_locked(&self) -> bool {
        self.rows.is_locked() && self.norms.is_locked()
    }

    /// The codes as bytes: version, metric (one byte each), dimension (2), count (4), norms (4
    /// each), rows (stride each), little-endian. A pure function of the codes.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 + 4 * self.len() + self.rows.len()));
        bytes.extend(self.header);
        bytes.extend((self.len() as u32).to_le_bytes());
        for norm in self.norms.iter() {
            bytes.extend(norm.to_le_bytes());
        }
        bytes.extend_from_slice(bytemuck::cast_slice(&self.rows));
        bytes
    }

    /// Reads codes of this space.
    ///
    /// # Errors
    /// If the bytes are not codes of this space.
    pub(crate) fn decode(space: &Space, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        if reader.bytes(3)? != &header(space)[1..] {
            return Err(DecodeError::OtherSpace);
        }
        let count = reader.number()? as usize;
        let norms = reader.words(count)?;
        let rows = reader.bytes(count.checked_mul(space.stride()).ok_or(DecodeError::Length)?)?;
        reader.end()?;
        let mut codes = Self::with_capacity(space, count);
        for &norm in norms {
            let norm = f32::from_le_bytes(norm);
            if !norm.is_finite() || norm < 0.0 {
                return Err(DecodeError::Range { what: "norm" });
            }
            codes.norms.extend_from_slice(&[norm]);
        }
        codes.rows.extend_from_slice(bytemuck::cast_slice(rows));
        Ok(codes)
    }
}

/// Version, metric and dimension: what the bytes begin with.
fn header(space: &Space) -> [u8; 4] {
    let metric = match space.metric() {
        Metric::Cosine => 0,
        Metric::Dot => 1,
        Metric::L2 => 2,
    };
    let [low, high] = (space.dimension() as u16).to_le_bytes();
    [VERSION, metric, low, high]
}
