//! `lethedb records update` and `delete`.
//!
//! Invariant: nobody is asked anything; with `--dry-run` nothing changes and the same records are counted.

use engine::Collection;
use serde_json::{Value, json};

use crate::cli::argument::{self, Choice, Chosen, Named};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::json::{Payload, count};

/// Arguments of `update`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct Update {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    chosen: Chosen,
    /// Replace the vector. Several changes are made in the order in which they stand here.
    #[arg(long, value_name = "JSON|@FILE", group = "change", allow_hyphen_values = true)]
    vector: Option<String>,
    /// Replace the payload.
    #[arg(long, value_name = "JSON|@FILE", group = "change", allow_hyphen_values = true)]
    overwrite: Option<String>,
    /// Take the payload away.
    #[arg(long, group = "change", conflicts_with = "overwrite")]
    clear: bool,
    /// Take out what is at these key paths: `author.email`.
    #[arg(long, value_name = "PATH", group = "change")]
    delete_key: Vec<String>,
    /// Set these members of the payload and leave the others.
    #[arg(long, value_name = "JSON|@FILE", group = "change")]
    set: Option<String>,
    /// Set them in the object at this key path instead.
    #[arg(long, value_name = "PATH", requires = "set")]
    key: Option<String>,
    /// Only count the records that are meant.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `delete`.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    chosen: Chosen,
    /// Only count the records that are meant.
    #[arg(long)]
    dry_run: bool,
}

/// Changes records.
pub fn update(context: &Context, args: &Update) -> Result<(), Failure> {
    let choice = args.chosen.choice()?;
    let payload = |flag, text: &Option<String>| -> Result<Option<Value>, Failure> {
        let read = text.as_ref().map(|text| argument::read::<Payload>(flag, text)).transpose()?;
        Ok(read.map(|payload| payload.0))
    };
    let vector = args.vector.as_ref().map(|text| argument::read("--vector", text)).transpose()?;
    let (overwrite, set) = (payload("--overwrite", &args.overwrite)?, payload("--set", &args.set)?);
    let (database, collection) = context.collection(&args.named.collection)?;
    if args.dry_run {
        tell_dry_run(context, &collection, choice, "changed")?;
        return Ok(database.close()?);
    }
    let mut update = match choice {
        Choice::Ids(ids) => collection.update(ids),
        Choice::Filter(filter) => collection.update_matching(*filter),
    };
    if let Some(vector) = vector {
        update = update.vector(vector);
    }
    if let Some(payload) = overwrite {
        update = update.overwrite(payload);
    }
    if args.clear {
        update = update.clear();
    }
    if !args.delete_key.is_empty() {
        update = update.delete_keys(&args.delete_key);
    }
    update = match (set, &args.key) {
        (Some(members), Some(key)) => update.set_at(key, members),
        (Some(members), None) => update.set(members),
        (None, _) => update,
    };
    let updated = update.run()?.count;
    context.terminal.show(&json!({ "updated": updated }), format_args!("{} changed", count(updated, "record")))?;
    Ok(database.close()?)
}

/// Deletes records.
pub fn delete(context: &Context, args: &Delete) -> Result<(), Failure> {
    let choice = args.chosen.choice()?;
    let (database, collection) = context.collection(&args.named.collection)?;
    if args.dry_run {
        tell_dry_run(context, &collection, choice, "deleted")?;
        return Ok(database.close()?);
    }
    let deleted = match choice {
        Choice::Ids(ids) => collection.delete(ids)?,
        Choice::Filter(filter) => collection.delete_matching(&filter)?,
    };
    let deleted = deleted.count;
    context.terminal.show(&json!({ "deleted": deleted }), format_args!("{} deleted", count(deleted, "record")))?;
    Ok(database.close()?)
}

fn tell_dry_run(context: &Context, collection: &Collection, choice: Choice, done: &str) -> Result<(), Failure> {
    let filter = match choice {
        Choice::Ids(ids) => engine::Filter::has_id(ids),
        Choice::Filter(filter) => *filter,
    };
    let counted = collection.count().filter(filter).run()?;
    context.terminal.note_damaged(&counted.damaged)?;
    let text = format!("{} would be {done}; nothing was", count(counted.count, "record"));
    context.terminal.show(&json!({ "dry_run": true, "matching": counted.count, "partial": counted.partial }), text)
}
