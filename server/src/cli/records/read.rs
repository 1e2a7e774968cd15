//! `lethedb records get`, `count`, `scroll`, `sample` and `facet`.

use engine::{Counted, Facets, Operand, Order, Page, RecordId};
use serde_json::{Value, json};

use super::show;
use crate::cli::argument::{self, Matching, Named};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::terminal::table;
use crate::json::RecordAnswer;

/// Arguments of `get`.
#[derive(clap::Args)]
pub struct Get {
    #[command(flatten)]
    named: Named,
    /// Ids of the records, numbers or UUIDs.
    #[arg(long, value_name = "ID", value_delimiter = ',', required = true)]
    id: Vec<RecordId>,
}

/// Arguments of `count`.
#[derive(clap::Args)]
pub struct Count {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    matching: Matching,
}

/// Arguments of `scroll`.
#[derive(clap::Args)]
pub struct Scroll {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    matching: Matching,
    /// How many records to show.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Go on after this id: the `next` of the page before.
    #[arg(long, value_name = "ID")]
    after: Option<RecordId>,
    /// In the order of what is at this key path; records without a value there are left out.
    #[arg(long, value_name = "PATH")]
    order_by: Option<String>,
    /// The greatest first.
    #[arg(long, requires = "order_by")]
    descending: bool,
    /// Begin with this value, as JSON; together with --after it is the `next_value` of the page before.
    #[arg(long, value_name = "JSON", requires = "order_by", allow_hyphen_values = true)]
    start_from: Option<String>,
    #[command(flatten)]
    parts: Parts,
}

/// Arguments of `sample`.
#[derive(clap::Args)]
pub struct Sample {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    matching: Matching,
    /// How many records to show.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Show the same records again as long as nothing is written in between.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    parts: Parts,
}

/// Which parts of records are shown.
#[derive(clap::Args)]
struct Parts {
    /// Show vectors, too.
    #[arg(long)]
    with_vector: bool,
    /// Do not show payloads.
    #[arg(long)]
    no_payload: bool,
}

/// Arguments of `facet`.
#[derive(clap::Args)]
pub struct Facet {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    matching: Matching,
    /// Key path as in filters: `lang`, `author.name`, `tags[].id`.
    #[arg(long, value_name = "PATH")]
    key: String,
    /// How many values to show, the commonest.
    #[arg(long, default_value_t = 10)]
    limit: usize,
}

/// Shows records by their ids.
pub fn get(context: &Context, args: &Get) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    for id in &args.id {
        match collection.get(*id)? {
            Some(record) => records.push(RecordAnswer::versioned(record)),
            None => missing.push(id.to_string()),
        }
    }
    context.terminal.show(&json!({ "records": records }), show::records(&records))?;
    database.close()?;
    if missing.is_empty() { Ok(()) } else { Err(Failure::Missing(missing)) }
}

/// Counts records.
pub fn count(context: &Context, args: &Count) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let mut count = collection.count();
    if let Some(filter) = args.matching.filter()? {
        count = count.filter(filter);
    }
    let Counted { count, partial, damaged, .. } = count.run()?;
    context.terminal.note_damaged(&damaged)?;
    context.terminal.show(&json!({ "count": count, "partial": partial }), count)?;
    Ok(database.close()?)
}

/// Shows one page of records.
pub fn scroll(context: &Context, args: &Scroll) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let mut scroll = collection.scroll().limit(args.limit);
    if let Some(after) = args.after {
        scroll = scroll.after(after);
    }
    if let Some(filter) = args.matching.filter()? {
        scroll = scroll.filter(filter);
    }
    if let Some(key) = &args.order_by {
        scroll = scroll.order_by(key, if args.descending { Order::Descending } else { Order::Ascending });
    }
    if let Some(text) = &args.start_from {
        let value: Value = argument::read("--start-from", text)?;
        let operand = Operand::try_from(&value)
            .map_err(|_| Failure::Usage("--start-from must be a string, a number, true or false, as JSON".into()))?;
        scroll = scroll.start_from(operand);
    }
    let page = scroll.with_payload(!args.parts.no_payload).with_vector(args.parts.with_vector).run()?;
    tell(context, page)?;
    Ok(database.close()?)
}

/// Shows random records.
pub fn sample(context: &Context, args: &Sample) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let mut sample = collection.sample(args.limit);
    if let Some(filter) = args.matching.filter()? {
        sample = sample.filter(filter);
    }
    if let Some(seed) = args.seed {
        sample = sample.seed(seed);
    }
    let page = sample.with_payload(!args.parts.no_payload).with_vector(args.parts.with_vector).run()?;
    tell(context, page)?;
    Ok(database.close()?)
}

/// Counts records by what is at a key.
pub fn facet(context: &Context, args: &Facet) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let mut facet = collection.facet(&args.key).limit(args.limit);
    if let Some(filter) = args.matching.filter()? {
        facet = facet.filter(filter);
    }
    let Facets { counts, distinct, partial, damaged, .. } = facet.run()?;
    context.terminal.note_damaged(&damaged)?;
    let rows: Vec<_> = counts.iter().map(|fact| [fact.value.to_string(), fact.count.to_string()]).collect();
    let counts: Vec<_> = counts.iter().map(|fact| json!({ "value": fact.value, "count": fact.count })).collect();
    let more = distinct.saturating_sub(rows.len() as u64);
    let more = if more > 0 { format!("\n… and {more} other values") } else { String::new() };
    let value = json!({ "counts": counts, "distinct": distinct, "partial": partial });
    context.terminal.show(&value, table(["value", "count"], &rows) + &more)?;
    Ok(database.close()?)
}

fn tell(context: &Context, page: Page) -> Result<(), Failure> {
    let Page { records, next, next_value, partial, damaged, .. } = page;
    context.terminal.note_damaged(&damaged)?;
    let records: Vec<_> = records.into_iter().map(RecordAnswer::versioned).collect();
    let mut value = json!({ "records": records, "next": next, "partial": partial });
    let mut text = show::records(&records);
    if let Some(next) = next {
        text = format!("{text}\n… and more: go on with --after {next}");
    }
    if let Some(next) = next_value {
        // A quote in JSON, as one that no shell ends an argument at.
        text = format!("{text} --start-from '{}'", next.to_string().replace('\'', "\\u0027"));
        value["next_value"] = next;
    }
    context.terminal.show(&value, text)
}
