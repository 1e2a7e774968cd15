//! Data made up from a seed: vectors in clusters, owners by Zipf's law.
//!
//! Invariant: the same arguments give the same data, as long as the generators (xoshiro256++ and the samplers of
//! `rand_distr`, pinned by `Cargo.lock`) stay the same. These samplers are floating-point, hence never for private
//! noise.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal, Zipf};

use crate::{Dataset, Distance, Matrix, truth};

/// A mixture of Gaussians: a stand-in for embeddings, which lie in clusters too.
///
/// Spherical as it is made. Real embeddings fill few of their dimensions: around one of them the number of neighbours
/// grows as if there were 10 to 30, around a row of a spherical Gaussian as if there were far more.
/// [`Mixture::flattened`] makes clusters of that kind.
#[derive(Clone, Debug)]
pub struct Mixture {
    centers: Matrix,
    spread: f32,
    /// The directions in which each cluster extends, as many rows a cluster; none if it extends in all alike.
    directions: Option<Matrix>,
}

impl Mixture {
    /// Draws `clusters` centres from the standard normal distribution in `dimension` dimensions; a row lies around its
    /// centre with the standard deviation `spread` in each. Both counts are raised to at least 1.
    pub fn new(dimension: usize, clusters: usize, spread: f32, seed: u64) -> Self {
        let dimension = dimension.max(1);
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let data = StandardNormal.sample_iter(rng).take(dimension * clusters.max(1)).collect();
        Self { centers: Matrix { dimension, data }, spread, directions: None }
    }

    /// Lets each cluster extend in `rank` random directions of its own, in the j-th of them with a standard deviation in
    /// proportion to `j^-decay`, together with the variance that `spread` in every dimension has. The less the rank
    /// and the more the decay, the fewer dimensions the rows seem to have. A rank of 0 is raised to 1, a decay that is
    /// no number is taken as 0.
    pub fn flattened(mut self, rank: usize, decay: f32, seed: u64) -> Self {
        let (rank, dimension) = (rank.max(1), self.centers.dimension());
        let decay = if decay.is_finite() { decay } else { 0.0 };
        let share = |place: usize| ((place + 1) as f32).powf(-decay);
        let total: f32 = (0..rank).map(|place| share(place).powi(2)).sum();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut data = Vec::with_capacity(self.centers.len() * rank * dimension);
        for place in (0..self.centers.len()).flat_map(|_| 0..rank) {
            // A standard normal vector has about the length √dimension, which is that of the spherical noise.
            let scale = share(place) / total.sqrt();
            data.extend((0..dimension).map(|_| {
                let value: f32 = StandardNormal.sample(&mut rng);
                scale * value
            }));
        }
        self.directions = Some(Matrix { dimension, data });
        self
    }

    /// Draws `rows` rows, each from a centre chosen uniformly. Other seeds give other rows of the same mixture.
    pub fn sample(&self, rows: usize, seed: u64) -> Matrix {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let dimension = self.centers.dimension();
        let mut data = Vec::with_capacity(rows * dimension);
        for _ in 0..rows {
            let cluster = rng.random_range(0..self.centers.len());
            let center = self.centers.row(cluster);
            let Some(directions) = &self.directions else {
                data.extend(center.iter().map(|value| {
                    let noise: f32 = StandardNormal.sample(&mut rng);
                    value + self.spread * noise
                }));
                continue;
            };
            let start = data.len();
            data.extend_from_slice(center);
            let rank = directions.len() / self.centers.len();
            for direction in cluster * rank..(cluster + 1) * rank {
                let noise: f32 = StandardNormal.sample(&mut rng);
                let row = data[start..].iter_mut().zip(directions.row(direction));
                row.for_each(|(value, part)| *value += self.spread * noise * part);
            }
        }
        Matrix { dimension, data }
    }

    /// A whole data set of this mixture: `rows` to store, `queries` to ask, and the `k` exact neighbours of each.
    pub fn dataset(&self, metric: Distance, rows: usize, queries: usize, k: usize, seed: u64) -> Dataset {
        let train = self.sample(rows, seed);
        let test = self.sample(queries, seed.wrapping_add(1));
        let nearest = truth::neighbors(metric, &train, &test, k);
        let neighbors = nearest.into_iter().map(|row| row.iter().map(|neighbor| neighbor.position).collect());
        Dataset {
            name: format!("synthetic-{}-{metric}-{rows}", self.centers.dimension()),
            metric,
            train,
            test,
            neighbors: Some(neighbors.collect()),
        }
    }
}

