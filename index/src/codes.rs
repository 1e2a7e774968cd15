//! The codes of a segment or memtable: one row of bytes and its lengths per position, in locked
//! memory.
//!
//! Invariant: what is kept of position p comes from the same vector and the [`Space`] the codes were
//! made with. It stands between quantisation, which knows no positions, and graph and search, which
//! know no vectors.

use crate::arena::Arena;
use crate::decode_error::DecodeError;
use crate::kernel::{Rows, prefetch};
use crate::metric::{MAX_DIMENSION, Metric};
use crate::packing::{is_packed, pack, unpack};
use crate::quantize::{Query, Scale, Space, ratio};
use crate::source::{self, PAGE, Source};
use crate::trailer::{TRAILER, Trailer};
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The newest byte form of codes.
const VERSION: u8 = 5;

/// An empty row, of any stride.
const ZEROS: [u8; MAX_DIMENSION] = [0; MAX_DIMENSION];

/// Rows that one task reads and checks: a multiple of whole pages, whatever the stride, and few enough to be in the cache.
const TASK_ROWS: usize = PAGE / STRIDES;

/// Of which every stride is a multiple.
const STRIDES: usize = 64;

/// The codes of the vectors of one segment, by position.
///
/// A component z of a long code is taken apart, z + 128 = 16·high + low, and the row holds the packed high
/// halves of all components before their low halves. The high halves alone estimate distances well
/// enough to walk by, from half the cache lines; both together are the code.
pub struct Codes {
    /// What the byte form says of itself: version, metric and dimension of the space.
    fields: [u8; 4],
    stride: usize,
    rows: Arena<u8>,
    outlines: Arena<Outline>,
    details: Arena<Detail>,
    /// The greatest norm and the greatest residual.
    greatest: (f32, f32),
    /// Sum of the squares of all norms.
    squares: f64,
}

/// What a walk needs of a row besides its code or high halves, where norms count.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Outline {
    norm: f32,
    /// The fit of what the walk reads: of the code, or of that which the high halves are, each with the
    /// middle of the range of a low one.
    rough_fit: f32,
}

/// What the second look needs of a row besides its code.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Detail {
    fit: f32,
    residual: f32,
}

impl Codes {
    /// No codes yet, with memory set aside for `rows` of them.
    pub fn with_capacity(space: &Space, rows: usize) -> Self {
        let stride = space.stride();
        Self {
            fields: fields(space),
            stride,
            rows: Arena::with_capacity(rows.saturating_mul(stride)),
            outlines: Arena::with_capacity(rows),
            details: Arena::with_capacity(rows),
            greatest: (0.0, 0.0),
            squares: 0.0,
        }
    }

    /// Encodes `vector` as the next position.
    pub fn push(&mut self, space: &Space, vector: &[f32]) {
        let start = self.rows.len();
        self.rows.extend_from_slice(&ZEROS[..self.stride]);
        let row = &mut self.rows[start..];
        let code: &mut [i8] = bytemuck::cast_slice_mut(row);
        let scale = space.encode(vector, code);
        if is_packed(self.stride) {
            pack(row);
        }
        // No code that was just made has components out of range.
        let (outline, detail) = lengths(space, row, scale).unwrap_or_else(|| (Outline::zeroed(), Detail::zeroed()));
        self.push_lengths(outline, detail);
    }

    /// Appends the code at `position` of `others`, which are of the same space, as the next position;
    /// that of the zero vector if it is beyond their end.
    pub fn push_copy(&mut self, others: &Self, position: u32) {
        let at = position as usize;
        let start = self.rows.len();
        let row = others.rows.get(at * others.stride..at * others.stride + self.stride);
        if let (Some(row), Some(outline), Some(detail)) = (row, others.outlines.get(at), others.details.get(at)) {
            self.rows.extend_from_slice(row);
            self.push_lengths(*outline, *detail);
            return;
        }
        self.rows.extend_from_slice(&ZEROS[..self.stride]);
        if is_packed(self.stride) {
            pack(&mut self.rows[start..]);
        }
        self.push_lengths(Outline::zeroed(), Detail::zeroed());
    }

