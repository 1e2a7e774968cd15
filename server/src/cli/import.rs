//! `lethedb import`: a file of vectors into a collection.
//!
//! Invariant: the file is read record by record and stored batch by batch, so it may be larger than memory (HDF5 alone
//! is loaded whole); what precedes a bad record stays stored, and the same import can be repeated after mending.

use std::path::PathBuf;

use engine::{Collection, Metric, Record};
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::source::{Loaded, Owners, Source};

/// A batch is stored when it holds this many records …
const BATCH_RECORDS_MAX: usize = 2_000;
/// … or about this many bytes.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Arguments of `import`.
#[derive(clap::Args)]
pub struct Args {
    /// An hdf5, fvecs, bvecs, fbin, u8bin, npy or jsonl file. Rows of vector files get their number from 0 as id;
    /// a line of jsonl is {"id", "entity"?, "vector", "payload"?}.
    file: PathBuf,
    /// Collection to store into; it is made if it does not exist.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Metric of a new collection: cosine, dot or l2 [default: that of the collection or the file, else cosine].
    #[arg(long)]
    metric: Option<Metric>,
    /// Jsonl: take the entity from this member of the payload, where the line has no `entity`.
    #[arg(long, value_name = "FIELD", conflicts_with = "entities")]
    entity_field: Option<String>,
    /// Vector files: spread the rows over this many invented entities, by Zipf's law.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    entities: Option<u32>,
}

/// Imports one file.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let owners = Owners { field: args.entity_field.as_deref(), entities: args.entities };
    let source = Source::open(&args.file, owners)?;
    let database = context.database(true)?;
    let environment = database.environment(&context.config.store.environment)?;
    let existing = environment.collections().into_iter().find(|info| info.name == args.collection);
    let metric = args.metric.or(existing.map(|info| info.metric)).or(source.metric).unwrap_or(Metric::Cosine);
    let builder = environment.collection(&args.collection).dimension(source.dimension).metric(metric);
    let collection = builder.open_or_create()?;

    let records = store(context, &collection, source)?;
    environment.flush()?;
    let info = collection.info();
    context.terminal.show(
        &json!({ "imported": records, "collection": info }),
        format_args!(
            "{records} records imported; `{}` now holds {} of dimension {} under {}",
            info.name, info.records, info.dimension, info.metric
        ),
    )?;
    Ok(database.close()?)
}

fn store(context: &Context, collection: &Collection, source: Source) -> Result<u64, Failure> {
    let limits = &context.config.engine;
    let records_max = BATCH_RECORDS_MAX.min(limits.batch_records_max).max(1);
    let bytes_max = BATCH_BYTES_MAX.min(limits.batch_bytes_max / 2);
    let bar = context.terminal.progress("importing", source.total);
    let mut batch = Batch::default();
    for loaded in source.records {
        match loaded {
            Ok(loaded) => batch.push(loaded),
            Err(failure) => {
                batch.store(collection)?;
                context.terminal.note(format_args!("{} records were stored before this one:", batch.stored))?;
                return Err(failure);
            }
        }
        if batch.records.len() >= records_max || batch.bytes >= bytes_max {
            batch.store(collection)?;
            bar.set_position(batch.progress);
        }
    }
    batch.store(collection)?;
    bar.finish_and_clear();
    Ok(batch.stored)
}

/// Records on their way.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    bytes: usize,
    stored: u64,
    progress: u64,
}

impl Batch {
    fn push(&mut self, loaded: Loaded) {
        self.records.push(loaded.record);
        self.bytes += loaded.bytes;
        self.progress = loaded.progress;
    }

    fn store(&mut self, collection: &Collection) -> Result<(), Failure> {
        let records = self.records.len() as u64;
        if records > 0 {
            let first = self.stored + 1;
            let wrap = |source| Failure::Batch { first, last: self.stored + records, source };
            collection.upsert(self.records.drain(..)).map_err(wrap)?;
        }
        self.bytes = 0;
        self.stored += records;
        Ok(())
    }
}
