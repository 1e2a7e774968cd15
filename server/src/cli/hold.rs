//! `lethedb hold`: whose data stays although somebody asks for its erasure.

use clap::Subcommand;

use super::context::Context;
use super::failure::Failure;
use crate::json::{HoldAnswer, HoldsAnswer};

#[derive(Subcommand)]
pub enum Command {
    /// Hold a person's data: erasing them is refused, and retention passes them over, until they are released.
    #[command(after_help = "Example:\n  lethedb hold place user-42 --reason 'litigation 2026-17'")]
    Place(Place),
    /// Release a person.
    Release(Args),
    /// Show whether a person is held; without one, every hold, without whose it is.
    Show(Show),
}

/// Arguments of `place`.
#[derive(clap::Args)]
pub struct Place {
    /// The data subject, exactly as its records name it.
    entity: String,
    /// Why; it should not name the person.
    #[arg(long)]
    reason: String,
}

/// Arguments of `release`.
#[derive(clap::Args)]
pub struct Args {
    /// The data subject, exactly as its records name it.
    entity: String,
}

/// Arguments of `show`.
#[derive(clap::Args)]
pub struct Show {
    /// The data subject, exactly as its records name it.
    entity: Option<String>,
}

/// Places or releases if asked to, then shows how it stands.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let entity = match command {
        Command::Show(Show { entity }) => entity,
        Command::Place(Place { entity, reason }) => {
            environment.hold(&entity, &reason)?;
            Some(entity)
        }
        Command::Release(Args { entity }) => {
            environment.release_hold(&entity)?;
            Some(entity)
        }
    };
    match entity {
        Some(entity_id) => {
            let found = HoldAnswer { hold: environment.hold_of(&entity_id)?.map(Into::into), entity_id };
            context.terminal.show(&found, &found)?;
        }
        None => {
            let found = HoldsAnswer { holds: environment.holds()?.into_iter().map(Into::into).collect() };
            context.terminal.show(&found, &found)?;
        }
    }
    Ok(database.close()?)
}
