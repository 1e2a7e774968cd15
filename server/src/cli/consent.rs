//! `lethedb consent`: whose data is never taken in again.

use clap::Subcommand;

use super::context::Context;
use super::failure::Failure;
use crate::json::ConsentAnswer;

#[derive(Subcommand)]
pub enum Command {
    /// Revoke a person's consent, for good: no write of their data is taken any more. What is stored stays until it is
    /// erased.
    #[command(after_help = "Example:\n  lethedb consent revoke user-42")]
    Revoke(Args),
    /// Show how a person's consent stands.
    #[command(after_help = "Example:\n  lethedb consent show user-42")]
    Show(Args),
}

/// Arguments of both.
#[derive(clap::Args)]
pub struct Args {
    /// The data subject, exactly as its records name it.
    entity: String,
}

/// Revokes if asked to, then shows how it stands.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let entity_id = match command {
        Command::Show(Args { entity }) => entity,
        Command::Revoke(Args { entity }) => {
            environment.revoke_consent(&entity)?;
            entity
        }
    };
    let found = ConsentAnswer { consent: environment.consent(&entity_id)?, entity_id };
    context.terminal.show(&found, &found)?;
    Ok(database.close()?)
}
