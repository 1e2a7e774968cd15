//! What can be typed after `lethedb records`.

use clap::Subcommand;

use super::{change, read};
use crate::cli::context::Context;
use crate::cli::failure::Failure;

#[derive(Subcommand)]
pub enum Command {
    /// Show records by their ids, with their vectors.
    #[command(after_help = "Example:\n  lethedb records get --collection docs --id 1,2 --output json")]
    Get(read::Get),
    /// Count records.
    #[command(after_help = "Example:\n  lethedb records count --collection docs --entity user-42")]
    Count(read::Count),
    /// Show records page by page, in the order of their ids or of what is at a key.
    #[command(after_help = "Examples:\n  lethedb records scroll --collection docs --limit 20\n  \
        lethedb records scroll --collection docs --order-by year --descending --filter '{\"key\": \"lang\", \"match\": {\"value\": \"en\"}}'")]
    Scroll(read::Scroll),
    /// Show random records.
    #[command(after_help = "Example:\n  lethedb records sample --collection docs --limit 5 --seed 7")]
    Sample(read::Sample),
    /// Count records by what is at a key.
    #[command(after_help = "Example:\n  lethedb records facet --collection docs --key lang")]
    Facet(read::Facet),
    /// Change payloads or vectors of records.
    #[command(after_help = "Examples:\n  lethedb records update --collection docs --id 1 --set '{\"seen\": true}'\n  \
        lethedb records update --collection docs --entity user-42 --delete-key author.email --dry-run")]
    Update(change::Update),
    /// Delete records. Their bytes go when upkeep rewrites them; to make a person unrecoverable, use `lethedb erase`.
    #[command(after_help = "Examples:\n  lethedb records delete --collection docs --id 1,2\n  \
        lethedb records delete --collection docs --filter @old.json --dry-run")]
    Delete(change::Delete),
}

/// Runs one of them.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Get(args) => read::get(context, args),
        Command::Count(args) => read::count(context, args),
        Command::Scroll(args) => read::scroll(context, args),
        Command::Sample(args) => read::sample(context, args),
        Command::Facet(args) => read::facet(context, args),
        Command::Update(args) => change::update(context, args),
        Command::Delete(args) => change::delete(context, args),
    }
}
