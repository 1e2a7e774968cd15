//! `lethedb indexes`: which fields of payloads are indexed.

use std::fmt;

use clap::Subcommand;
use engine::{Collection, FieldType, PayloadIndex};
use serde::Serialize;

use super::argument::Named;
use super::context::Context;
use super::failure::Failure;
use super::terminal::{table, word};

#[derive(Subcommand)]
pub enum Command {
    /// List the fields that are indexed because somebody said so, and how far that is.
    #[command(after_help = "Example:\n  lethedb indexes list --collection docs")]
    List(List),
    /// Index a field of payloads. Segments get it when upkeep rewrites them; filters are answered all the same.
    #[command(after_help = "Example:\n  lethedb indexes create --collection docs --field author.name --type keyword")]
    Create(Create),
    /// Have a field indexed no longer.
    #[command(after_help = "Example:\n  lethedb indexes drop --collection docs --field author.name")]
    Drop(Drop),
}

/// Arguments of `list`.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    named: Named,
}

/// Arguments of `create`.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    named: Named,
    /// Key path of a field, as in filters: `lang`, `author.name`, `tags[].id`.
    #[arg(long, value_name = "PATH")]
    field: String,
    /// Index it as keyword, integer, float, bool, time or text.
    #[arg(long = "type", value_name = "TYPE", value_parser = field_type)]
    kind: FieldType,
}

/// Arguments of `drop`.
#[derive(clap::Args)]
pub struct Drop {
    #[command(flatten)]
    named: Named,
    /// Key path of the field.
    #[arg(long, value_name = "PATH")]
    field: String,
}

fn field_type(text: &str) -> Result<FieldType, String> {
    serde_json::from_value(text.into()).map_err(|_| "one of keyword, integer, float, bool, time and text".into())
}

/// Indexes or drops a field, then lists what is indexed.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    let (Command::List(List { named }) | Command::Create(Create { named, .. }) | Command::Drop(Drop { named, .. })) =
        command;
    let (database, collection) = context.collection(&named.collection)?;
    match command {
        Command::List(_) => {}
        Command::Create(args) => collection.create_payload_index(&args.field, args.kind)?,
        Command::Drop(args) => drop_index(&collection, &args.field)?,
    }
    let found = Indexes { payload_indexes: collection.payload_indexes() };
    context.terminal.show(&found, &found)?;
    Ok(database.close()?)
}

fn drop_index(collection: &Collection, field: &str) -> Result<(), Failure> {
    if collection.drop_payload_index(field)? {
        return Ok(());
    }
    Err(Failure::Missing(vec!["an index of this field that somebody created".into()]))
}

/// The indexed fields.
#[derive(Serialize)]
struct Indexes {
    payload_indexes: Vec<PayloadIndex>,
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rows(&self.payload_indexes))
    }
}

/// A table of indexed fields.
pub fn rows(indexes: &[PayloadIndex]) -> String {
    let row = |index: &PayloadIndex| {
        let [ready, pending] = [index.ready_segments, index.pending_segments].map(|count| count.to_string());
        [index.field.clone(), word(&index.kind), ready, pending]
    };
    table(["field", "type", "ready_segments", "pending_segments"], &indexes.iter().map(row).collect::<Vec<_>>())
}
