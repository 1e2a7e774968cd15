//! Private answers and the budgets they are paid from, as JSON and as text.

use std::fmt;

use engine::{BudgetReport, BudgetStanding, Predicted, Released, ReleasedGroup};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::rfc3339;

/// A private answer.
#[derive(Serialize, ToSchema)]
pub struct PrivateAnswer {
    /// The centroid, if one was asked for and no groups were; null where the noisy count is below the least group.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Option<Vec<f64>>>,
    /// How many entities, with noise, if no groups were asked for; may be below 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    noisy_count: Option<i64>,
    /// One answer for each group, in the order they were asked for; one for all if none were.
    groups: Vec<GroupAnswer>,
    /// The ε of each of them.
    epsilon: f64,
    /// The δ of each of them; null for pure ε.
    delta: Option<f64>,
    /// `discrete_laplace` or `discrete_gaussian`.
    mechanism: String,
    /// The largest ε of one more query of pure ε that the collection's budget pays for.
    remaining: Option<f64>,
    /// When it was computed. RFC 3339, UTC.
    computed_at: String,
    /// Whether it had been given before, so that nothing was paid now.
    repeated: bool,
    /// Whether damaged segments were left out.
    partial: bool,
}

/// The answer for one group.
#[derive(Serialize, ToSchema)]
#[schema(as = PrivateGroupAnswer)]
pub struct GroupAnswer {
    /// A centroid's coordinates, the weights of a histogram's bins in entities, or the one number; null where the noisy
    /// count is below the least group. Floats: a whole one is written with `.0`, also that of a count, which
    /// `noisy_count` has as an integer.
    values: Option<Vec<f64>>,
    /// How many entities, with noise; may be below 0.
    noisy_count: i64,
    /// The scale of the noise on each number of the sum over entities; null if entities were only counted.
    noise_scale: Option<f64>,
    /// The scale of the noise on the count; null where that is the sum of a histogram.
    count_scale: Option<f64>,
    /// The L1 norm, or the size, to which what an entity adds was clipped.
    clip_l1: f64,
    /// The L2 norm to which what an entity adds was clipped.
    clip_l2: f64,
    predicted: PredictedAnswer,
    /// The noisy count below which no numbers are given.
    least_group: u64,
}

/// How far an answer is probably off.
#[derive(Serialize, ToSchema)]
pub struct PredictedAnswer {
    /// Root of the mean square of the noise, in L2 over all numbers of one group.
    rmse: f64,
    /// The standard deviation of the count over the count: a mean is off by this share of itself as well.
    count_share: f64,
}

impl From<Predicted> for PredictedAnswer {
    fn from(Predicted { rmse, count_share }: Predicted) -> Self {
        Self { rmse, count_share }
    }
}

impl From<ReleasedGroup> for GroupAnswer {
    fn from(group: ReleasedGroup) -> Self {
        Self {
            values: group.values,
            noisy_count: group.noisy_count,
            noise_scale: group.noise_scale,
            count_scale: group.count_scale,
            clip_l1: group.clip_l1,
            clip_l2: group.clip_l2,
            predicted: group.predicted.into(),
            least_group: group.least_group,
        }
    }
}

impl PrivateAnswer {
    /// The form of an answer to a question with groups or without, for a centroid or something else.
    pub fn of(released: Released, is_centroid: bool, is_grouped: bool) -> Self {
        let one = released.groups.first().filter(|_| !is_grouped);
        Self {
            vector: one.filter(|_| is_centroid).map(|group| group.values.clone()),
            noisy_count: one.map(|group| group.noisy_count),
            groups: released.groups.into_iter().map(Into::into).collect(),
            epsilon: released.epsilon,
            delta: released.delta,
            mechanism: released.mechanism,
            remaining: released.budget.and_then(|budget| budget.remaining_epsilon),
            computed_at: rfc3339(released.computed_at),
            repeated: released.is_repeated,
            partial: released.partial,
        }
    }
}

