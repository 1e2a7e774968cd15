//! BUDGET: permit → ledger → journal (sealed, synced) → manifest → keyring → told. What may be spent of people's privacy,
//! and what was.

use std::sync::Arc;

use privacy::access::{Critical, Permission};
use privacy::audit::Act;
use privacy::dp::ledger::{Account, Balance, Cap, Ledger, Principal};
use serde::Serialize;

use crate::approve::quoted;
use crate::balance::{BudgetStanding, standing, units_of};
use crate::debit;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::name;
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// The privacy budgets of an environment.
///
/// A collection may spend ε = 10 in its life unless it is given another budget; neither the environment nor who asks has
/// one of its own unless it is given one. The guarantee is the collection's: whoever may be in several of them, or in one
/// that is dropped and made again, is protected by that of the environment.
#[must_use = "call one of its methods"]
pub struct Budget {
    env: Arc<EnvironmentState>,
    permit: Permit,
}

/// Whose budget it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetOf<'a> {
    /// The environment's.
    Environment,
    /// That of the collection of this name or alias.
    Collection(&'a str),
    /// The ration of one who asks, by an opaque id. It guarantees nothing, but that nobody spends all.
    Principal([u8; 16]),
}

/// The budgets of an environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetReport {
    /// That of the environment: it counts what every collection spends, those that were dropped included.
    pub environment: BudgetStanding,
    /// Those of its collections, by name.
    pub collections: Vec<(String, BudgetStanding)>,
    /// The rations that were given or used, by the hexadecimal id of who asks.
    pub principals: Vec<(String, BudgetStanding)>,
    /// How many rows the ledger has.
    pub rows: u64,
    /// Whether rows of the ledger were lost; what was spent is then the most that it can have been.
    pub is_forfeit: bool,
}

impl Environment {
    /// What may be spent of the privacy of those whose records are here, and what was.
    pub fn budget(&self) -> Budget {
        Budget { env: Arc::clone(&self.state), permit: self.permit.clone() }
    }
}

impl Budget {
    /// Every budget.
    ///
    /// # Errors
    /// `Corrupt` while nobody can say what was spent.
    pub fn report(&self) -> Result<BudgetReport> {
        self.env.admit(&self.permit, Permission::DpRead)?;
        let collections = self.env.all();
        self.env.budgets.look(|ledger| BudgetReport {
            environment: standing(&ledger.balance(&Account::Environment)),
            collections: collections
                .iter()
                .map(|state| (state.name.clone(), standing(&ledger.balance(&Account::Collection(state.id.0)))))
                .collect(),
            principals: rations(ledger),
            rows: ledger.sequence(),
            is_forfeit: ledger.is_forfeit(),
        })
    }

    /// Gives a budget another total, over all that was and will be spent: an ε, with a δ if other mechanisms than those of
    /// pure ε are to be paid from it. A higher total weakens the promise made to people. Returns how it stands then, with
    /// the ε of all that was spent so far.
    ///
    /// # Errors
    /// `Invalid` for an ε or δ that makes no budget; `Conflict` for one without a δ where something was spent that needs
    /// one; `NotFound` if there is no such collection; `Corrupt` while nobody can say what was spent.
    pub fn set(&self, of: BudgetOf<'_>, epsilon: f64, delta: Option<f64>) -> Result<BudgetStanding> {
        let units = units_of(epsilon)?;
        let cap = match delta {
            None => Cap::pure(units),
            Some(delta) => Cap::approximate(units, delta),
        };
        let cap = cap.map_err(|e| Error::with(ErrorKind::Invalid, "the privacy budget is not usable", e))?;
        self.cap(of, Some(cap))
    }

    /// Takes the total of an environment's budget or of a ration away; other budgets go on to stop what they stop.
    ///
    /// # Errors
    /// `Invalid` for a collection, which always has one; else as [`Budget::set`].
    pub fn unset(&self, of: BudgetOf<'_>) -> Result<BudgetStanding> {
        if matches!(of, BudgetOf::Collection(_)) {
            return Err(Error::invalid("a collection always has a privacy budget; give it another one"));
        }
        self.cap(of, None)
    }

