//! `lethedb budget`: what may be spent of people's privacy, and what was.

use clap::Subcommand;
use engine::BudgetOf;

use super::context::Context;
use super::failure::Failure;
use super::policy::ApprovalArgs;
use crate::json::{BudgetAnswer, StandingAnswer};

#[derive(Subcommand)]
pub enum Command {
    /// Show every budget, and what was spent of it.
    Show,
    /// Give a collection, or the environment, another budget, over all that was and will be spent. More weakens the promise
    /// made to people.
    #[command(after_help = "Example:\n  lethedb budget raise --collection docs --epsilon 12")]
    Raise(Raise),
    /// Begin the ledger anew after it was lost or damaged: all that could have been spent counts as spent.
    BeginAnew,
}

/// Arguments of `raise`.
#[derive(clap::Args)]
pub struct Raise {
    /// The collection, or an alias; the environment if absent.
    #[arg(long)]
    collection: Option<String>,
    /// The ε of all that may ever be spent.
    #[arg(long)]
    epsilon: f64,
    /// The δ that goes with it; absent for pure ε.
    #[arg(long)]
    delta: Option<f64>,
    #[command(flatten)]
    approval: ApprovalArgs,
}

/// Does what is asked, and shows how it stands.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let budget = environment.budget();
    match command {
        Command::Raise(Raise { collection, epsilon, delta, approval }) => {
            let approval = approval.read()?;
            let environment = approval.map_or_else(|| environment.clone(), |votes| environment.approved_by(&votes));
            let budget = environment.budget();
            let of = collection.as_deref().map_or(BudgetOf::Environment, BudgetOf::Collection);
            let told = StandingAnswer::from(budget.set(of, epsilon, delta)?);
            context.terminal.show(&told, &told)?;
        }
        Command::Show | Command::BeginAnew => {
            if matches!(command, Command::BeginAnew) {
                budget.begin_anew()?;
            }
            let told = BudgetAnswer::from(budget.report()?);
            context.terminal.show(&told, &told)?;
        }
    }
    Ok(database.close()?)
}
