//! What a whole store must do when a file of it is damaged: refuse to open and change nothing, or open and answer every
//! question rightly, with an error, or in part and saying so. A right answer is one that the model gives.

#![allow(clippy::unwrap_used, reason = "an id of the model is an id")]

use std::collections::BTreeMap;

use engine::{Environment, ErrorKind, Record, RecordId};
use storage::backend::Memory;

use crate::furnished::{COLLECTIONS, Tree, World, dump, load, reopen};
use crate::model::{Entry, Model, distance};

/// What came of opening and asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopened {
    /// It did not open, and nothing on disk changed.
    Refused,
    /// It opened, and every answer was right.
    Right,
    /// It opened; some answers were errors or partial, the others right.
    Partly,
}

/// Ids that were ever used, and one that was not.
const IDS: u64 = 50;

/// Opens the store in `tree` and asks it everything. Its records must be those of one of `worlds`.
///
/// # Errors
/// What was promised and did not happen.
pub fn reopened(tree: &Tree, worlds: &[&World]) -> Result<Reopened, String> {
    let memory = load(tree);
    match reopen(&memory) {
        Err(error) => refusal(&memory, tree, &error),
        Ok((db, env)) => {
            let outcome = ask(&env, worlds);
            drop(env);
            db.close().map_err(|error| format!("it does not close: {error}"))?;
            outcome
        }
    }
}

fn refusal(memory: &Memory, tree: &Tree, error: &engine::Error) -> Result<Reopened, String> {
    if !is_of_damage(error) {
        return Err(format!("opening failed with the wrong kind of error: {error:?}"));
    }
    let after = dump(memory);
    let changed = tree.keys().chain(after.keys()).find(|path| tree.get(*path) != after.get(*path));
    match changed {
        Some(path) => Err(format!("a refused open changed {path}: {error:?}")),
        None => Ok(Reopened::Refused),
    }
}

fn is_of_damage(error: &engine::Error) -> bool {
    use ErrorKind::{Corrupt, KeyUnavailable, NotFound, Unsupported};
    matches!(error.kind(), Corrupt | KeyUnavailable | Unsupported | NotFound)
}

/// Asks everything; what is left of `worlds` in the end is what all answers agree on.
fn ask(env: &Environment, worlds: &[&World]) -> Result<Reopened, String> {
    let mut refused = false;
    for (name, _, metric) in COLLECTIONS {
        let mut left: Vec<&Model> = worlds.iter().map(|world| &world[name]).collect();
        let docs = match env.open_collection(name) {
            Ok(docs) => docs,
            Err(error) => return Err(format!("{name} is gone: {error:?}")),
        };
        let mut answer = |what: &str, given: engine::Result<(bool, Check<'_>)>| match given {
            Err(error) if is_of_damage(&error) => {
                refused = true;
                Ok(())
            }
            Err(error) => Err(format!("{what} failed with the wrong kind of error: {error:?}")),
            Ok((partial, is_right)) => {
                refused |= partial;
                left.retain(|model| is_right(model));
                if left.is_empty() { Err(format!("{what} in {name} answered wrongly")) } else { Ok(()) }
            }
        };
        let counted = docs.count().run().map(|counted| {
            // Read as JSON, since a count says that it is partial only where it can be.
            let count = counted.count;
            let partial = serde_json::to_value(counted).is_ok_and(|answer| answer["partial"] == true);
            (partial, right_count(count, partial))
        });
        answer("count", counted)?;
        let page = docs.scroll().limit(1000).with_vector(true).run();
        answer("scroll", page.map(|page| (page.partial, right_records(page.records, page.partial))))?;
        for id in 0..IDS {
            answer("get", docs.get(id).map(|found| (false, right_record(id, found))))?;
        }
        for exact in [true, false] {
            let query: Vec<f32> = vec![0.25; docs.info().dimension];
            let hits = docs.search(&query).limit(6).exact(exact).run();
            let hits = hits.map(|hits| {
                let found: Vec<_> =
                    hits.hits.iter().map(|hit| (hit.id, hit.entity.clone(), hit.payload.clone())).collect();
                (hits.partial, right_hits(metric, query.clone(), found, exact && !hits.partial))
            });
            answer("search", hits)?;
        }
    }
    verified(env, refused)
}

/// What an answer refused, a verification finds.
fn verified(env: &Environment, refused: bool) -> Result<Reopened, String> {
    match env.verify() {
        Err(error) if !is_of_damage(&error) => Err(format!("verify failed with the wrong kind of error: {error:?}")),
        Ok(report) if report.problems.is_empty() && refused => Err("verify finds nothing wrong".into()),
        _ => Ok(if refused { Reopened::Partly } else { Reopened::Right }),
    }
}

type Check<'a> = Box<dyn Fn(&Model) -> bool + 'a>;

fn right_count(count: u64, partial: bool) -> Check<'static> {
    Box::new(move |model| {
        let all = model.records.len() as u64;
        count == all || (partial && count < all)
    })
}

fn right_records(records: Vec<Record>, partial: bool) -> Check<'static> {
    let found: BTreeMap<u64, Option<Entry>> =
        records.iter().map(|record| (number(record.id()), entry(record))).collect();
    Box::new(move |model| {
        let each = found.iter().all(|(id, entry)| entry.as_ref() == model.records.get(id));
        each && (partial || found.len() == model.records.len())
    })
}

fn right_record(id: u64, found: Option<Record>) -> Check<'static> {
    let found = found.as_ref().and_then(entry);
    Box::new(move |model| found.as_ref() == model.records.get(&id))
}

type Found = (RecordId, Option<String>, Option<serde_json::Value>);

/// Every hit is a record with its own entity and payload; where `complete`, they are also as near as the nearest.
fn right_hits(metric: engine::Metric, query: Vec<f32>, found: Vec<Found>, complete: bool) -> Check<'static> {
    Box::new(move |model| {
        let nearest = model.nearest(metric, &query, found.len().max(if complete { 6 } else { 0 }), None);
        let each = found.iter().zip(&nearest).all(|((id, entity, payload), (_, at_best))| {
            model.records.get(&number(*id)).is_some_and(|entry| {
                let far = distance(metric, &query, &entry.vector);
                entry.entity == *entity
                    && tag(payload.as_ref()) == Some(entry.tag)
                    && (!complete || (far - at_best).abs() < 1e-4)
            })
        });
        each && found.len() <= nearest.len() && (!complete || found.len() == nearest.len())
    })
}

fn number(id: RecordId) -> u64 {
    match id {
        RecordId::Num(number) => number,
        RecordId::Uuid(_) => u64::MAX,
    }
}

fn tag(payload: Option<&serde_json::Value>) -> Option<u64> {
    payload?["tag"].as_u64()
}

fn entry(record: &Record) -> Option<Entry> {
    let entity = record.entity_id().map(str::to_owned);
    Some(Entry { vector: record.vector().to_vec(), entity, tag: tag(record.payload_json())? })
}