    /// Begins the ledger anew after it was lost, damaged or rolled back: all that could have been spent of the budgets
    /// known counts as spent, and what more is to be spent has to be given.
    ///
    /// # Errors
    /// `Conflict` if the ledger is whole.
    pub fn begin_anew(&self) -> Result<()> {
        self.env.admit(&self.permit, Permission::DpGrant)?;
        let ledger = debit::begin_anew(&self.env)?;
        self.env.tell(&self.permit, Act::BudgetForfeited { ledger }).map(drop)
    }

    fn cap(&self, of: BudgetOf<'_>, cap: Option<Cap>) -> Result<BudgetStanding> {
        self.env.admit(&self.permit, Permission::DpGrant)?;
        let account = self.account(of)?;
        let key = self.env.keys.read().ledger_key();
        let ledger = debit::add(&self.env, |ledger| {
            if is_raised(ledger.balance(&account).cap, cap) {
                let statement = statement(&self.env.name, account, cap);
                self.env.approved(&self.permit, Critical::RaiseBudget, &statement)?;
            }
            ledger
                .set_cap(&key, account, cap)
                .map_err(|e| Error::with(ErrorKind::Conflict, "the privacy budget cannot be given without a δ", e))
        })?;
        let (collection, principal) = match account {
            Account::Environment => (None, None),
            Account::Collection(id) => (Some(id), None),
            Account::Principal(principal) => (None, Some(principal.0)),
        };
        let epsilon = cap.map(|cap| cap.epsilon());
        self.env.tell(&self.permit, Act::BudgetSet { ledger, collection, principal, epsilon })?;
        self.env.budgets.look(|ledger| standing(&ledger.balance(&account)))
    }

    fn account(&self, of: BudgetOf<'_>) -> Result<Account> {
        Ok(match of {
            BudgetOf::Environment => Account::Environment,
            BudgetOf::Principal(id) => Account::Principal(Principal(id)),
            BudgetOf::Collection(name) => {
                let state = self.env.catalog.read().find(name).cloned();
                Account::Collection(state.ok_or_else(name::no_collection)?.id.0)
            }
        })
    }
}

/// Whether more may be spent of a budget than before.
fn is_raised(before: Option<Cap>, after: Option<Cap>) -> bool {
    match (before, after) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => {
            after.epsilon() > before.epsilon() || after.delta().unwrap_or(0.0) > before.delta().unwrap_or(0.0)
        }
    }
}

/// What those who approve are asked.
fn statement(environment: &str, account: Account, cap: Option<Cap>) -> String {
    let hex = |id: [u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let whose = match account {
        Account::Environment => "of all".to_owned(),
        Account::Collection(id) => format!("of the collection {}", hex(id)),
        Account::Principal(Principal(id)) => format!("of the caller {}", hex(id)),
    };
    let budget = match cap {
        None => "none".to_owned(),
        Some(cap) => {
            let (epsilon, delta) = (cap.epsilon() as f64 / (1_u64 << 20) as f64, cap.delta().unwrap_or(0.0));
            format!("epsilon {epsilon} and delta {}", if delta == 0.0 { "0".to_owned() } else { format!("{delta:e}") })
        }
    };
    let environment = quoted(environment);
    format!("in the environment {environment}, raise the privacy budget {whose} to {budget}")
}

fn rations(ledger: &Ledger) -> Vec<(String, BudgetStanding)> {
    let ration = |(account, balance): (&Account, &Balance)| match account {
        Account::Principal(Principal(id)) => {
            Some((id.iter().map(|byte| format!("{byte:02x}")).collect(), standing(balance)))
        }
        _ => None,
    };
    ledger.accounts().filter_map(ration).collect()
}
