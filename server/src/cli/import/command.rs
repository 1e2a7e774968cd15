//! `lethedb import` itself: what is asked for, the walk over the rows, and what is told in the end.
//!
//! Invariant: nothing is made before the file shows a record, or says that it has none; what was stored before a failure
//! is told.

use std::path::PathBuf;

use engine::{Collection, Environment, Metric};
use serde_json::json;

use super::rejects::Rejects;
use super::row::Row;
use super::source::{Reading, Source};
use super::store::{BatchLimits, Store};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::format::FileFormat;
use crate::json::count;

/// A batch is stored when it holds this many records …
const BATCH_RECORDS_MAX: usize = 2_000;
/// … or about this many bytes.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Arguments of `import`.
#[derive(clap::Args)]
pub struct Args {
    /// A jsonl, parquet, hdf5, npy, fbin, u8bin, fvecs or bvecs file, or - for jsonl from standard input. A line of
    /// jsonl is {"id", "entity"?, "vector", "payload"?}; Parquet has columns of these names, or the rest of its columns
    /// make the payload; rows of vector files get their number from 0 as id.
    ///
    /// Records that are there already, equal in all, are not written again: an import that was interrupted goes on when it
    /// is started again.
    file: PathBuf,
    /// Collection to store into; it is made if it does not exist.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Format of the file [default: as its extension says].
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Metric of a new collection: cosine, dot or l2 [default: that of the collection or the file, else cosine].
    #[arg(long)]
    metric: Option<Metric>,
    /// Vector files: jsonl with a line {"id"?, "entity"?, "payload"?} for every row.
    #[arg(long, value_name = "FILE")]
    payloads: Option<PathBuf>,
    /// Parquet: the column of the ids.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_column: String,
    /// Parquet: the column of the vectors.
    #[arg(long, value_name = "NAME", default_value = "vector")]
    vector_column: String,
    /// Take the entity from this member of the payload or column, where the row has no `entity`; every row must have one.
    #[arg(long, value_name = "FIELD", conflicts_with = "entities")]
    entity_field: Option<String>,
    /// Vector files: spread the rows over this many invented entities, by Zipf's law.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    entities: Option<u32>,
    /// Leave records that are there as they are, even where the file says something else.
    #[arg(long)]
    keep_existing: bool,
    /// List the rows that cannot be stored here, with their numbers and what is wrong [default: the file's name and
    /// .rejects.jsonl]. The file is made if there is such a row; one from an earlier import is replaced.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Put the rejected rows themselves into the list: people's data in the clear.
    #[arg(long)]
    rejects_with_data: bool,
    /// End the import after so many rejected rows.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    max_rejects: u64,
    /// End with success even if rows were rejected.
    #[arg(long)]
    allow_rejects: bool,
}

/// Imports one file.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let reading = Reading {
        id: &args.id_column,
        vector: &args.vector_column,
        entity: args.entity_field.as_deref(),
        entities: args.entities,
        beside: args.payloads.as_deref(),
    };
    let mut source = Source::open(&args.file, FileFormat::of(&args.file, args.format)?, reading)?;
    let (max, with_data) = (args.max_rejects, args.rejects_with_data);
    let mut rejects = Rejects::new(&args.file, args.rejects.clone(), max, with_data, source.unit, context.terminal)?;
    let first = first_good(&mut source, &mut rejects)?;
    let found =
        first.as_ref().and_then(|row| row.as_ref().ok()?.as_ref().ok()).map(|first| first.record.vector().len());
    let Some(dimension) = source.dimension.or(found) else {
        return if rejects.count() > 0 { Err(rejects.failure()) } else { tell_nothing(context) };
    };

    let database = context.database(true)?;
    let environment = database.environment(&context.config.store.environment)?;
    let existing = environment.open_collection(&args.collection).ok().map(|collection| collection.info());
    // Where the rows differ from the collection, each is told, unless the whole file does.
    let expected = source.dimension.or(existing.as_ref().map(|info| info.dimension)).unwrap_or(dimension);
    let metric = args.metric.or(existing.map(|info| info.metric)).or(source.metric).unwrap_or(Metric::Cosine);
    let builder = environment.collection(&args.collection).dimension(expected).metric(metric);
    let collection = builder.open_or_create()?;

    let store = fill(context, args, (&environment, &collection), first, source, rejects)?;
    environment.flush()?;
    tell(context, &collection, &store)?;
    database.close()?;
    if store.rejects.count() > 0 && !args.allow_rejects { Err(store.rejects.failure()) } else { Ok(()) }
}

/// The first row that is a record; those before are rejected.
///
/// # Errors
/// If the file cannot be read as far.
fn first_good(source: &mut Source, rejects: &mut Rejects) -> Result<Option<Row>, Failure> {
    for row in source.rows.by_ref() {
        match row {
            Ok(Err(bad)) => rejects.add(bad)?,
            Ok(Ok(good)) => return Ok(Some(Ok(Ok(good)))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

fn fill(
    context: &Context,
    args: &Args,
    (environment, collection): (&Environment, &Collection),
    first: Option<Row>,
    source: Source,
    rejects: Rejects,
) -> Result<Store, Failure> {
    let settings = &context.config.engine;
    let limits = BatchLimits {
        records: BATCH_RECORDS_MAX.min(settings.batch_records_max).max(1),
        bytes: BATCH_BYTES_MAX.min(settings.batch_bytes_max / 2),
    };
    let bar = context.terminal.progress("importing", source.total.unwrap_or(0));
    let mut store = Store::new(environment.clone(), collection.clone(), limits, args.keep_existing, rejects);
    for row in first.into_iter().chain(source.rows) {
        match row.and_then(|row| store.take(row)) {
            Ok(false) => (),
            Ok(true) => bar.set_position(store.progress),
            Err(failure) => {
                bar.finish_and_clear();
                store.flush()?;
                let Store { imported, unchanged, .. } = store;
                context.terminal.note(format_args!(
                    "{} stored and {unchanged} there already, when the import ended:",
                    count(imported, "record")
                ))?;
                return Err(failure);
            }
        }
    }
    store.flush()?;
    bar.finish_and_clear();
    Ok(store)
}

/// A file of no records says nothing about the collection, and needs none.
fn tell_nothing(context: &Context) -> Result<(), Failure> {
    context.terminal.show(
        &json!({ "imported": 0, "unchanged": 0, "rejected": 0, "rejects": null, "collection": null }),
        "the file holds no records: nothing was imported",
    )
}

fn tell(context: &Context, collection: &Collection, store: &Store) -> Result<(), Failure> {
    let Store { imported, unchanged, rejects, .. } = store;
    let (info, rejected, path) = (collection.info(), rejects.count(), rejects.path());
    let mut text = format!("{} imported", count(*imported, "record"));
    if *unchanged > 0 {
        text = format!("{text}, {unchanged} were there");
    }
    if let Some(path) = path {
        text = format!("{text}, {rejected} rejected (see {})", path.display());
    }
    context.terminal.show(
        &json!({
            "imported": imported,
            "unchanged": unchanged,
            "rejected": rejected,
            "rejects": path,
            "collection": info,
        }),
        format_args!(
            "{text}; `{}` now holds {} of dimension {} under {}",
            info.name, info.records, info.dimension, info.metric
        ),
    )
}
