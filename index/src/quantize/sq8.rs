//! The space of a collection: how its vectors become 8-bit codes, and how an inner product of codes
//! becomes an estimate of a distance with a bound on its error.
//!
//! With R the rotation, d' the width, κ = 32 and Δ = 1/(κ√d'): a vector x = n·u of norm n has the
//! code z = clamp(round(R u / Δ), ±127). After the rotation a coordinate of R u has standard
//! deviation 1/√d', and the code covers four of them. A query q = m·v has the code y = round(R v / a)
//! with a = max|R v|/127.
//!
//! A code does not lie exactly along its vector: Δz = c·(u + r) with c = ⟨Δz, u⟩ and r orthogonal to
//! u, and so for the query with b and s. Then ⟨Δz, ay⟩ / (cb) = ⟨u, v⟩ + ⟨u, s⟩ + ⟨r, v⟩ + ⟨r, s⟩, and
//! of u only the part orthogonal to v meets s, of which there is little between neighbours: the error
//! is that of the roundings times the sine of the angle. (Dividing by c is what Gao and Long do for
//! codes of one bit: "RaBitQ", 2024.) 1/c is kept beside each code as its `fit`.
//!
//! Invariant: a code is a pure function of vector, dimension and seed, equal on every processor.

use super::rotation::Rotation;
use crate::kernel::{Kernels, Rows, available, kernels};
use crate::metric::{MAX_DIMENSION, Metric};
use zeroize::Zeroizing;

/// κ: code units per standard deviation of a rotated coordinate, so that codes reach about four of
/// them. A power of two because vectors of few equal components rotate onto a grid whose step is a
/// power of two, too: codes then meet it exactly, where any other step would round all coordinates
/// away from zero together.
const UNITS: f32 = 32.0;

/// Δ·√d': the length of one code unit relative to a coordinate's standard deviation.
pub const STEP: f32 = 1.0 / UNITS;

/// Vectors shorter than this get the code of the zero vector: `f32` cannot resolve their direction.
/// [`Metric::check`] admits them only where direction does not matter.
const MIN_NORM: f32 = 1e-19;

/// The quantised vector space of one collection: metric, dimension and secret rotation.
pub struct Space {
    metric: Metric,
    dimension: usize,
    stride: usize,
    rotation: Rotation,
    kernels: &'static Kernels,
}

/// The lengths that a code does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    /// The vector's norm.
    pub norm: f32,
    /// 1/c: what an inner product with the code must be multiplied by; 0 if the code is all zeros.
    pub fit: f32,
}

/// A query, rotated and quantised once and usable against all codes of the same [`Space`].
pub struct Query {
    code: Zeroizing<Vec<i8>>,
    /// Sum of that code.
    sum: i32,
    kernels: &'static Kernels,
    metric: Metric,
    /// Δ·a/b: what one unit of an inner product of codes is worth, times the row's fit.
    scale: f32,
    norm: f32,
    /// |s|: how far the code points away from the query.
    residual: f32,
    /// Three standard deviations of a coordinate of a random unit vector.
    spread: f32,
}

impl Space {
    /// The space of a collection. `dimension` is 1..=[`MAX_DIMENSION`] (clamped); the same seed
    /// gives the same codes.
    pub fn new(metric: Metric, dimension: usize, seed: &[u8; 32]) -> Self {
        let dimension = dimension.clamp(1, MAX_DIMENSION);
        let stride = dimension.next_multiple_of(64);
        Self { metric, dimension, stride, rotation: Rotation::new(stride, seed), kernels: kernels() }
    }

