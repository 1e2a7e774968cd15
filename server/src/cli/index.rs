//! `lethedb index`: which fields of payloads are indexed.

use std::fmt;

use engine::{FieldType, PayloadIndex};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;

/// Arguments of `index`. Without a field it lists those that are indexed.
#[derive(clap::Args)]
pub struct Args {
    /// Collection whose payloads are meant.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Key path of a field, as in filters: `lang`, `author.name`, `tags[].id`.
    #[arg(long, value_name = "PATH", requires = "what")]
    field: Option<String>,
    /// Index the field as keyword, integer, float, bool, time or text.
    #[arg(long = "type", value_name = "TYPE", group = "what", requires = "field", value_parser = field_type)]
    kind: Option<FieldType>,
    /// Have the field indexed no longer.
    #[arg(long, group = "what", requires = "field")]
    drop: bool,
}

fn field_type(text: &str) -> Result<FieldType, String> {
    serde_json::from_value(text.into()).map_err(|_| "one of keyword, integer, float, bool, time and text".into())
}

/// The indexed fields.
#[derive(Serialize)]
struct Indexes {
    payload_indexes: Vec<PayloadIndex>,
}

/// Indexes or drops a field, then lists what is indexed.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let database = context.database(false)?;
    let collection = context.environment(&database)?.open_collection(&args.collection)?;
    if let (Some(field), Some(kind)) = (&args.field, args.kind) {
        collection.create_payload_index(field, kind)?;
    } else if let (Some(field), true) = (&args.field, args.drop)
        && !collection.drop_payload_index(field)?
    {
        return Err(Failure::Usage("the field is not indexed because somebody said so".into()));
    }
    let found = Indexes { payload_indexes: collection.payload_indexes() };
    context.terminal.show(&found, &found)?;
    Ok(database.close()?)
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |index: &PayloadIndex| serde_json::to_value(index.kind).ok()?.as_str().map(str::to_owned);
        let row = |index: &PayloadIndex| [index.field.clone(), kind(index).unwrap_or_default()];
        let rows: Vec<_> = self.payload_indexes.iter().map(row).collect();
        f.write_str(&table(["field", "type"], &rows))
    }
}
