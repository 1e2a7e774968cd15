//! The records of a Parquet file, one after another.
//!
//! Invariant: at most a batch of rows and one page of every column are in memory; what the head of the file claims sizes
//! nothing. What the head of a page claims to be when it is decompressed, which is 2 GiB at most, is set aside but not
//! touched before it is true. After an [`Error`] nothing is yielded.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use serde_json::{Map, Value};

use super::bounded::Bounded;
use super::error::{Error, Fault};
use super::kind::Kind;
use super::leaf::Leaf;
use super::node::Node;

/// Rows that are decoded together: few, because a row can hold a vector of thousands of numbers.
const BATCH: u64 = 256;

const NO_ENTITY: &str = "names no entity by text or a whole number";

/// Which columns are what; by their names.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The record id.
    pub id: &'a str,
    /// The vector.
    pub vector: &'a str,
    /// The entity. One named here must exist, be filled in every row, and stays a member of the payload; otherwise a
    /// column `entity` is taken, if there is one.
    pub entity: Option<&'a str>,
}

impl Default for Columns<'_> {
    fn default() -> Self {
        Self { id: "id", vector: "vector", entity: None }
    }
}

/// What else a record holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// JSON text of the column `payload`.
    Text(String),
    /// The columns that are nothing else, without nulls.
    Members(Map<String, Value>),
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// A number in decimal digits, a UUID, or whatever text stands there.
    pub id: String,
    /// The vector, of any length; its numbers may not be finite.
    pub vector: Vec<f32>,
    /// The entity, if there is one.
    pub entity: Option<String>,
    /// The payload, if there is one.
    pub payload: Option<Payload>,
}

/// What a column is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Id,
    Vector,
    Entity,
    /// Entity and member at once.
    Owner,
    Payload,
    Member,
}

struct Column {
    name: String,
    role: Role,
    node: Node,
}

/// A reader of records.
pub struct Rows<R: ChunkReader + 'static> {
    file: SerializedFileReader<Bounded<R>>,
    columns: Arc<[Column]>,
    kinds: Vec<Kind>,
    schema: Arc<SchemaDescriptor>,
    leaves: Vec<Leaf>,
    group: usize,
    /// Rows of the group that are in no batch yet.
    left: u64,
    row: u64,
    is_over: bool,
}

impl<R: ChunkReader + 'static> Rows<R> {
    /// Reads the end of the file, where its schema is, and checks that it has the columns of a record.
    ///
    /// # Errors
    /// `Format` for a file that is cut off or something else; `NoColumn` and `Column` for one that holds no records.
    pub fn new(reader: R, names: Columns<'_>) -> Result<Self, Error> {
        contained(|| Self::open(reader, names))
    }

    fn open(reader: R, names: Columns<'_>) -> Result<Self, Error> {
        let file = SerializedFileReader::new(Bounded(reader))?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let mut columns = Vec::new();
        let mut leaf = 0;
        for (at, field) in schema.root_schema().get_fields().iter().enumerate() {
            let wrong = |what| Error::Column { column: at + 1, what };
            if columns.iter().any(|column: &Column| column.name == field.name()) {
                return Err(wrong("has the name of an earlier one"));
            }
            let node = Node::of(field, &mut leaf).map_err(wrong)?;
            columns.push(Column { name: field.name().to_owned(), role: role(field.name(), names), node });
        }
        for name in [Some(names.id), Some(names.vector), names.entity].into_iter().flatten() {
            if !columns.iter().any(|column| column.name == name) {
                return Err(Error::NoColumn { name: name.to_owned() });
            }
        }
        let kinds = kinds(&columns, &schema)?;
        let columns = columns.into();
        Ok(Self { file, columns, kinds, schema, leaves: Vec::new(), group: 0, left: 0, row: 0, is_over: false })
    }

    /// How many rows the file says it has.
    pub fn total(&self) -> u64 {
        u64::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Moves every column to the next row; `false` at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            let moved: Vec<bool> = self.leaves.iter_mut().map(Leaf::advance).collect();
            if moved.first() == Some(&true) {
                let stopped = moved.iter().position(|moved| !moved);
                return stopped.map_or(Ok(true), |leaf| Err(self.short(leaf)));
            }
            if self.left == 0 && !self.open_group()? {
                return Ok(false);
            }
            let records = self.left.min(BATCH);
            for at in 0..self.leaves.len() {
                let Some(leaf) = self.leaves.get_mut(at) else { break };
                if !leaf.fill(records as usize)? {
                    return Err(self.short(at));
                }
            }
            self.left -= records;
        }
    }

    fn open_group(&mut self) -> Result<bool, Error> {
        if self.group >= self.file.num_row_groups() {
            return Ok(false);
        }
        let group = self.file.get_row_group(self.group)?;
        self.group += 1;
        self.leaves.clear();
        for (at, kind) in self.kinds.iter().enumerate() {
            let column = self.schema.column(at);
            let reader = group.get_column_reader(at)?;
            self.leaves.push(Leaf::new(reader, *kind, column.max_def_level(), column.max_rep_level()));
        }
        self.left = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        Ok(true)
    }

    fn short(&self, leaf: usize) -> Error {
        let at = self.schema.get_column_root_idx(leaf);
        Error::Short { column: at + 1, row: self.row }
    }

    /// The record on which all columns stand.
    fn record(&mut self) -> Result<Row, Fault> {
        let columns = Arc::clone(&self.columns);
        let mut row = Row { id: String::new(), vector: Vec::new(), entity: None, payload: None };
        let (mut members, mut owner) = (Map::new(), None);
        let has_payload = columns.iter().any(|column| column.role == Role::Payload);
        for (at, Column { name, role, node }) in columns.iter().enumerate() {
            let fault = |what| Fault { column: at + 1, what };
            if *role == Role::Vector {
                row.vector = self.vector(node).map_err(fault)?;
                continue;
            }
            if has_payload && *role == Role::Member {
                continue;
            }
            let value = if *role == Role::Payload { self.text(node) } else { node.record(&mut self.leaves) };
            let value = value.map_err(fault)?;
            match role {
                Role::Id => row.id = name_of(&value).ok_or(fault("holds no id"))?,
                Role::Entity if value.is_null() => (),
                Role::Entity => row.entity = Some(name_of(&value).ok_or(fault(NO_ENTITY))?),
                Role::Owner => owner = Some(name_of(&value).ok_or(fault(NO_ENTITY))),
                Role::Payload => row.payload = value.as_str().map(|text| Payload::Text(text.to_owned())),
                Role::Member | Role::Vector => (),
            }
            if matches!(role, Role::Member | Role::Owner) && !value.is_null() {
                members.insert(name.clone(), value);
            }
        }
        if let (None, Some(owner)) = (&row.entity, owner) {
            row.entity = Some(owner?);
        }
        if !has_payload && !members.is_empty() {
            row.payload = Some(Payload::Members(members));
        }
        Ok(row)
    }

    /// The text of a column that is text or JSON, as it stands there.
    fn text(&mut self, node: &Node) -> Result<Value, &'static str> {
        let leaf = node.leaf().and_then(|leaf| self.leaves.get_mut(leaf)).ok_or("is no column of text")?;
        let Some(at) = leaf.take() else { return Ok(Value::Null) };
        Kind::Text.json(leaf.values(), at)
    }

    fn vector(&mut self, node: &Node) -> Result<Vec<f32>, &'static str> {
        let leaf = node.elements().and_then(|leaf| self.leaves.get_mut(leaf)).ok_or("is no list of numbers")?;
        let range = leaf.take_all().ok_or("holds no vector, or a null in it")?;
        let (values, kind) = (leaf.values(), leaf.kind());
        let number = |at| match kind {
            Kind::Signed => values.signed(at).map(|value| value as f32),
            Kind::Unsigned => values.unsigned(at).map(|value| value as f32),
            _ => values.float(at).map(|value| value as f32),
        };
        range.map(number).collect::<Option<_>>().ok_or("lacks a value: the file is damaged")
    }
}