    /// The instruction sets with which this processor can compare codes, fastest first. Results do not depend
    /// on them.
    pub fn instruction_sets() -> Vec<&'static str> {
        available().iter().map(|kernels| kernels.name).collect()
    }

    /// The same space on another one of the [`instruction_sets`](Self::instruction_sets), for whoever measures or
    /// doubts the one that was chosen; `None` if this processor lacks it.
    pub fn on(self, instruction_set: &str) -> Option<Self> {
        let kernels = available().into_iter().find(|kernels| kernels.name == instruction_set)?;
        Some(Self { kernels, ..self })
    }

    /// The collection's metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Components of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Bytes of a code: the dimension rounded up to a multiple of 64, so that rows fill cache
    /// lines.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The instruction set that compares codes here, for reports.
    pub fn instruction_set(&self) -> &'static str {
        self.kernels.name
    }

    pub(crate) fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Writes the code of `vector` (`dimension` components) into `code` (`stride` bytes) and
    /// returns its lengths. Of slices with other lengths the common part counts.
    pub fn encode(&self, vector: &[f32], code: &mut [i8]) -> Scale {
        let (mut rotated, norm) = self.rotate(vector);
        let units = UNITS * UNITS * self.stride as f32;
        let per_unit = if norm < MIN_NORM { 0.0 } else { units.sqrt() / norm };
        rotated.iter_mut().for_each(|x| *x *= per_unit);
        for (code, &x) in code.iter_mut().zip(rotated.iter()) {
            *code = round(x);
        }
        Scale { norm, fit: ratio(units, product(&rotated, code)) }
    }

    /// Prepares a query (`dimension` components).
    pub fn query(&self, vector: &[f32]) -> Query {
        let (mut rotated, norm) = self.rotate(vector);
        let per_norm = if norm < MIN_NORM { 0.0 } else { norm.recip() };
        rotated.iter_mut().for_each(|x| *x *= per_norm);
        let greatest = in_lanes(&rotated, |most: f32, x| most.max(x.abs())).into_iter().fold(0.0, f32::max);
        let unit = if norm < MIN_NORM { f32::MAX } else { greatest / 127.0 };
        let code: Zeroizing<Vec<i8>> = Zeroizing::new(rotated.iter().map(|x| round(x / unit)).collect());
        let fit = ratio(1.0, unit * product(&rotated, &code));
        let width = self.stride as f32;
        Query {
            sum: code.iter().map(|&y| i32::from(y)).sum(),
            kernels: self.kernels,
            metric: self.metric,
            scale: if norm < MIN_NORM { 0.0 } else { STEP / width.sqrt() * unit * fit },
            norm,
            residual: residual(unit * fit, (self.kernels.dot)(&code, &code)),
            spread: 3.0 / width.sqrt(),
            code,
        }
    }

    /// |r|: how far a code of this fit points away from its vector, for vectors of norm one.
    /// `square` is the inner product of the code with itself.
    pub(crate) fn residual(&self, fit: f32, square: i32) -> f32 {
        residual(STEP / (self.stride as f32).sqrt() * fit, square)
    }

    /// The rotated vector, `stride` coordinates, and its norm.
    fn rotate(&self, vector: &[f32]) -> (Zeroizing<Vec<f32>>, f32) {
        let mut rotated = Zeroizing::new(vec![0.0; 2 * self.stride]);
        let (x, scratch) = rotated.split_at_mut(self.stride);
        for (to, &from) in x.iter_mut().zip(vector) {
            *to = from;
        }
        let norm = norm(x);
        self.rotation.apply(self.kernels, x, scratch);
        rotated.truncate(self.stride);
        (rotated, norm)
    }
}

impl Query {
    /// A query in the same space that [stands for](Self::stand_for) stored rows. Of these the longest would be nearest to all by
    /// the inner product: it is their L2 distance that counts then.
    pub(crate) fn for_rows(&self) -> Self {
        let metric = if self.metric == Metric::Dot { Metric::L2 } else { self.metric };
        Self { code: self.code.clone(), metric, ..*self }
    }

    /// Becomes the row of this scale whose code `read` writes.
    pub(crate) fn stand_for(&mut self, Scale { norm, fit }: Scale, read: impl FnOnce(&mut [i8])) {
        read(&mut self.code);
        let unit = STEP / (self.code.len() as f32).sqrt();
        self.sum = self.code.iter().map(|&z| i32::from(z)).sum();
        self.scale = unit * unit * fit;
        self.norm = norm;
        self.residual = residual(unit * fit, (self.kernels.dot)(&self.code, &self.code));
    }

