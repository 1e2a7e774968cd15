//! AGGREGATE: permit → query judged → ε charged, synced and told ← before data is read → snapshot → each entity bounded →
//! exact sum → noise → answer stored → answer.
//!
//! Invariant: no byte of data is read, and no noise drawn, for a query that is not paid for, durably; and what was paid is
//! paid, whatever happens then: an error after the debit costs what an answer costs. A query that was answered gets that
//! answer again and pays nothing, so that no payment gives two answers.
//!
//! What is refused before the debit depends on what the caller said and on the budget alone. Nothing is refused after it
//! but for damage, a full disk or a closed database: a group that is too small has its numbers withheld by its noisy count,
//! and is paid for like any other.

use std::collections::BTreeSet;

use privacy::access::Permission;
use privacy::audit::Act;
use privacy::dp::ledger::{Account, Debit, QueryHash};
use privacy::dp::{Contribution, NoiseName, Question, Sum};
use rayon::prelude::*;

use crate::answers;
use crate::balance::{refused, standing};
use crate::debit;
use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::filter::{Filter, Path, Scalar, scalars};
use crate::gather::{Opening, Spot, each_owner};
use crate::inquiry::{Grouped, Inquiry, Reading};
use crate::permit::Permit;
use crate::read::{on_stable_view, payload};
use crate::released::{Released, ReleasedGroup};
use crate::snapshot::View;
use crate::state::{CollectionState, EnvironmentState};
use crate::wiped::Opened;

/// Answers a private query; with `is_refreshed`, anew although it was answered before.
pub(crate) fn release(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    inquiry: &Inquiry,
    is_refreshed: bool,
) -> Result<Released> {
    env.admit_in(permit, Permission::AggregateDp, &state.name)?;
    env.check_open()?;
    let key = env.keys.read().ledger_key();
    let query = QueryHash::of(&key, &inquiry.canonical);
    let _one = env.budgets.releasing.lock();
    let paid = env.budgets.look(|ledger| ledger.paid(&query))?;
    if let Some(row) = paid.filter(|_| !is_refreshed)
        && let Some(found) = answers::find(env, row)?
    {
        env.looked(permit, Permission::AggregateDp, Some(state.id.0), 1)?;
        return repeated(env, state, &found);
    }
    let debit = Debit { collection: state.id.0, principal: permit.principal(), query, charge: inquiry.charge };
    #[cfg(test)]
    if let Some(mutant) = tests::mutant() {
        return tests::release_wrongly(mutant, (env, state, permit), inquiry, debit);
    }
    let row = debit::add(env, |ledger| ledger.charge(&key, debit).map_err(refused))?;
    tell(env, permit, state, (row, inquiry.plan.cost().epsilon_units))?;
    let answer = answer(env, state, inquiry, row)?;
    store(env, state, row, answer)
}

/// Makes an answer durable, which from then on is the one that row `row` paid for.
fn store(env: &EnvironmentState, state: &CollectionState, row: u64, answer: Released) -> Result<Released> {
    let stored = serde_json::to_vec(&answer).map_err(|_| Error::corrupt("a private answer has no JSON form"))?;
    answers::store(env, row, &stored)?;
    with_budget(env, state, answer)
}

/// Tells the audit log of a debit; its signed checkpoint then says so in every anchor store.
fn tell(env: &EnvironmentState, permit: &Permit, state: &CollectionState, (ledger, epsilon): (u64, u64)) -> Result<()> {
    env.tell(permit, Act::AggregateReleased { collection: state.id.0, ledger, epsilon })?;
    env.trail.checkpoint()
}

/// Reads, adds up and draws.
fn answer(env: &EnvironmentState, state: &CollectionState, inquiry: &Inquiry, row: u64) -> Result<Released> {
    let (sums, partial) =
        on_stable_view(env, state, |view, hidden| Ok((sums(env, view, inquiry)?, !hidden.is_empty())))?;
    let mut rng = generator(&*env.shared.entropy)?;
    let groups: Vec<ReleasedGroup> = sums.iter().map(|sum| inquiry.plan.release(sum, &mut rng).into()).collect();
    let noise =
        if inquiry.guarantee.delta.is_some() { NoiseName::DiscreteGaussian } else { NoiseName::DiscreteLaplace };
    Ok(Released {
        groups,
        epsilon: inquiry.guarantee.epsilon.as_f64(),
        delta: inquiry.guarantee.delta.map(|delta| delta.as_f64()),
        mechanism: noise.as_str().to_owned(),
        computed_at: env.shared.clock.now_ms(),
        partial,
        ledger: row,
        is_repeated: false,
        budget: None,
    })
}

