//! `lethedb collections`: make, list, describe, change and drop.

use std::fmt::Write;

use clap::Subcommand;
use engine::{Collection, CollectionInfo, Limits, Metric, Schema, SegmentInfo};
use serde::Serialize;
use serde_json::json;

use super::argument::{Named, read};
use super::context::Context;
use super::failure::Failure;
use super::indexes;
use super::terminal::{table, word};
use crate::json::{KeptAnswer, Object};

#[derive(Subcommand)]
pub enum Command {
    /// List all collections.
    #[command(after_help = "Example:\n  lethedb collections list --output json")]
    List,
    /// Describe a collection: counts, sizes, segments, indexes, aliases, schema and limits.
    #[command(after_help = "Example:\n  lethedb collections info --collection docs")]
    Info(Info),
    /// Make a collection, and its environment if there is none.
    #[command(
        after_help = "Example:\n  lethedb collections create --collection docs --dimension 384 --metric cosine \\\n    \
        --schema '{\"fields\": {\"lang\": \"keyword\", \"tags\": \"keyword[]\"}, \"required\": [\"lang\"]}'"
    )]
    Create(Create),
    /// Show what payloads must be like, or ask something else of those that are written from now on.
    #[command(after_help = "Example:\n  lethedb collections schema --collection docs --set @schema.json")]
    Schema(SchemaArgs),
    /// Show how much a collection may hold, or change that.
    #[command(after_help = "Example:\n  lethedb collections limits --collection docs --records-max 1000000")]
    Limits(LimitsArgs),
    /// Drop a collection with all its records, keys and aliases. Cannot be undone.
    #[command(after_help = "Example:\n  lethedb collections drop --collection docs")]
    Drop(Drop),
}

/// Arguments of `info`.
#[derive(clap::Args)]
pub struct Info {
    #[command(flatten)]
    named: Named,
}

/// Arguments of `create`.
#[derive(clap::Args)]
pub struct Create {
    /// Name: 1 to 64 letters, digits, - or _, a letter or digit first.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Numbers in a vector.
    #[arg(long)]
    dimension: usize,
    /// What near means: cosine, dot or l2.
    #[arg(long, default_value = "cosine")]
    metric: Metric,
    /// What payloads must be like.
    #[arg(long, value_name = "JSON|@FILE")]
    schema: Option<String>,
    /// Records that it may hold [default: as many as fit].
    #[arg(long, value_name = "NUMBER")]
    records_max: Option<u64>,
    /// Bytes of one payload [default: as many as the settings allow].
    #[arg(long, value_name = "BYTES")]
    payload_bytes_max: Option<usize>,
}

/// Arguments of `schema`.
#[derive(clap::Args)]
pub struct SchemaArgs {
    #[command(flatten)]
    named: Named,
    /// The new schema, in the place of the old one.
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "clear")]
    set: Option<String>,
    /// Ask nothing of payloads any more.
    #[arg(long)]
    clear: bool,
}

/// Arguments of `limits`. Those that are not named stay.
#[derive(clap::Args)]
pub struct LimitsArgs {
    #[command(flatten)]
    named: Named,
    /// Records that it may hold, or none for as many as fit.
    #[arg(long, value_name = "NUMBER|none")]
    records_max: Option<Most>,
    /// Bytes of one payload, or none for as many as the settings allow.
    #[arg(long, value_name = "BYTES|none")]
    payload_bytes_max: Option<Most>,
}

/// Arguments of `drop`.
#[derive(clap::Args)]
pub struct Drop {
    /// The collection's own name; an alias is refused.
    #[arg(long, value_name = "NAME")]
    collection: String,
}

/// A limit, or that there is none.
#[derive(Clone, Copy)]
pub struct Most(Option<u64>);

impl std::str::FromStr for Most {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|most| Self(Some(most))).map_err(|_| "a whole number from 0, or none")
    }
}

/// A collection and its segments.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    info: CollectionInfo,
    segment_details: Vec<SegmentInfo>,
}

/// Runs one of them.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(context),
        Command::Info(args) => info(context, args),
        Command::Create(args) => create(context, args),
        Command::Schema(args) => schema(context, args),
        Command::Limits(args) => limits(context, args),
        Command::Drop(args) => drop_it(context, args),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let database = context.database(false)?;
    let collections = context.environment(&database)?.collections();
    let row = |info: &CollectionInfo| {
        [
            info.name.clone(),
            info.records.to_string(),
            info.dimension.to_string(),
            info.metric.to_string(),
            info.segments.to_string(),
            info.disk_bytes.to_string(),
            info.aliases.join(", "),
        ]
    };
    let head = ["name", "records", "dimension", "metric", "segments", "disk_bytes", "aliases"];
    let text = table(head, &collections.iter().map(row).collect::<Vec<_>>());
    context.terminal.show(&json!({ "collections": collections }), text)?;
    Ok(database.close()?)
}

fn info(context: &Context, args: &Info) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    describe(context, &collection)?;
    Ok(database.close()?)
}