    /// Inner products of the query's code with the rows at `positions`, into the front of `out`.
    #[inline]
    pub(crate) fn products(&self, rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
        (self.kernels.dots)(&self.code, rows, positions, out);
    }

    /// Inner products of the query's code with packed rows of four bits a component.
    #[inline]
    pub(crate) fn nibble_products(&self, rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
        (self.kernels.nibble_dots)(&self.code, rows, positions, out);
    }

    /// The inner product with a row from those with its high and low halves, where z = 16·high +
    /// low - 128.
    #[inline]
    pub(crate) fn joined(&self, high: i32, low: i32) -> i32 {
        16 * high + low - 128 * self.sum
    }

    /// The inner product with a row from that with its high halves, if each low half were in the
    /// middle of its range.
    #[inline]
    pub(crate) fn completed(&self, high: i32) -> i32 {
        16 * high - 241 * self.sum / 2
    }

    /// The key of a row whose code has the inner product `product` with the query's. Keys order
    /// rows as estimated distances do.
    #[inline]
    pub(crate) fn key(&self, product: i32, Scale { norm, fit }: Scale) -> i32 {
        let cosine = self.scale * fit * product as f32;
        let distance = match self.metric {
            Metric::Cosine => 1.0 - cosine,
            Metric::Dot => -(norm * self.norm * cosine),
            Metric::L2 => norm * norm + self.norm * self.norm - 2.0 * norm * self.norm * cosine,
        };
        ordered(distance.to_bits())
    }

    /// The estimated distance that `key` stands for.
    #[inline]
    pub(crate) fn distance(&self, key: i32) -> f32 {
        f32::from_bits(ordered(key as u32) as u32)
    }

    /// The key of a distance `1 + slack` times as far as that of `key` from the least that any row can
    /// have: 0, and for the inner product that of a row of norm `longest` in the query's direction.
    pub(crate) fn beyond(&self, key: i32, slack: f32, longest: f32) -> i32 {
        let least = if self.metric == Metric::Dot { -longest * self.norm } else { 0.0 };
        let distance = self.distance(key);
        ordered((distance + (distance - least).abs() * slack).to_bits())
    }

    /// [`beyond`](Self::beyond) for rough keys, which for the cosine are negated products.
    #[inline]
    pub(crate) fn beyond_roughly(&self, key: i32, slack: f32, longest: f32) -> i32 {
        if self.needs_norm() {
            return self.beyond(key, slack, longest);
        }
        // (1 + scale·key)(1 + slack) = 1 + scale·(key + more). Of a query of zeros no row is any nearer.
        let more = slack * (1.0 / self.scale + key as f32);
        key.saturating_add(more as i32)
    }

    /// The key of a distance greater by `more` than that of `key`.
    pub(crate) fn farther(&self, key: i32, more: f32) -> i32 {
        ordered((self.distance(key) + more).to_bits())
    }

    /// [`farther`](Self::farther) for rough keys.
    #[inline]
    pub(crate) fn farther_roughly(&self, key: i32, more: f32) -> i32 {
        if self.needs_norm() { self.farther(key, more) } else { key.saturating_add((more / self.scale) as i32) }
    }

    /// The estimated distance that a rough key stands for.
    #[inline]
    pub(crate) fn rough_distance(&self, key: i32) -> f32 {
        if self.needs_norm() { self.distance(key) } else { 1.0 + self.scale * key as f32 }
    }

    /// Whether rows are ordered by more than the angle.
    pub(crate) fn needs_norm(&self) -> bool {
        self.metric != Metric::Cosine
    }

    /// How far off a distance estimated from components cut to multiples of `step` can be, for rows of up to this
    /// norm: three standard deviations of the roundings, each spread evenly over a step.
    #[inline]
    pub(crate) fn rough_error(&self, step: f32, norm: f32) -> f32 {
        let off = self.spread * STEP * step / 12.0_f32.sqrt();
        match self.metric {
            Metric::Cosine => off,
            Metric::Dot => norm * self.norm * off,
            Metric::L2 => 2.0 * norm * self.norm * off,
        }
    }