impl<R: ChunkReader + 'static> Iterator for Rows<R> {
    type Item = Result<Result<Row, Fault>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match contained(|| self.advance()) {
            Ok(true) => {
                let record = self.record();
                self.row += 1;
                Some(Ok(record))
            }
            Ok(false) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, now, ends in an [`Error`]. It needs no report: a program that installs a panic hook can
/// ask here whether to be silent.
pub fn is_contained() -> bool {
    CONTAINED.get()
}

/// Runs what calls the `parquet` crate: where a damaged file breaks an assertion of its decoders, that is an error like any
/// other. Whatever the decoders were in the middle of is not used after an error.
fn contained<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let broken = |_| Err(ParquetError::General("a page cannot be decoded".into()).into());
    let outside = CONTAINED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(read));
    CONTAINED.set(outside);
    done.unwrap_or_else(broken)
}

fn role(name: &str, names: Columns<'_>) -> Role {
    match name {
        _ if name == names.id => Role::Id,
        _ if name == names.vector => Role::Vector,
        _ if Some(name) == names.entity => Role::Owner,
        "entity" => Role::Entity,
        "payload" => Role::Payload,
        _ => Role::Member,
    }
}

/// What the leaves mean, checked against what their columns are for.
fn kinds(columns: &[Column], schema: &SchemaDescriptor) -> Result<Vec<Kind>, Error> {
    let wrong = |at: usize, what| Error::Column { column: at + 1, what };
    let mut kinds = Vec::new();
    for leaf in 0..schema.num_columns() {
        let column = schema.get_column_root_idx(leaf);
        kinds.push(Kind::of(&schema.column(leaf)).map_err(|what| wrong(column, what))?);
    }
    let has_payload = columns.iter().any(|column| column.role == Role::Payload);
    for (at, column) in columns.iter().enumerate() {
        let plain = column.node.leaf().and_then(|leaf| kinds.get(leaf));
        match column.role {
            Role::Vector => {
                let elements = column.node.elements().and_then(|leaf| kinds.get(leaf));
                if !elements.is_some_and(|kind| kind.is_number()) {
                    return Err(wrong(at, "should hold the vectors, but is no list of numbers"));
                }
            }
            Role::Payload if !matches!(plain, Some(Kind::Text | Kind::Json)) => {
                return Err(wrong(at, "should hold the payloads, but is no text of JSON"));
            }
            Role::Member if has_payload => {
                return Err(wrong(at, "has no place: the column `payload` holds the whole payload"));
            }
            _ => (),
        }
    }
    Ok(kinds)
}

/// Text or a whole number as text.
fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}