    fn push_lengths(&mut self, outline: Outline, detail: Detail) {
        self.note_lengths(outline, detail);
        self.outlines.extend_from_slice(&[outline]);
        self.details.extend_from_slice(&[detail]);
    }

    fn note_lengths(&mut self, outline: Outline, detail: Detail) {
        let (longest, residual) = self.greatest;
        self.greatest = (longest.max(outline.norm), residual.max(detail.residual));
        self.squares += f64::from(outline.norm) * f64::from(outline.norm);
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.outlines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.outlines.is_empty()
    }

    /// Writes the code at `position` to the front of `code`; zeros beyond the end.
    pub fn read(&self, position: u32, code: &mut [i8]) {
        code.fill(0);
        let row = self.rows.get(position as usize * self.stride..).unwrap_or_default();
        unpack(&row[..self.stride.min(row.len())], code);
    }

    /// A norm that few vectors exceed: the greatest, or twice the root mean square of all if that is less. One that
    /// is far longer than the others must not decide what is near for all.
    pub(crate) fn long(&self) -> f32 {
        let mean = self.squares / self.len().max(1) as f64;
        self.greatest.0.min(2.0 * mean.sqrt() as f32)
    }

    /// The greatest half-width of an interval around `distance`, whichever row has it.
    pub fn greatest_error(&self, query: &Query, distance: f32) -> f32 {
        let (longest, residual) = self.greatest;
        query.error(distance, longest, residual)
    }

    /// The greatest rough key of a row that may be as near as one with `key`, if both are off by as much as any can be.
    pub(crate) fn doubtful_roughly(&self, query: &Query, key: i32) -> i32 {
        let roughly = query.rough_error(if is_packed(self.stride) { 16.0 } else { 1.0 }, self.long());
        query.farther_roughly(key, 2.0 * roughly.max(self.greatest_error(query, query.rough_distance(key))))
    }

    /// Whether [`rough_keys`](Self::rough_keys) are the [`keys`](Self::keys).
    pub(crate) fn has_no_rough_keys(&self, query: &Query) -> bool {
        query.needs_norm() && !is_packed(self.stride)
    }

    /// The lengths of the vector at `position`; 0 beyond the end.
    #[inline]
    pub fn scale(&self, position: u32) -> Scale {
        let at = position as usize;
        match (self.outlines.get(at), self.details.get(at)) {
            (Some(outline), Some(detail)) => Scale { norm: outline.norm, fit: detail.fit },
            _ => Scale::default(),
        }
    }

    /// Estimated distance of the vector at `position` from the query, and the half-width of the
    /// interval around it in which the exact distance lies (three standard deviations).
    pub fn distance(&self, query: &Query, position: u32) -> (f32, f32) {
        let mut key = [0];
        self.keys(query, &[position], &mut key);
        let distance = query.distance(key[0]);
        (distance, self.error(query, position, distance))
    }

    /// Starts loading what [`error`](Self::error) needs to know of the vector at `position`.
    #[inline]
    pub(crate) fn prefetch_error(&self, position: u32) {
        let at = position as usize;
        prefetch(self.details.get(at..=at).unwrap_or_default());
    }

    /// Half-width of the interval around the estimated distance of `position` that holds the exact
    /// one.
    pub(crate) fn error(&self, query: &Query, position: u32, distance: f32) -> f32 {
        let at = position as usize;
        match (self.outlines.get(at), self.details.get(at)) {
            (Some(outline), Some(detail)) => query.error(distance, outline.norm, detail.residual),
            _ => f32::INFINITY,
        }
    }