/// What a privacy budget is, and what was spent of it.
#[derive(Serialize, ToSchema)]
pub struct StandingAnswer {
    /// The ε of all that may ever be spent; null if nothing but other budgets stops it.
    epsilon: Option<f64>,
    /// The δ of all that may ever be spent; null for a budget of pure ε.
    delta: Option<f64>,
    /// The ε of all that was spent, at `spent_delta`.
    spent_epsilon: f64,
    /// The δ that goes with it; 0 where all of it is pure ε.
    spent_delta: f64,
    /// The ρ of zero-concentrated differential privacy of all that was spent.
    spent_rho: f64,
    /// The largest ε of one more query of pure ε; null if nothing stops it.
    remaining: Option<f64>,
}

/// The budget of a collection, or of one who asks.
#[derive(Serialize, ToSchema)]
pub struct NamedStandingAnswer {
    /// The collection's name, or the opaque id of who asks.
    name: String,
    #[serde(flatten)]
    budget: StandingAnswer,
}

/// The privacy budgets of an environment.
#[derive(Serialize, ToSchema)]
pub struct BudgetAnswer {
    /// That of the environment, which counts what every collection spends and ever spent.
    environment: StandingAnswer,
    /// Those of its collections.
    collections: Vec<NamedStandingAnswer>,
    /// The rations that were given or used.
    principals: Vec<NamedStandingAnswer>,
    /// How many rows the ledger has.
    rows: u64,
    /// Whether rows of the ledger were lost; what was spent is then the most that it can have been.
    forfeit: bool,
}

impl From<BudgetStanding> for StandingAnswer {
    fn from(standing: BudgetStanding) -> Self {
        Self {
            epsilon: standing.epsilon,
            delta: standing.delta,
            spent_epsilon: standing.spent_epsilon,
            spent_delta: standing.spent_delta,
            spent_rho: standing.spent_rho,
            remaining: standing.remaining_epsilon,
        }
    }
}

impl From<BudgetReport> for BudgetAnswer {
    fn from(report: BudgetReport) -> Self {
        let named = |all: Vec<(String, BudgetStanding)>| {
            all.into_iter().map(|(name, budget)| NamedStandingAnswer { name, budget: budget.into() }).collect()
        };
        Self {
            environment: report.environment.into(),
            collections: named(report.collections),
            principals: named(report.principals),
            rows: report.rows,
            forfeit: report.is_forfeit,
        }
    }
}

impl fmt::Display for PrivateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ε = {}", self.epsilon)?;
        if let Some(delta) = self.delta {
            write!(f, ", δ = {delta:e}")?;
        }
        write!(f, ", {}", if self.repeated { "given before, nothing paid" } else { "paid" })?;
        if let Some(remaining) = self.remaining {
            write!(f, "; ε = {remaining} left")?;
        }
        for group in &self.groups {
            write!(f, "\nabout {} entities, off by about {:.3}: ", group.noisy_count, group.predicted.rmse)?;
            match group.values.as_deref() {
                Some([one]) => write!(f, "{one}")?,
                Some(values) => {
                    let values: Vec<String> = values.iter().map(f64::to_string).collect();
                    write!(f, "[{}]", values.join(", "))?;
                }
                None => write!(f, "too few to say more")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for StandingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spent ε = {:.6}", self.spent_epsilon)?;
        if self.spent_delta > 0.0 {
            write!(f, " at δ = {:e}", self.spent_delta)?;
        }
        match (self.epsilon, self.delta) {
            (Some(epsilon), Some(delta)) => write!(f, " of {epsilon} at δ = {delta:e}"),
            (Some(epsilon), None) => write!(f, " of {epsilon}"),
            _ => write!(f, ", no limit of its own"),
        }
    }
}

impl fmt::Display for BudgetAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment: {}", self.environment)?;
        self.collections.iter().try_for_each(|one| write!(f, "\n{}: {}", one.name, one.budget))?;
        self.principals.iter().try_for_each(|one| write!(f, "\nby {}: {}", one.name, one.budget))?;
        if self.forfeit {
            write!(f, "\nrows of the ledger were lost: what is spent is the most that it can have been")?;
        }
        Ok(())
    }
}
