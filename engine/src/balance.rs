//! How a privacy budget stands, and what a query is told that it does not pay for: the ledger's integers as numbers.

use privacy::dp::ledger::{Account, Balance, Refusal};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// A unit of ε in the ledger.
const EPSILON_UNIT: f64 = 1.0 / (1_u64 << 20) as f64;
/// A unit of ρ in the ledger.
const RHO_UNIT: f64 = 1.0 / (1_u64 << 41) as f64;
/// The δ at which the ε of what was spent is told where the budget names none and something has no pure ε.
const DELTA: f64 = 1e-6;

/// What a budget is, and what was spent of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetStanding {
    /// The ε of all that may ever be spent; none if nothing but other budgets stops it.
    pub epsilon: Option<f64>,
    /// The δ of all that may ever be spent; none for a budget of pure ε.
    pub delta: Option<f64>,
    /// The ε of all that was spent so far, at `spent_delta`.
    pub spent_epsilon: f64,
    /// The δ that goes with it; 0 where all of it is pure ε.
    pub spent_delta: f64,
    /// The ρ of zero-concentrated differential privacy of all that was spent.
    pub spent_rho: f64,
    /// The largest ε of one more query of pure ε; none if nothing stops it.
    pub remaining_epsilon: Option<f64>,
}

/// How an account stands.
pub(crate) fn standing(balance: &Balance) -> BudgetStanding {
    let Balance { cap, spent } = balance;
    let delta = cap.and_then(|cap| cap.delta());
    let (spent_epsilon, spent_delta) = match (spent.epsilon, delta) {
        (Some(epsilon), None) => (epsilon as f64 * EPSILON_UNIT, 0.0),
        (_, delta) => (spent.epsilon_at(delta.unwrap_or(DELTA)), delta.unwrap_or(DELTA)),
    };
    BudgetStanding {
        epsilon: cap.map(|cap| cap.epsilon() as f64 * EPSILON_UNIT),
        delta,
        spent_epsilon,
        spent_delta,
        spent_rho: spent.rho as f64 * RHO_UNIT,
        remaining_epsilon: balance.left().map(|left| left as f64 * EPSILON_UNIT),
    }
}

/// What a field of an audit event says in the unit that people know: the ε of a budget, which events and their lines in files
/// have in units of 2⁻²⁰, as the number that it is; every other field as it is.
pub fn audit_field(name: &str, value: &str) -> String {
    match value.parse::<u64>() {
        Ok(units) if name == "epsilon" => (units as f64 * EPSILON_UNIT).to_string(),
        _ => value.to_owned(),
    }
}

/// What a query is told that is not paid for.
pub(crate) fn refused(refusal: Refusal) -> Error {
    let whose = |account| match account {
        Account::Environment => "the environment",
        Account::Collection(_) => "the collection",
        Account::Principal(_) => "who asks",
    };
    match refusal {
        Refusal::Exhausted { account, balance } => {
            let left = standing(&balance).remaining_epsilon.unwrap_or_default();
            let doing = format!(
                "the privacy budget of {} has ε = {left} left, less than this costs; ask for less, or give it more",
                whose(account)
            );
            Error::new(ErrorKind::BudgetExhausted, doing)
        }
        Refusal::NeedsDelta { account } => {
            let doing = format!(
                "the privacy budget of {} is one of pure ε, and this mechanism needs a δ: ask without a δ, or give it one",
                whose(account)
            );
            Error::new(ErrorKind::Conflict, doing)
        }
    }
}

/// ε of a budget in units of the ledger, rounded down.
pub(crate) fn units_of(epsilon: f64) -> Result<u64> {
    if !epsilon.is_finite() || epsilon < 0.0 {
        return Err(Error::invalid("the ε of a privacy budget is a finite number that is not negative"));
    }
    // Saturates where it is too large, which is refused as such.
    Ok((epsilon / EPSILON_UNIT) as u64)
}