    /// Integers that order the rows at `positions` as their estimated distances do, into the front
    /// of `keys`; [`Query::distance`] turns them back.
    #[inline]
    pub(crate) fn keys(&self, query: &Query, positions: &[u32], keys: &mut [i32]) {
        if is_packed(self.stride) {
            let (high, low) = self.halves();
            query.nibble_products(high, positions, keys);
            let mut rest = [0; 64];
            for (positions, keys) in positions.chunks(rest.len()).zip(keys.chunks_mut(rest.len())) {
                query.nibble_products(low, positions, &mut rest);
                let of_rows = keys.iter_mut().zip(rest).take(positions.len());
                of_rows.for_each(|(key, rest)| *key = query.joined(*key, rest));
            }
        } else {
            query.products(self.whole(), positions, keys);
        }
        for (key, &position) in keys.iter_mut().zip(positions) {
            *key = query.key(*key, self.scale(position));
        }
    }

    /// Integers that order the rows nearly as [`keys`](Self::keys) do, from as little memory as that
    /// takes: the high halves of packed codes, and for the cosine nothing besides.
    #[inline]
    pub(crate) fn rough_keys(&self, query: &Query, positions: &[u32], keys: &mut [i32]) {
        if is_packed(self.stride) {
            query.nibble_products(self.halves().0, positions, keys);
            keys.iter_mut().take(positions.len()).for_each(|key| *key = query.completed(*key));
        } else {
            query.products(self.whole(), positions, keys);
        }
        if !query.needs_norm() {
            keys.iter_mut().take(positions.len()).for_each(|key| *key = -*key);
            return;
        }
        for (key, &position) in keys.iter_mut().zip(positions) {
            if let Some(&Outline { norm, rough_fit }) = self.outlines.get(position as usize) {
                *key = query.key(*key, Scale { norm, fit: rough_fit });
            }
        }
    }

    /// Starts loading what [`keys`](Self::keys) reads of the rows, or only what [`rough_keys`](Self::rough_keys) does.
    #[inline]
    pub(crate) fn prefetch(&self, query: &Query, positions: &[u32], is_rough: bool) {
        let read = if is_rough { self.rough_len() } else { self.stride };
        Rows::new(&self.rows, self.stride, 0..read).prefetch(positions);
        if query.needs_norm() {
            Rows::new(&self.outlines, 1, 0..1).prefetch(positions);
        }
    }

    /// The rows of codes that are not packed.
    #[inline]
    fn whole(&self) -> Rows<'_, i8> {
        Rows::new(bytemuck::cast_slice(&self.rows), self.stride, 0..self.stride)
    }

    /// The high and the low halves of packed codes.
    #[inline]
    fn halves(&self) -> (Rows<'_, u8>, Rows<'_, u8>) {
        let half = self.stride / 2;
        (Rows::new(&self.rows, self.stride, 0..half), Rows::new(&self.rows, self.stride, half..self.stride))
    }

    /// Bytes that [`keys`](Self::keys) reads of a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        (self.stride + size_of::<Outline>() + size_of::<Detail>()) as u64
    }

    /// Bytes that [`rough_keys`](Self::rough_keys) reads of a row.
    pub(crate) fn rough_row_bytes(&self, query: &Query) -> u64 {
        let outline = if query.needs_norm() { size_of::<Outline>() } else { 0 };
        (self.rough_len() + outline) as u64
    }

    /// Bytes of a row that guide a walk.
    #[inline]
    fn rough_len(&self) -> usize {
        if is_packed(self.stride) { self.stride / 2 } else { self.stride }
    }

    /// Bytes of one code.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.rows.resident_bytes() + self.outlines.resident_bytes() + self.details.resident_bytes()
    }

    /// Whether the system agreed to keep the codes out of swap.
    pub fn is_locked(&self) -> bool {
        self.rows.is_locked() && self.outlines.is_locked() && self.details.is_locked()
    }

    /// The codes as bytes: rows (stride each), norm and fit (4 each) of every row, version, metric (one byte each),
    /// dimension (2), count (4), little-endian. A pure function of the codes.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.rows.len() + 8 * self.len() + TRAILER));
        bytes.extend_from_slice(&self.rows);
        for position in 0..self.len() as u32 {
            let Scale { norm, fit } = self.scale(position);
            bytes.extend(norm.to_le_bytes());
            bytes.extend(fit.to_le_bytes());
        }
        bytes.extend(Trailer::encode(self.fields, self.len()));
        bytes
    }

    /// Reads codes of this space out of their bytes, in the current `rayon` pool.
    ///
    /// # Errors
    /// If the bytes are not codes of this space, and those of the source.
    pub(crate) fn decode<S: Source + ?Sized>(space: &Space, source: &S) -> Result<Self, S::Error> {
        let (fields, stride) = (fields(space), space.stride());
        let trailer = Trailer::read(source, VERSION)?;
        if trailer.fields != fields {
            return Err(DecodeError::OtherSpace.into());
        }
        let count = trailer.rows;
        if count.checked_mul(stride + SCALE) != Some(trailer.body) {
            return Err(DecodeError::Length.into());
        }
        let end = count * stride;
        let scales = source::read(source, end..trailer.body)?;
        let (mut rows, mut outlines, mut details) = (Arena::zeroed(end), Arena::zeroed(count), Arena::zeroed(count));
        let task = TASK_ROWS * stride;
        let kept = outlines.par_chunks_mut(TASK_ROWS).zip(details.par_chunks_mut(TASK_ROWS));
        let read = rows.par_chunks_mut(task).zip(scales.par_chunks(TASK_ROWS * SCALE)).enumerate();
        read.zip(kept).try_for_each(|((number, (rows, scales)), kept)| {
            source.read(number * task, rows)?;
            derive(space, rows, scales, kept).map_err(S::Error::from)
        })?;
        let mut codes = Self { fields, stride, rows, outlines, details, greatest: (0.0, 0.0), squares: 0.0 };
        for position in 0..count {
            codes.note_lengths(codes.outlines[position], codes.details[position]);
        }
        Ok(codes)
    }
}