    /// Half-width of the interval around an estimated distance that holds the exact one: three
    /// standard deviations of what the roundings of both codes, which the rotation makes
    /// independent of the directions compared unless these are the same, add to the cosine.
    pub(crate) fn error(&self, distance: f32, norm: f32, residual: f32) -> f32 {
        let squares = norm * norm + self.norm * self.norm;
        let cosine = match self.metric {
            Metric::Cosine => 1.0 - distance,
            Metric::Dot => -distance / (norm * self.norm),
            Metric::L2 => (squares - distance) / (2.0 * norm * self.norm),
        };
        let sine = (1.0 - cosine * cosine).max(0.0).sqrt();
        let slope = self.spread * (residual * residual + self.residual * self.residual).sqrt();
        // The sine is that of an estimated angle: one that is off by e hides up to 2·e of its square.
        // Of a query that all but equals the row, both codes are rounded the same way, and nothing averages out.
        let alike = (1.0 - sine / (4.0 * (residual + self.residual)).max(f32::MIN_POSITIVE)).max(0.0);
        let both = residual * self.residual * (self.spread + alike);
        let off = slope * (sine + 2.0 * slope) + both + 4.0 * f32::EPSILON;
        let off = if norm < MIN_NORM || self.norm < MIN_NORM { 1.0 } else { off };
        match self.metric {
            Metric::Cosine => off,
            Metric::Dot => norm * self.norm * off,
            // The norms' own rounding counts too: for near duplicates it is all there is.
            Metric::L2 => 2.0 * norm * self.norm * off + 4.0 * f32::EPSILON * squares,
        }
    }
}

/// How far a code points away from its vector of norm one, where `unit` is what one unit of the code is
/// worth once it is as long along the vector as the vector, and `square` its inner product with itself.
fn residual(unit: f32, square: i32) -> f32 {
    let square = f64::from(unit) * f64::from(unit) * f64::from(square);
    (square - 1.0).max(0.0).sqrt() as f32
}

/// The quotient, or 0 where there is none.
pub(crate) fn ratio(a: f32, b: f32) -> f32 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// Inner product of a vector with a code, in double precision.
fn product(vector: &[f32], code: &[i8]) -> f32 {
    let mut lanes = [0.0_f64; 16];
    for (xs, zs) in vector.as_chunks::<16>().0.iter().zip(code.as_chunks::<16>().0) {
        for ((lane, &x), &z) in lanes.iter_mut().zip(xs).zip(zs) {
            *lane += f64::from(x) * f64::from(z);
        }
    }
    lanes.into_iter().sum::<f64>() as f32
}

/// Turns the bits of a float into an integer that compares as the float does, by flipping all bits
/// but the sign of negative ones; and back.
#[inline]
fn ordered(bits: u32) -> i32 {
    let bits = bits as i32;
    bits ^ ((bits >> 31) & i32::MAX)
}

/// The nearest code, ties to even; -127 for what is not a number.
#[inline]
#[expect(clippy::manual_clamp, reason = "clamp would keep what is not a number")]
fn round(x: f32) -> i8 {
    // Adding 1.5·2^23 leaves no fraction bits, so the addition itself rounds, and the lowest bits are those of the
    // integer: all of it in instructions that every processor has for vectors.
    const SHIFT: f32 = 12_582_912.0;
    (x.max(-127.0).min(127.0) + SHIFT).to_bits() as i8
}

/// Euclidean norm in double precision.
fn norm(x: &[f32]) -> f32 {
    in_lanes(x, |sum: f64, x| sum + f64::from(x) * f64::from(x)).into_iter().sum::<f64>().sqrt() as f32
}

/// Folds a multiple of sixteen numbers in as many lanes: fast, and the same on every processor.
fn in_lanes<T: Copy + Default>(x: &[f32], fold: impl Fn(T, f32) -> T) -> [T; 16] {
    let mut lanes = [T::default(); 16];
    for chunk in x.as_chunks::<16>().0 {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = fold(*lane, x);
        }
    }
    lanes
}