fn create(context: &Context, args: &Create) -> Result<(), Failure> {
    let schema: Option<Object<Schema>> = args.schema.as_ref().map(|text| read("--schema", text)).transpose()?;
    let limits = Limits { records_max: args.records_max, payload_bytes_max: args.payload_bytes_max };
    let database = context.database(true)?;
    let environment = database.environment(&context.config.store.environment)?;
    let collection = environment.collection(&args.collection).dimension(args.dimension).metric(args.metric);
    let collection = collection.schema(schema.map(|schema| schema.0).unwrap_or_default()).limits(limits).create()?;
    describe(context, &collection)?;
    Ok(database.close()?)
}

fn schema(context: &Context, args: &SchemaArgs) -> Result<(), Failure> {
    let set: Option<Object<Schema>> = args.set.as_ref().map(|text| read("--set", text)).transpose()?;
    let (database, collection) = context.collection(&args.named.collection)?;
    if let Some(Object(schema)) = set {
        collection.set_schema(&schema)?;
    } else if args.clear {
        collection.set_schema(&Schema::new())?;
    }
    let schema = collection.schema();
    let text = if schema.is_empty() { "payloads may be anything".to_owned() } else { json!(schema).to_string() };
    context.terminal.show(&schema, text)?;
    Ok(database.close()?)
}

fn limits(context: &Context, args: &LimitsArgs) -> Result<(), Failure> {
    let (database, collection) = context.collection(&args.named.collection)?;
    let mut limits = collection.limits();
    if let Some(Most(most)) = args.records_max {
        limits.records_max = most;
    }
    if let Some(Most(most)) = args.payload_bytes_max {
        limits.payload_bytes_max = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    }
    collection.set_limits(limits)?;
    let row = |name: &str, most: Option<String>| [name.to_owned(), most.unwrap_or_else(|| "none".into())];
    let rows = [
        row("records_max", limits.records_max.map(|most| most.to_string())),
        row("payload_bytes_max", limits.payload_bytes_max.map(|most| most.to_string())),
    ];
    context.terminal.show(&limits, table(["limit", "value"], &rows))?;
    Ok(database.close()?)
}

fn drop_it(context: &Context, args: &Drop) -> Result<(), Failure> {
    let database = context.database(false)?;
    let name = &args.collection;
    if !context.environment(&database)?.drop_collection(name)? {
        return Err(Failure::Missing(vec![format!("the collection `{name}`")]));
    }
    context.terminal.show(&json!({ "dropped": name }), format_args!("`{name}` was dropped with all its records"))?;
    Ok(database.close()?)
}

fn describe(context: &Context, collection: &Collection) -> Result<(), Failure> {
    let described = Described { info: collection.info(), segment_details: collection.segments() };
    context.terminal.note_damaged(&described.info.damaged)?;
    let text = described.text();
    context.terminal.show(&described, text)
}

impl Described {
    fn text(&self) -> String {
        let info = &self.info;
        let most = |most: Option<String>| most.unwrap_or_else(|| "none".into());
        let mut facts = vec![
            ("name", info.name.clone()),
            ("id", info.id.clone()),
            ("dimension", info.dimension.to_string()),
            ("metric", info.metric.to_string()),
            ("records", info.records.to_string()),
            ("memtable_records", info.memtable_records.to_string()),
            ("disk_bytes", info.disk_bytes.to_string()),
            ("resident_bytes", info.resident_bytes.to_string()),
            ("is_locked", info.is_locked.to_string()),
            ("aliases", if info.aliases.is_empty() { "none".into() } else { info.aliases.join(", ") }),
            ("schema", if info.schema.is_empty() { "none".into() } else { json!(info.schema).to_string() }),
            ("records_max", most(info.limits.records_max.map(|most| most.to_string()))),
            ("payload_bytes_max", most(info.limits.payload_bytes_max.map(|most| most.to_string()))),
        ];
        let kept = info.retention.map(|kept| KeptAnswer::from(kept).to_string());
        facts.push(("retention", kept.unwrap_or_else(|| "for ever".into())));
        if self.segment_details.is_empty() {
            facts.push(("segments", "none yet".into()));
        }
        let facts: Vec<_> = facts.into_iter().map(|(fact, value)| [fact.to_owned(), value]).collect();
        let mut text = table(["fact", "value"], &facts);
        if !self.segment_details.is_empty() {
            let row = |segment: &SegmentInfo| {
                [
                    segment.name.clone(),
                    segment.records.to_string(),
                    segment.dead_rows.to_string(),
                    segment.disk_bytes.to_string(),
                    segment.resident_bytes.to_string(),
                    word(&segment.index),
                    segment.due.map_or_else(|| "nothing".into(), |due| word(&due)),
                ]
            };
            let head = ["segment", "records", "dead_rows", "disk_bytes", "resident_bytes", "index", "upkeep_due"];
            let rows: Vec<_> = self.segment_details.iter().map(row).collect();
            _ = write!(text, "\n\n{}", table(head, &rows));
        }
        if !info.payload_indexes.is_empty() {
            _ = write!(text, "\n\n{}", indexes::rows(&info.payload_indexes));
        }
        text
    }
}
