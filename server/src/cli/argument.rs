//! Arguments that several commands have: JSON in the argument or in a file, and which records are meant.
//!
//! Invariant: they are called and read the same everywhere, and no message repeats what they hold.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names; no file of ours")]

use std::io::{self, Read};

use engine::{Filter, RecordId};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::json::{self, Object};

/// The collection that a command works on.
#[derive(clap::Args)]
pub struct Named {
    /// Name or alias of the collection.
    #[arg(long, value_name = "NAME")]
    pub collection: String,
}

/// Which records are meant by what they hold.
#[derive(clap::Args)]
pub struct Matching {
    /// Only records that match this filter, as in REST: `{"key": "lang", "match": {"value": "en"}}`. As all JSON here it
    /// may stand in a file, or come from standard input for @-.
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
    /// Only records of this data subject.
    #[arg(long)]
    entity: Option<String>,
}

impl Matching {
    /// What both arguments ask for together.
    pub fn filter(&self) -> Result<Option<Filter>, Failure> {
        let asked: Option<Object<Filter>> = self.filter.as_ref().map(|text| read("--filter", text)).transpose()?;
        let entity = self.entity.as_ref().map(Filter::entity);
        let mut filters: Vec<Filter> = asked.map(|filter| filter.0).into_iter().chain(entity).collect();
        Ok(if filters.len() > 1 { Some(Filter::all(filters)) } else { filters.pop() })
    }
}

/// Which records are meant: some by their ids, or those that match.
#[derive(clap::Args)]
pub struct Chosen {
    /// The records with these ids, numbers or UUIDs.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    id: Vec<RecordId>,
    #[command(flatten)]
    matching: Matching,
    /// Every record of the collection.
    #[arg(long)]
    all: bool,
}

/// What [`Chosen`] says.
pub enum Choice {
    Ids(Vec<RecordId>),
    Filter(Box<Filter>),
}

impl Chosen {
    /// Exactly one of both ways to choose.
    pub fn choice(&self) -> Result<Choice, Failure> {
        let wrong = |what: &str| Err(Failure::Usage(what.to_owned()));
        match (self.id.as_slice(), self.matching.filter()?, self.all) {
            ([], Some(filter), false) if filter.has_condition() => Ok(Choice::Filter(Box::new(filter))),
            ([], Some(_), false) => {
                wrong("a filter without a condition means every record: if that is meant, say --all")
            }
            ([_, ..], None, false) => Ok(Choice::Ids(self.id.clone())),
            ([], None, true) => Ok(Choice::Filter(Box::new(Filter::all([])))),
            ([], None, false) => wrong("say which records are meant: --id, --filter, --entity, or --all for every one"),
            (.., true) => wrong("--all cannot stand beside --id, --filter or --entity"),
            ([_, ..], Some(_), false) => wrong("--id cannot stand beside --filter or --entity"),
        }
    }
}

/// Reads what the argument of `flag` holds: JSON itself, or after an @ the name of a file of JSON, which is standard
/// input for @-.
pub fn read<T: DeserializeOwned>(flag: &str, text: &str) -> Result<T, Failure> {
    let file = text.strip_prefix('@').map(bytes).transpose()?;
    let found = json::parse(file.as_deref().unwrap_or(text.as_bytes()));
    found.map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

/// The bytes of a file, or of standard input for -.
pub fn bytes(file: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        _ => std::fs::read(file),
    };
    read.map_err(|error| Failure::File { file: file.to_owned(), source: error })
}
