//! The space of a collection: how its vectors become 8-bit codes, and how an inner product of codes
//! becomes an estimate of a distance with a bound on its error.
//!
//! With R the rotation, d' the width, κ = 32 and Δ = 1/(κ√d'): a vector of norm n has the code z =
//! clamp(round(R x / (nΔ)), ±127), so that nΔz ≈ R x. After the rotation a coordinate of R x / n
//! has standard deviation 1/√d', and the code covers four of them. A query q has the code y =
//! round(R q / a) with a = max|R q|/127. Then ⟨x, q⟩ ≈ n·Δ·a·⟨z, y⟩.
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

/// The rounding error of a stored code, relative to the vector's norm: Δ√(d'/12) = 1/(κ√12), the
/// root mean square of a uniform error of one unit in each coordinate.
const ROUNDING: f32 = STEP * 0.288_675_13;

/// Vectors shorter than this get the code of the zero vector: `f32` cannot resolve their direction.
/// [`Metric::check`] admits them only where direction does not matter.
const MIN_NORM: f32 = 1e-19;

/// How far beyond its code a clipped coordinate may lie, in code units. Beyond four standard
/// deviations a Gaussian falls off like an exponential with a mean of a quarter of one; this is
/// five times that.
const EXCESS: f32 = UNITS * 1.25;

/// The quantised vector space of one collection: metric, dimension and secret rotation.
pub struct Space {
    metric: Metric,
    dimension: usize,
    stride: usize,
    rotation: Rotation,
    kernels: &'static Kernels,
}

/// A query, rotated and quantised once and usable against all codes of the same [`Space`].
pub struct Query {
    /// The query's code, for the cosine negated: its products with rows then rise with distance.
    code: Zeroizing<Vec<i8>>,
    /// Sum of that code.
    sum: i32,
    kernels: &'static Kernels,
    metric: Metric,
    /// Δ·a: what one unit of an inner product of codes is worth per unit of the row's norm. For the
    /// cosine the query is normalised first.
    scale: f32,
    norm: f32,
    /// Three standard deviations of an estimated inner product, for norms of one.
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
    /// returns the vector's norm. Of slices with other lengths the common part counts.
    pub fn encode(&self, vector: &[f32], code: &mut [i8]) -> f32 {
        let (rotated, norm) = self.rotate(vector);
        let per_unit = if norm < MIN_NORM { 0.0 } else { UNITS * (self.stride as f32).sqrt() / norm };
        for (code, &x) in code.iter_mut().zip(rotated.iter()) {
            *code = round(x * per_unit);
        }
        norm
    }

    /// Prepares a query (`dimension` components).
    pub fn query(&self, vector: &[f32]) -> Query {
        let (mut rotated, mut norm) = self.rotate(vector);
        if self.metric == Metric::Cosine && norm >= MIN_NORM {
            rotated.iter_mut().for_each(|x| *x /= norm);
            norm = 1.0;
        }
        let greatest = in_lanes(&rotated, |most: f32, x| most.max(x.abs())).into_iter().fold(0.0, f32::max);
        let width = (self.stride as f32).sqrt();
        let unit = if norm < MIN_NORM { f32::MAX } else { greatest / 127.0 };
        let mut code: Zeroizing<Vec<i8>> = Zeroizing::new(rotated.iter().map(|x| round(x / unit)).collect());
        rotated.iter_mut().zip(code.iter()).for_each(|(x, &y)| *x = (*x - unit * f32::from(y)) / norm);
        let error: f32 = in_lanes(&rotated, |sum: f32, x| sum + x * x).into_iter().sum();
        if self.metric == Metric::Cosine {
            code.iter_mut().for_each(|y| *y = -*y);
        }
        Query {
            sum: code.iter().map(|&y| i32::from(y)).sum(),
            code,
            kernels: self.kernels,
            metric: self.metric,
            scale: if norm < MIN_NORM { 0.0 } else { STEP / width * unit },
            norm,
            spread: if norm < MIN_NORM { 1.0 } else { 3.0 * (ROUNDING * ROUNDING + error).sqrt() / width },
        }
    }

    /// The rotated vector, `stride` coordinates, and its norm.
    fn rotate(&self, vector: &[f32]) -> (Zeroizing<Vec<f32>>, f32) {
        let mut rotated = Zeroizing::new(vec![0.0; 2 * self.stride]);
        let (x, scratch) = rotated.split_at_mut(self.stride);
        for (to, &from) in x.iter_mut().zip(vector) {
            *to = from;
        }
        let norm = norm(x);
        self.rotation.apply(x, scratch);
        rotated.truncate(self.stride);
        (rotated, norm)
    }
}

impl Query {
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

    /// The key of a row of norm `norm` whose code has the inner product `product` with the query's.
    /// Keys order rows as estimated distances do. For the cosine, the product is the key.
    #[inline]
    pub(crate) fn key(&self, product: i32, norm: f32) -> i32 {
        let product = self.scale * product as f32;
        match self.metric {
            Metric::Cosine | Metric::Dot => ordered((-(norm * product)).to_bits()),
            Metric::L2 => ordered((norm * norm + self.norm * self.norm - 2.0 * norm * product).to_bits()),
        }
    }

    /// The estimated distance that `key` stands for.
    #[inline]
    pub(crate) fn distance(&self, key: i32) -> f32 {
        match self.metric {
            Metric::Cosine => 1.0 + self.scale * key as f32,
            Metric::Dot | Metric::L2 => f32::from_bits(ordered(key as u32) as u32),
        }
    }

    /// Half-width of the interval around an estimate that holds the exact distance to a row: three
    /// standard deviations of the rounding errors of both codes, which the rotation makes
    /// independent of the directions compared, and what the row's clipped coordinates may hide. The
    /// code of a row that has none may be empty.
    pub(crate) fn error(&self, code: &[i8], norm: f32) -> f32 {
        let rounding = if norm < MIN_NORM { 1.0 } else { self.spread };
        let product = self.norm * rounding + self.scale * EXCESS * self.clipped(code);
        match self.metric {
            Metric::Cosine => product,
            Metric::Dot => norm * product,
            // The norms' own rounding counts too: for near duplicates it is all there is.
            Metric::L2 => 2.0 * norm * product + 4.0 * f32::EPSILON * (norm * norm + self.norm * self.norm),
        }
    }

    /// Sum of the query's codes, without signs, where the row's are clipped.
    fn clipped(&self, code: &[i8]) -> f32 {
        let pairs = code.iter().zip(self.code.iter());
        pairs.filter(|(z, _)| z.unsigned_abs() >= 127).map(|(_, y)| f32::from(y.unsigned_abs())).sum()
    }

    pub(crate) fn needs_norm(&self) -> bool {
        self.metric != Metric::Cosine
    }
}

/// Turns the bits of a float into an integer that compares as the float does, by flipping all bits
/// but the sign of negative ones; and back.
#[inline]
fn ordered(bits: u32) -> i32 {
    let bits = bits as i32;
    bits ^ ((bits >> 31) & i32::MAX)
}

/// The nearest code, ties to even; 0 for what is not a number.
fn round(x: f32) -> i8 {
    // Adding 1.5·2^23 leaves no fraction bits, so the addition itself rounds; unlike
    // `round_ties_even` it needs no call on processors without SSE4.1.
    const SHIFT: f32 = 12_582_912.0;
    ((x.clamp(-127.0, 127.0) + SHIFT) - SHIFT) as i8
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