/// Who owns each of `rows` rows: an entity from `0..entities`, the r-th of them with a frequency in proportion to
/// `1 / r^exponent`, as people's activity is distributed. An exponent of 0 (also taken for a negative or undefined one)
/// makes all owners equally active.
pub fn owners(rows: usize, entities: u32, exponent: f64, seed: u64) -> Vec<u32> {
    let entities = entities.max(1);
    let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let exponent = if exponent.is_finite() { exponent.max(0.0) } else { 0.0 };
    match Zipf::new(f64::from(entities), exponent) {
        Ok(ranks) => ranks.sample_iter(rng).take(rows).map(|rank| (rank as u32).clamp(1, entities) - 1).collect(),
        Err(_) => vec![0; rows],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let mixture = Mixture::new(8, 4, 0.1, 7);
        assert_eq!(mixture.sample(50, 1), Mixture::new(8, 4, 0.1, 7).sample(50, 1));
        assert_ne!(mixture.sample(50, 1), mixture.sample(50, 2));
        assert_ne!(mixture.sample(50, 1), Mixture::new(8, 4, 0.1, 8).sample(50, 1));
        assert_eq!(owners(100, 10, 1.0, 3), owners(100, 10, 1.0, 3));
        assert_ne!(owners(100, 10, 1.0, 3), owners(100, 10, 1.0, 4));
    }

    #[test]
    fn rows_lie_around_the_centres() {
        let (clusters, spread, dimension) = (4, 0.01, 16);
        let mixture = Mixture::new(dimension, clusters, spread, 7);
        let mut members = vec![0; clusters];
        for row in mixture.sample(400, 1).rows() {
            let far = |center: &[f32]| Distance::L2.between(center, row);
            let (nearest, distance) =
                mixture.centers.rows().map(far).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            assert!(distance < 3.0 * spread * (dimension as f32).sqrt());
            members[nearest] += 1;
        }
        assert!(members.iter().all(|count| *count > 50), "uneven: {members:?}");
    }

    #[test]
    fn flat_clusters_have_few_dimensions_and_the_same_variance() {
        let spherical = Mixture::new(64, 4, 0.8, 7);
        let flat = spherical.clone().flattened(24, 0.5, 8);
        let variance = |rows: &Matrix| rows.as_slice().iter().map(|value| value * value).sum::<f32>();
        let ratio = variance(&flat.sample(2_000, 1)) / variance(&spherical.sample(2_000, 1));
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
        let seeming = |mixture: &Mixture| mixture.dataset(Distance::L2, 4_000, 50, 50, 1).seeming_dimension().unwrap();
        let (flat, spherical) = (seeming(&flat), seeming(&spherical));
        assert!((6.0..18.0).contains(&flat) && spherical > 1.5 * flat, "{flat}, {spherical}");
    }

    #[test]
    fn owners_follow_zipf() {
        let mut counts = [0.0_f64; 100];
        for owner in owners(100_000, 100, 1.0, 5) {
            counts[owner as usize] += 1.0;
        }
        // The harmonic number H(100) is 5.187: the first entity owns 1 / 5.187 of the rows, the tenth a tenth of that.
        assert!((counts[0] / 100_000.0 - 1.0 / 5.187).abs() < 0.01);
        assert!((counts[0] / counts[9] - 10.0).abs() < 1.5);
        assert!(owners(1_000, 4, 0.0, 5).iter().filter(|owner| **owner == 3).count() > 150);
        assert_eq!(owners(3, 0, f64::NAN, 5), [0, 0, 0]);
    }

    #[test]
    fn a_data_set_knows_its_neighbours() {
        let set = Mixture::new(8, 4, 0.1, 7).dataset(Distance::Cosine, 60, 5, 3, 1);
        let neighbors = set.neighbors.unwrap();
        assert_eq!((set.train.len(), set.test.len(), neighbors.len()), (60, 5, 5));
        assert_eq!(truth::recall(set.metric, &set.train, &set.test, &neighbors, &neighbors, 3, 0.0), 1.0);
    }
}
