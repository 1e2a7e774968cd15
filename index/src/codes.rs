//! The codes of a segment or memtable: one row of bytes and one norm per position, in locked
//! memory.
//!
//! Invariant: row and norm of position p come from the same vector and the [`Space`] the codes were
//! made with. It stands between quantisation, which knows no positions, and graph and search, which
//! know no vectors.

use crate::arena::Arena;
use crate::codec::{DecodeError, Reader};
use crate::kernel::Rows;
use crate::kernel::nibbles::{self, GROUP, PACKED};
use crate::metric::{MAX_DIMENSION, Metric};
use crate::quantize::{Query, Space};
use zeroize::{Zeroize, Zeroizing};

/// The newest byte form of codes.
const VERSION: u8 = 2;

/// An empty row, of any stride.
const ZEROS: [u8; MAX_DIMENSION] = [0; MAX_DIMENSION];

/// Codes at least this long are packed. Shorter ones are two or three cache lines anyway, and four
/// bits of few components say too little.
const PACKED_FROM: usize = 256;

/// The codes of the vectors of one segment, by position.
///
/// A component z of a long code is taken apart, z + 128 = 16·high + low, and the row holds the
/// packed high halves of all components before their low halves. The high halves alone estimate
/// distances well enough to walk by, from half the cache lines; both together are the code.
pub struct Codes {
    /// What the byte form begins with: version, metric and dimension of the space.
    header: [u8; 4],
    stride: usize,
    rows: Arena<u8>,
    norms: Arena<f32>,
    /// One bit a position: whether its code has a component at the end of its range.
    clipped: Vec<u64>,
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
            clipped: Vec::with_capacity(rows.div_ceil(64)),
        }
    }

    /// Encodes `vector` as the next position.
    pub fn push(&mut self, space: &Space, vector: &[f32]) {
        self.push_with(|row| space.encode(vector, row));
    }

    /// Appends a code that [`Space::encode`] made, as the next position. A code of another length
    /// is cut or filled with zeros.
    pub fn push_code(&mut self, code: &[i8], norm: f32) {
        self.push_with(|row| {
            row.iter_mut().zip(code).for_each(|(to, &z)| *to = z);
            norm
        });
    }

    /// Appends the code at `position` of `others`, which are of the same space, as the next position;
    /// that of the zero vector if it is beyond their end.
    pub fn push_copy(&mut self, others: &Self, position: u32) {
        let start = position as usize * others.stride;
        let Some(row) = others.rows.get(start..start + self.stride) else { return self.push_code(&[], 0.0) };
        self.rows.extend_from_slice(row);
        self.note_clipped(self.len(), others.is_clipped(position));
        self.norms.extend_from_slice(&[others.norm(position)]);
    }

    /// Appends a row of zeros that `write` turns into a code, whose norm it returns.
    fn push_with(&mut self, write: impl FnOnce(&mut [i8]) -> f32) {
        let (start, is_packed) = (self.rows.len(), self.is_packed());
        self.rows.extend_from_slice(&ZEROS[..self.stride]);
        let row = &mut self.rows[start..];
        let code: &mut [i8] = bytemuck::cast_slice_mut(row);
        let norm = write(code);
        let is_clipped = code.iter().any(|z| z.unsigned_abs() >= 127);
        if is_packed {
            pack(row);
        }
        self.note_clipped(self.len(), is_clipped);
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

    /// Writes the code at `position` to the front of `code`; zeros beyond the end.
    pub fn read(&self, position: u32, code: &mut [i8]) {
        code.fill(0);
        let row = self.rows.get(position as usize * self.stride..).unwrap_or_default();
        let row = &row[..self.stride.min(row.len())];
        if !self.is_packed() {
            code.iter_mut().zip(row).for_each(|(to, &z)| *to = z as i8);
            return;
        }
        let (high, low) = row.split_at(row.len() / 2);
        let halves = high.as_chunks().0.iter().zip(low.as_chunks().0);
        for (group, (high, low)) in code.as_chunks_mut().0.iter_mut().zip(halves) {
            *group = joined(high, low);
        }
    }

    /// The norm of the vector at `position`; 0 beyond the end.
    #[inline]
    pub fn norm(&self, position: u32) -> f32 {
        self.norms.get(position as usize).copied().unwrap_or_default()
    }

    /// Estimated distance of the vector at `position` from the query, and the half-width of the
    /// interval around it in which the exact distance lies (three standard deviations).
    pub fn distance(&self, query: &Query, position: u32) -> (f32, f32) {
        let mut key = [0];
        self.keys(query, &[position], &mut key);
        (query.distance(key[0]), self.error(query, position))
    }

    /// Half-width of the interval around the estimated distance of `position` that holds the exact
    /// one.
    pub(crate) fn error(&self, query: &Query, position: u32) -> f32 {
        if !self.is_clipped(position) {
            return query.error(&[], self.norm(position));
        }
        let mut code = [0; MAX_DIMENSION];
        let code = &mut code[..self.stride];
        self.read(position, code);
        let error = query.error(code, self.norm(position));
        code.zeroize();
        error
    }

    /// Integers that order the rows at `positions` as their estimated distances do, into the front
    /// of `keys`; [`Query::distance`] turns them back.
    #[inline]
    pub(crate) fn keys(&self, query: &Query, positions: &[u32], keys: &mut [i32]) {
        if self.is_packed() {
            let (high, low) = self.halves();
            query.nibble_products(high, positions, keys);
            let mut rest = [0; 64];
            for (positions, keys) in positions.chunks(rest.len()).zip(keys.chunks_mut(rest.len())) {
                query.nibble_products(low, positions, &mut rest);
                let both = keys.iter_mut().zip(&rest).take(positions.len());
                both.for_each(|(key, rest)| *key = query.joined(*key, *rest));
            }
        } else {
            query.products(self.bytes(), positions, keys);
        }
        self.finish_keys(query, positions, keys);
    }

    /// [`keys`](Self::keys) from the high halves alone, where codes are packed.
    #[inline]
    pub(crate) fn rough_keys(&self, query: &Query, positions: &[u32], keys: &mut [i32]) {
        if self.is_packed() {
            query.nibble_products(self.halves().0, positions, keys);
            keys.iter_mut().take(positions.len()).for_each(|key| *key = query.completed(*key));
        } else {
            query.products(self.bytes(), positions, keys);
        }
        self.finish_keys(query, positions, keys);
    }

    /// Turns inner products of codes into keys.
    #[inline]
    fn finish_keys(&self, query: &Query, positions: &[u32], keys: &mut [i32]) {
        if query.needs_norm() {
            for (key, &position) in keys.iter_mut().zip(positions) {
                *key = query.key(*key, self.norm(position));
            }
        }
    }

    /// Whether rows hold high and low halves; otherwise they hold the components themselves.
    #[inline]
    pub(crate) fn is_packed(&self) -> bool {
        self.stride >= PACKED_FROM
    }

    /// The rows of codes that are not packed.
    #[inline]
    pub(crate) fn bytes(&self) -> Rows<'_, i8> {
        Rows::new(bytemuck::cast_slice(&self.rows), self.stride, 0..self.stride)
    }

    /// The high and the low halves of packed codes.
    #[inline]
    fn halves(&self) -> (Rows<'_, u8>, Rows<'_, u8>) {
        let half = self.stride / 2;
        (Rows::new(&self.rows, self.stride, 0..half), Rows::new(&self.rows, self.stride, half..self.stride))
    }

    /// Bytes of one code.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.rows.resident_bytes() + self.norms.resident_bytes() + size_of_val(&*self.clipped)
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
        bytes.extend_from_slice(&self.rows);
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
        codes.rows.extend_from_slice(rows);
        let mut code = Zeroizing::new([0; MAX_DIMENSION]);
        let code = &mut code[..codes.stride];
        for position in 0..count {
            codes.read(position as u32, code);
            let furthest = code.iter().map(|z| z.unsigned_abs()).max().unwrap_or_default();
            if furthest == i8::MIN.unsigned_abs() {
                // No code has it, and kernels need not know it.
                return Err(DecodeError::Range { what: "code" });
            }
            codes.note_clipped(position, furthest == 127);
        }
        Ok(codes)
    }

    fn is_clipped(&self, position: u32) -> bool {
        let word = self.clipped.get(position as usize / 64).copied().unwrap_or_default();
        word >> (position % 64) & 1 == 1
    }

    /// Notes whether the code at `position`, the next one, is clipped.
    fn note_clipped(&mut self, position: usize, is_clipped: bool) {
        if position.is_multiple_of(64) {
            self.clipped.push(0);
        }
        if let Some(word) = self.clipped.last_mut() {
            *word |= u64::from(is_clipped) << (position % 64);
        }
    }
}

/// Takes the components of a row apart: the packed high halves of all before the low halves.
fn pack(row: &mut [u8]) {
    let mut components = [0; MAX_DIMENSION];
    let components = &mut components[..row.len()];
    components.copy_from_slice(row);
    let (high, low) = row.split_at_mut(components.len() / 2);
    let halves = high.as_chunks_mut().0.iter_mut().zip(low.as_chunks_mut().0);
    for (group, (high, low)) in components.as_chunks::<GROUP>().0.iter().zip(halves) {
        *high = nibbles::pack(&group.map(|z| (z ^ 128) >> 4));
        *low = nibbles::pack(&group.map(|z| z ^ 128));
    }
    components.zeroize();
}

/// A group of components from its halves.
#[inline]
fn joined(high: &[u8; PACKED], low: &[u8; PACKED]) -> [i8; GROUP] {
    let (high, low) = (nibbles::unpack(high), nibbles::unpack(low));
    std::array::from_fn(|at| ((high[at] << 4 | low[at]) ^ 128) as i8)
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
