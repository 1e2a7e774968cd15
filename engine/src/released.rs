//! What a private query is answered: noisy numbers, and everything about the noise, all of which may be shown.
//!
//! Invariant: nothing here is of the data but through a release; above all no sequence of a write, which would count
//! writes exactly.

use privacy::dp::{Facts, Prediction, Release};
use serde::{Deserialize, Serialize};

use crate::balance::BudgetStanding;

/// A private answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// One answer for each group that was asked for, in their order; one for all if none were.
    pub groups: Vec<ReleasedGroup>,
    /// The ε of each of them.
    pub epsilon: f64,
    /// The δ of each of them; none for pure ε.
    pub delta: Option<f64>,
    /// Which noise: `discrete_laplace` or `discrete_gaussian`.
    pub mechanism: String,
    /// When it was computed, in milliseconds since the Unix epoch.
    pub computed_at: u64,
    /// Whether a damaged segment was left out.
    pub partial: bool,
    /// The row of the ledger that paid for it.
    pub ledger: u64,
    /// Whether it had been given before, so that nothing was paid now.
    #[serde(skip)]
    pub is_repeated: bool,
    /// The collection's budget now.
    #[serde(skip)]
    pub budget: Option<BudgetStanding>,
}

/// The answer for one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleasedGroup {
    /// The numbers: a centroid's coordinates, the weights of a histogram's bins in entities, or the one number. None where
    /// the noisy count is below the least group.
    pub values: Option<Vec<f64>>,
    /// How many entities, with noise; may be below 0.
    pub noisy_count: i64,
    /// The scale of the noise on each number of the sum over entities; none if entities were only counted.
    pub noise_scale: Option<f64>,
    /// The scale of the noise on the count; none where that is the sum of a histogram.
    pub count_scale: Option<f64>,
    /// The L1 norm, or the size, to which what an entity adds was clipped.
    pub clip_l1: f64,
    /// The L2 norm to which what an entity adds was clipped.
    pub clip_l2: f64,
    /// How far the answer is probably off.
    pub predicted: Predicted,
    /// The noisy count below which no numbers are given.
    pub least_group: u64,
}

/// How far an answer is probably off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Root of the mean square of the noise, in L2 over all numbers of one group.
    pub rmse: f64,
    /// The standard deviation of the count over the count: a mean is off by this share of itself as well.
    pub count_share: f64,
}

impl From<Prediction> for Predicted {
    fn from(Prediction { rmse, count_share }: Prediction) -> Self {
        Self { rmse, count_share }
    }
}

impl From<Release> for ReleasedGroup {
    fn from(Release { values, facts }: Release) -> Self {
        let Facts { sum_scale, count_scale, l1, l2, noisy_count, predicted, least_group, .. } = facts;
        Self {
            values,
            noisy_count,
            noise_scale: sum_scale,
            count_scale,
            clip_l1: l1,
            clip_l2: l2,
            predicted: predicted.into(),
            least_group,
        }
    }
}