/// Bytes of the norm and the fit of a row.
const SCALE: usize = 8;

/// What is kept of `rows` besides them, from their `scales`.
fn derive(
    space: &Space,
    rows: &[u8],
    scales: &[u8],
    (outlines, details): (&mut [Outline], &mut [Detail]),
) -> Result<(), DecodeError> {
    let kept = outlines.iter_mut().zip(details);
    for ((row, scale), (outline, detail)) in
        rows.chunks_exact(space.stride()).zip(scales.as_chunks::<SCALE>().0).zip(kept)
    {
        let [n0, n1, n2, n3, f0, f1, f2, f3] = *scale;
        let [norm, fit] = [[n0, n1, n2, n3], [f0, f1, f2, f3]].map(f32::from_le_bytes);
        if ![norm, fit].iter().all(|length| length.is_finite() && *length >= 0.0) {
            return Err(DecodeError::Range { what: "length" });
        }
        let kept = lengths(space, row, Scale { norm, fit });
        // No code has a component that others lack, and kernels need not know it.
        (*outline, *detail) = kept.ok_or(DecodeError::Range { what: "code" })?;
    }
    Ok(())
}

/// What is kept of a row besides its code; `None` if one of its components is -128.
fn lengths(space: &Space, row: &[u8], Scale { norm, fit }: Scale) -> Option<(Outline, Detail)> {
    let kernels = space.kernels();
    let (square, rough_fit) = if is_packed(row.len()) {
        let (high, low) = row.split_at(row.len() / 2);
        let [square, rough] = (kernels.squares)(high, low)?;
        // The code is so near its vector that it can stand for it here.
        (square, fit * ratio(square as f32, rough as f32 / 2.0))
    } else {
        let code: &[i8] = bytemuck::cast_slice(row);
        ((!code.contains(&i8::MIN)).then(|| (kernels.dot)(code, code))?, fit)
    };
    Some((Outline { norm, rough_fit }, Detail { fit, residual: space.residual(fit, square) }))
}

/// Version, metric and dimension: what the bytes end with, before the count.
fn fields(space: &Space) -> [u8; 4] {
    let metric = match space.metric() {
        Metric::Cosine => 0,
        Metric::Dot => 1,
        Metric::L2 => 2,
    };
    let [low, high] = (space.dimension() as u16).to_le_bytes();
    [VERSION, metric, low, high]
}
