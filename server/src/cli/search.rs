//! `lethedb search`: nearest records, from a shell.

use engine::{Filter, Hits, RecordId};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{self, ExplainAnswer, HitAnswer, Object};

/// Arguments of `search`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("query").required(true)))]
pub struct Args {
    /// Collection to search.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// What to search for, as a JSON list of numbers.
    #[arg(long, value_name = "JSON", group = "query", allow_hyphen_values = true)]
    vector: Option<String>,
    /// Search for what lies near this record, or between several; they are not among the hits.
    #[arg(long, visible_alias = "id", value_name = "ID", group = "query", value_delimiter = ',')]
    like: Vec<RecordId>,
    /// Move away from these records.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    unlike: Vec<RecordId>,
    /// How many records to find.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// How many of the nearest records to pass over.
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// The worst score of a hit.
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    score_threshold: Option<f32>,
    /// Width of the graph search: more finds better and takes longer.
    #[arg(long)]
    ef: Option<usize>,
    /// Compare with every record instead of asking the graph.
    #[arg(long)]
    exact: bool,
    /// Only records of this data subject.
    #[arg(long)]
    entity: Option<String>,
    /// Only records that match, as a JSON filter: `{"key": "lang", "match": {"value": "en"}}`.
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Also tell what the search did and how long it took.
    #[arg(long)]
    explain: bool,
}

/// Searches once.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let database = context.database(false)?;
    let collection = context.environment(&database)?.open_collection(&args.collection)?;
    let vector = vector(args)?;
    let mut search = match &vector {
        Some(vector) => collection.search(vector),
        None => collection.recommend(args.like.iter().copied()),
    };
    search = search.unlike(args.unlike.iter().copied());
    search = search.limit(args.limit).offset(args.offset).exact(args.exact).explain(args.explain);
    if let Some(score) = args.score_threshold {
        search = search.score_threshold(score);
    }
    if let Some(ef) = args.ef {
        search = search.ef(ef);
    }
    if let Some(filter) = filter(args)? {
        search = search.filter(filter);
    }
    let found = search.run()?;
    let explain = ExplainAnswer::of(&found);
    let Hits { hits, partial, damaged, .. } = found;
    if partial {
        let names = damaged.join(", ");
        context.terminal.note(format!("Damaged segments were left out: {names}. Run `lethedb verify`."))?;
    }
    let found = Found { hits: hits.into_iter().map(HitAnswer::from).collect(), partial, damaged, explain };
    let rows: Vec<_> = found.hits.iter().map(row).collect();
    let explain = found.explain.as_ref().map_or(String::new(), |explain| format!("\n\n{explain}"));
    context.terminal.show(&found, table(["id", "score", "entity", "payload"], &rows) + &explain)?;
    Ok(database.close()?)
}

/// What was found, for programs.
#[derive(Serialize)]
struct Found {
    hits: Vec<HitAnswer>,
    partial: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<ExplainAnswer>,
}

fn vector(args: &Args) -> Result<Option<Vec<f32>>, Failure> {
    let read = |text: &String| json::parse(text.as_bytes());
    args.vector.as_ref().map(read).transpose().map_err(|error| Failure::Usage(format!("--vector: {error}")))
}

/// What both arguments ask for together.
fn filter(args: &Args) -> Result<Option<Filter>, Failure> {
    let read = |text: &String| json::parse::<Object<Filter>>(text.as_bytes()).map(|filter| filter.0);
    let asked = args.filter.as_ref().map(read).transpose();
    let asked = asked.map_err(|error| Failure::Usage(format!("--filter: {error}")))?;
    let mut filters: Vec<Filter> = asked.into_iter().chain(args.entity.as_ref().map(Filter::entity)).collect();
    Ok(if filters.len() > 1 { Some(Filter::all(filters)) } else { filters.pop() })
}

fn row(hit: &HitAnswer) -> [String; 4] {
    let payload = hit.payload.as_ref().map(ToString::to_string);
    [
        hit.id.to_string(),
        format!("{:.4}", hit.score),
        hit.entity.clone().unwrap_or_default(),
        payload.unwrap_or_default(),
    ]
}
