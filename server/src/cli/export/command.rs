//! `lethedb export` itself: what is asked for, the pages of records, and what is told in the end.
//!
//! Invariant: all pages show one state of the collection, and what damage hides is told.

use std::path::PathBuf;

use datasets::parquet::Ids;
use engine::{AsOf, Collection, Filter, RecordId};
use serde_json::json;

use super::sink::{Sink, beside};
use crate::cli::argument;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::format::{FileFormat, is_pipe};
use crate::json::{Object, count};

/// Records that are read together.
const PAGE_RECORDS: usize = 1_000;

/// Arguments of `export`.
#[derive(clap::Args)]
pub struct Args {
    /// File to write: jsonl, parquet, npy or fbin, or - for jsonl on standard output. Beside npy and fbin, which hold
    /// vectors alone, ids, entities and payloads go into a file of the same name that ends in .jsonl, a line for every row.
    ///
    /// It holds people's data in the clear, readable by you alone, and no erasure reaches it.
    file: PathBuf,
    /// Collection to read. Without one, --entity gives that person's records of all collections, as jsonl.
    #[arg(long, value_name = "NAME", required_unless_present = "entity")]
    collection: Option<String>,
    /// Format of the file [default: as its extension says].
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Only records that match, as JSON; it may stand in a file, or come from standard input for @-.
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "entity")]
    filter: Option<String>,
    /// Only records of this data subject.
    #[arg(long)]
    entity: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Where segments are damaged, write what can be read instead of failing.
    #[arg(long)]
    partial: bool,
}

/// Exports one collection.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let format = FileFormat::of(&args.file, args.format)?;
    let Some(name) = &args.collection else {
        return person(context, args, format);
    };
    let filter = match (&args.filter, &args.entity) {
        (Some(text), _) => Some(argument::read::<Object<Filter>>("--filter", text)?.0),
        (None, entity) => entity.as_ref().map(Filter::entity),
    };
    let database = context.database(false)?;
    let collection = context.environment(&database)?.open_collection(name)?;
    let pages = Pages { collection: &collection, filter, limit: PAGE_RECORDS.min(context.config.engine.limit_max) };
    let dimension = collection.info().dimension;
    let mut counted = collection.count();
    if let Some(filter) = &pages.filter {
        counted = counted.filter(filter.clone());
    }
    collection.tell_export(counted.run()?.count)?;
    let mut sink = Sink::open(&args.file, format, dimension, || pages.ids(), args.force)?;
    let done = pages.write(context, &mut sink, args.partial)?;
    sink.finish()?;
    tell(context, args, format, &done)?;
    Ok(database.close()?)
}

/// Exports everything of one person, for them to have.
fn person(context: &Context, args: &Args, format: FileFormat) -> Result<(), Failure> {
    if format != FileFormat::Jsonl {
        return Err(Failure::Usage("a person's records of all collections are exported as jsonl".into()));
    }
    let database = context.database(false)?;
    let entity = args.entity.clone().unwrap_or_default();
    let export = context.environment(&database)?.export_entity(entity)?;
    let (records, as_of) = (export.len() as u64, export.as_of());
    let mut sink = Sink::open(&args.file, format, 0, || Ok(Ids::Text), args.force)?;
    for found in export {
        let (collection, record) = found?;
        sink.push_of(&collection, record)?;
    }
    sink.finish()?;
    tell(context, args, format, &Done { records, as_of, damaged: Vec::new() })?;
    Ok(database.close()?)
}

/// What is exported.
struct Pages<'a> {
    collection: &'a Collection,
    filter: Option<Filter>,
    limit: usize,
}

/// What was exported.
struct Done {
    records: u64,
    as_of: AsOf,
    damaged: Vec<String>,
}

impl Pages<'_> {
    fn page(&self, after: Option<RecordId>, limit: usize, with_data: bool) -> Result<engine::Page, Failure> {
        let mut scroll = self.collection.scroll().limit(limit).with_payload(with_data).with_vector(with_data);
        if let Some(after) = after {
            scroll = scroll.after(after);
        }
        if let Some(filter) = &self.filter {
            scroll = scroll.filter(filter.clone());
        }
        Ok(scroll.run()?)
    }

    /// Numbers come before UUIDs, so that what follows the last number tells whether there is a UUID.
    fn ids(&self) -> Result<Ids, Failure> {
        let page = self.page(Some(RecordId::Num(u64::MAX)), 1, false)?;
        Ok(if page.records.is_empty() { Ids::Numbers } else { Ids::Text })
    }

    fn write(&self, context: &Context, sink: &mut Sink, may_lack: bool) -> Result<Done, Failure> {
        let mut count = self.collection.count();
        if let Some(filter) = &self.filter {
            count = count.filter(filter.clone());
        }
        let bar = context.terminal.progress("exporting", count.run()?.count);
        let mut page = self.page(None, self.limit, true)?;
        let mut done = Done { records: 0, as_of: page.as_of, damaged: Vec::new() };
        loop {
            if page.partial && !may_lack {
                return Err(Failure::Partial(page.damaged));
            }
            // Nobody else writes while this process holds the data directory, but an erasure that was interrupted is
            // finished behind our back: then later pages lack what earlier ones show.
            if page.as_of.sequence != done.as_of.sequence {
                return Err(Failure::Changed);
            }
            done.damaged = page.damaged;
            done.records += page.records.len() as u64;
            for record in page.records {
                sink.push(record)?;
            }
            bar.set_position(done.records);
            let Some(after) = page.next else { break };
            page = self.page(Some(after), self.limit, true)?;
        }
        bar.finish_and_clear();
        Ok(done)
    }
}

fn tell(context: &Context, args: &Args, format: FileFormat, done: &Done) -> Result<(), Failure> {
    let Done { records, as_of, damaged } = done;
    if !damaged.is_empty() {
        let names = damaged.join(", ");
        context.terminal.note(format!("Damaged segments were left out: {names}. Run `lethedb verify`."))?;
    }
    let counted = count(*records, "record");
    if is_pipe(&args.file) {
        return context.terminal.note(format_args!("{counted} exported, in the clear"));
    }
    let mut files = vec![args.file.as_path()];
    let lines = beside(&args.file);
    if matches!(format, FileFormat::Npy | FileFormat::Fbin) {
        files.push(&lines);
    }
    let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ");
    context.terminal.show(
        &json!({ "exported": records, "files": files, "sequence": as_of.sequence, "damaged": damaged }),
        format_args!("{counted} exported to {names}"),
    )?;
    context.terminal.note(
        "What was exported is people's data in the clear, readable by you alone. No erasure reaches it: delete it when you \
         are done.",
    )
}
