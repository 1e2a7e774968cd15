//! `lethedb erase`: a person leaves.

use super::context::Context;
use super::failure::Failure;
use crate::json::EraseAnswer;

/// Arguments of `erase`.
#[derive(clap::Args)]
pub struct Args {
    /// The data subject, exactly as its records name it.
    entity: String,
    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
}

/// Erases one entity from all collections of the environment.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let mut erase = environment.erase(&args.entity);
    if let Some(reason) = args.reason {
        erase = erase.reason(reason);
    }
    let erased = EraseAnswer::new(args.entity, &erase.run()?);
    context.terminal.show(&erased, &erased)?;
    Ok(database.close()?)
}