fn repeated(env: &EnvironmentState, state: &CollectionState, found: &[u8]) -> Result<Released> {
    let answer: Released = serde_json::from_slice(found)
        .map_err(|_| Error::corrupt("a stored private answer cannot be read; refresh it, which is paid for again"))?;
    with_budget(env, state, Released { is_repeated: true, ..answer })
}

fn with_budget(env: &EnvironmentState, state: &CollectionState, answer: Released) -> Result<Released> {
    let budget = env.budgets.look(|ledger| standing(&ledger.balance(&Account::Collection(state.id.0))))?;
    Ok(Released { budget: Some(budget), ..answer })
}

/// The exact sum of each group. Nothing of them leaves but through a release.
fn sums(env: &EnvironmentState, view: &View, inquiry: &Inquiry) -> Result<Vec<Sum>> {
    let mut sums = inquiry.plan.sums();
    let filter = inquiry.filter.as_ref();
    if let Grouped::Filters(filters) = &inquiry.grouped {
        for (sum, group) in sums.iter_mut().zip(filters) {
            let filter = Filter::all(filter.cloned().into_iter().chain([group.clone()]));
            each_contribution(env, view, inquiry, Some(&filter), |_, given| sum.add(given))?;
        }
    } else {
        let mut add =
            |group: usize, given: &Contribution| sums.get_mut(group).into_iter().for_each(|sum| sum.add(given));
        each_contribution(env, view, inquiry, filter, &mut add)?;
    }
    Ok(sums)
}

/// Calls `add` with what each entity contributes, once, and the group that it is in by its own records alone.
fn each_contribution(
    env: &EnvironmentState,
    view: &View,
    inquiry: &Inquiry,
    filter: Option<&Filter>,
    mut add: impl FnMut(usize, &Contribution),
) -> Result<()> {
    each_owner(env, view, filter, |owners| {
        let one = |opening: &mut Opening, spots: &&[Spot<'_>]| contribution(env, inquiry, opening, spots);
        let all = || owners.par_iter().map_init(Opening::default, one).collect::<Result<Vec<_>>>();
        let given = env.shared.pool.install(all)?;
        given.iter().flatten().for_each(|(group, given)| add(*group, given));
        Ok(())
    })
}

/// The group that an entity with these records is in, and what it contributes; `None` if nothing of it is asked about.
fn contribution(
    env: &EnvironmentState,
    inquiry: &Inquiry,
    opening: &mut Opening,
    spots: &[Spot<'_>],
) -> Result<Option<(usize, Contribution)>> {
    match (inquiry.plan.question(), &inquiry.reading) {
        (Question::Centroid { clip, .. }, _) => {
            let mut vectors = clip.gather();
            for spot in spots {
                if let Some(vector) = opening.vector(env, spot)? {
                    vectors.add(vector);
                }
            }
            let group = match &inquiry.grouped {
                Grouped::Nearest(points) => vectors.nearest(points).unwrap_or_default(),
                Grouped::Whole | Grouped::Filters(_) => 0,
            };
            Ok((!vectors.is_empty()).then(|| (group, vectors.take())))
        }
        (Question::Histogram(bins), Reading::Values(path, places)) => {
            let mut weights = bins.gather();
            for spot in spots {
                if let Some(values) = values(env, opening, spot, path)? {
                    weights.add(&values.iter().filter_map(|value| places.get(value).copied()).collect::<Vec<_>>());
                }
            }
            Ok((!weights.is_empty()).then(|| (0, weights.take())))
        }
        (Question::Number(span), Reading::Numbers(path)) => {
            let mut numbers = span.gather();
            for spot in spots {
                let all = values(env, opening, spot, path)?.unwrap_or_default();
                all.iter().filter_map(as_number).for_each(|number| numbers.add(number));
            }
            Ok((!numbers.is_empty()).then(|| (0, numbers.take())))
        }
        _ => Ok(Some((0, Contribution::counted()))),
    }
}

/// The single values at a path of a record; `None` if its entity was erased meanwhile.
fn values(env: &EnvironmentState, opening: &Opening, spot: &Spot<'_>, path: &Path) -> Result<Option<BTreeSet<Scalar>>> {
    opening.payload(env, spot, |text| {
        let payload = payload(text)?.map(Opened::from);
        Ok(payload.map_or_else(BTreeSet::new, |payload| scalars(path, &payload)))
    })
}

fn as_number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Number(number) => number.to_json().as_f64(),
        Scalar::Flag(_) | Scalar::Text(_) => None,
    }
}

#[cfg(test)]
mod tests;
