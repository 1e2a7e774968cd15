//! `lethedb search`: nearest records from a shell, alone, by groups, or for many searches at once.

use engine::{Collection, Group, Groups, Hits, RecordId, Search};
use serde::Serialize;
use serde_json::{Value, json};

use super::argument::{self, Matching, Named};
use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{self, ExplainAnswer, HitAnswer, Object};
use crate::rest::{SearchAnswer, SearchBody};

/// Arguments of `search`.
#[derive(clap::Args)]
#[command(
    group(clap::ArgGroup::new("query").required(true)),
    after_help = "Examples:\n  lethedb search --collection docs --vector '[0.1, 0.9, 0]' --filter '{\"key\": \"lang\", \"match\": {\"value\": \"en\"}}'\n  \
        lethedb search --collection docs --like 1,2 --unlike 7 --group-by author.name\n  \
        lethedb search --collection docs --batch searches.jsonl --output json"
)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// What to search for, as a JSON list of numbers.
    #[arg(long, value_name = "JSON|@FILE", group = "query", allow_hyphen_values = true)]
    vector: Option<String>,
    /// Search for what lies near this record, or between several; they are not among the hits.
    #[arg(long, visible_alias = "id", value_name = "ID", group = "query", value_delimiter = ',')]
    like: Vec<RecordId>,
    /// Run every search in this file, or in standard input for -: a line of JSON for each, as in the body of a REST
    /// search. All see the same state.
    #[arg(long, value_name = "FILE", group = "query", conflicts_with_all = Args::OF_ONE)]
    batch: Option<String>,
    /// Move away from these records.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    unlike: Vec<RecordId>,
    /// How many records to find, or groups with --group-by [default: 10].
    #[arg(long)]
    limit: Option<usize>,
    /// How many of the nearest records to pass over.
    #[arg(long)]
    offset: Option<usize>,
    /// The worst score of a hit.
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    score_threshold: Option<f32>,
    /// Width of the graph search: more finds better and takes longer.
    #[arg(long)]
    ef: Option<usize>,
    /// Compare with every record instead of asking the graph.
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    matching: Matching,
    /// Show the nearest hits of each of the nearest groups: records with the same value at this key path.
    #[arg(long, value_name = "PATH")]
    group_by: Option<String>,
    /// How many hits a group has at most [default: 3].
    #[arg(long, requires = "group_by")]
    group_size: Option<usize>,
    /// Also tell what the search did and how long it took.
    #[arg(long, conflicts_with = "group_by")]
    explain: bool,
}

impl Args {
    /// What says something of one search, where lines of a batch say it for themselves.
    const OF_ONE: [&str; 11] = [
        "unlike",
        "limit",
        "offset",
        "score_threshold",
        "ef",
        "exact",
        "filter",
        "entity",
        "group_by",
        "group_size",
        "explain",
    ];

    fn search<'a>(&self, collection: &Collection, vector: Option<&'a [f32]>) -> Result<Search<'a>, Failure> {
        let mut search = match vector {
            Some(vector) => collection.search(vector),
            None => collection.recommend(self.like.iter().copied()),
        };
        search = search.unlike(self.unlike.iter().copied()).exact(self.exact).explain(self.explain);
        search = search.limit(self.limit.unwrap_or(10)).offset(self.offset.unwrap_or(0));
        if let Some(score) = self.score_threshold {
            search = search.score_threshold(score);
        }
        if let Some(ef) = self.ef {
            search = search.ef(ef);
        }
        if let Some(filter) = self.matching.filter()? {
            search = search.filter(filter);
        }
        Ok(search)
    }
}

/// Searches.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if let Some(file) = &args.batch {
        return batch(context, args, file);
    }
    let vector: Option<Vec<f32>> = args.vector.as_ref().map(|text| argument::read("--vector", text)).transpose()?;
    let (database, collection) = context.collection(&args.named.collection)?;
    let search = args.search(&collection, vector.as_deref())?;
    match &args.group_by {
        None => tell(context, search.run()?)?,
        Some(key) => {
            let mut grouping = search.group_by(key);
            if let Some(size) = args.group_size {
                grouping = grouping.group_size(size);
            }
            tell_groups(context, grouping.run()?)?;
        }
    }
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

fn tell(context: &Context, found: Hits) -> Result<(), Failure> {
    let explain = ExplainAnswer::of(&found);
    let Hits { hits, partial, damaged, .. } = found;
    context.terminal.note_damaged(&damaged)?;
    let found = Found { hits: hits.into_iter().map(HitAnswer::from).collect(), partial, damaged, explain };
    let explain = found.explain.as_ref().map_or(String::new(), |explain| format!("\n\n{explain}"));
    context.terminal.show(&found, rows(&found.hits) + &explain)
}

fn tell_groups(context: &Context, found: Groups) -> Result<(), Failure> {
    let Groups { groups, is_complete, partial, damaged, .. } = found;
    context.terminal.note_damaged(&damaged)?;
    let answer = |Group { key, hits }: Group| (key, hits.into_iter().map(HitAnswer::from).collect::<Vec<_>>());
    let groups: Vec<(Value, Vec<HitAnswer>)> = groups.into_iter().map(answer).collect();
    let text: Vec<_> = groups.iter().map(|(key, hits)| format!("{key}\n{}", rows(hits))).collect();
    let groups: Vec<_> = groups.iter().map(|(key, hits)| json!({ "key": key, "hits": hits })).collect();
    let value = json!({ "groups": groups, "complete": is_complete, "partial": partial, "damaged": damaged });
    context.terminal.show(&value, text.join("\n\n"))
}

fn batch(context: &Context, args: &Args, file: &str) -> Result<(), Failure> {
    let text = argument::bytes(file)?;
    let lines = (1..).zip(text.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    let read = |(number, line): (usize, &[u8])| {
        let body = json::parse::<Object<SearchBody>>(line).map_err(|error| error.on_line(number));
        body.map(|body| (number, body.0)).map_err(|error| Failure::Usage(format!("--batch: {error}")))
    };
    let bodies = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    let (database, collection) = context.collection(&args.named.collection)?;
    let searches = bodies.iter().map(|(number, body)| {
        let search = body.on(&collection);
        search.map_err(|problem| Failure::Usage(format!("--batch: {} at line {number}", problem.detail)))
    });
    let searches = searches.collect::<Result<Vec<_>, _>>()?;
    let answers: Vec<SearchAnswer> = collection.search_batch(searches)?.into_iter().map(SearchAnswer::from).collect();
    if let Some(answer) = answers.first() {
        context.terminal.note_damaged(&answer.damaged)?;
    }
    let text =
        bodies.iter().zip(&answers).map(|((number, _), answer)| format!("line {number}\n{}", rows(&answer.hits)));
    let text = text.collect::<Vec<_>>().join("\n\n");
    context.terminal.show(&json!({ "answers": answers }), text)?;
    Ok(database.close()?)
}

fn rows(hits: &[HitAnswer]) -> String {
    table(["id", "score", "entity", "payload"], &hits.iter().map(row).collect::<Vec<_>>())
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
