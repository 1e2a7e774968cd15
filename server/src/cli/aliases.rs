//! `lethedb aliases`: other names of collections.

use clap::Subcommand;
use engine::Environment;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;

#[derive(Subcommand)]
pub enum Command {
    /// List all aliases and the collections that they stand for.
    #[command(after_help = "Example:\n  lethedb aliases list")]
    List,
    /// Have an alias stand for a collection, in one step in the place of another if it stood for one.
    #[command(after_help = "Example:\n  lethedb aliases set --alias current --collection docs-2026")]
    Set(Set),
    /// Take an alias away, and nothing of its collection.
    #[command(after_help = "Example:\n  lethedb aliases remove --alias current")]
    Remove(Remove),
}

/// Arguments of `set`.
#[derive(clap::Args)]
pub struct Set {
    /// The other name.
    #[arg(long, value_name = "NAME")]
    alias: String,
    /// The collection that it is to stand for.
    #[arg(long, value_name = "NAME")]
    collection: String,
}

/// Arguments of `remove`.
#[derive(clap::Args)]
pub struct Remove {
    /// The alias.
    #[arg(long, value_name = "NAME")]
    alias: String,
}

/// Changes an alias, if told to, and says what it stands for.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    match command {
        Command::List => list(context, &environment)?,
        Command::Set(Set { alias, collection }) => {
            let before = environment.set_alias(alias, collection)?;
            let collection = environment.open_collection(alias)?.name().to_owned();
            let text = match &before {
                Some(before) if *before != collection => {
                    format!("`{alias}` stands for `{collection}` now, no longer for `{before}`")
                }
                _ => format!("`{alias}` stands for `{collection}`"),
            };
            context.terminal.show(&json!({ "alias": alias, "collection": collection, "before": before }), text)?;
        }
        Command::Remove(Remove { alias }) => {
            let before = environment.remove_alias(alias)?;
            let before = before.ok_or_else(|| Failure::Missing(vec![format!("the alias `{alias}`")]))?;
            let text = format_args!("`{alias}` no longer stands for `{before}`").to_string();
            context.terminal.show(&json!({ "alias": alias, "collection": null, "before": before }), text)?;
        }
    }
    Ok(database.close()?)
}

fn list(context: &Context, environment: &Environment) -> Result<(), Failure> {
    let aliases = environment.aliases();
    let rows: Vec<_> = aliases.iter().map(|found| [found.alias.clone(), found.collection.clone()]).collect();
    context.terminal.show(&json!({ "aliases": aliases }), table(["alias", "collection"], &rows))
}
