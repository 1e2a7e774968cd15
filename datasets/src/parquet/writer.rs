//! Records into a Parquet file.
//!
//! Invariant: what is written here is read here, bit by bit; at most one row group is in memory. Vectors are stored plainly,
//! because their bits do not compress; no statistics are kept, because they would repeat people's data in the clear.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::error::Error;

/// A row group is written when it holds so many records …
const GROUP_RECORDS: usize = 16_384;
/// … or about so many bytes.
const GROUP_BYTES: usize = 32 << 20;

/// What the column of ids is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Every id is a number below 2⁶⁴.
    Numbers,
    /// Any id, as text.
    Text,
}

/// The record that is written.
pub struct Written<'a> {
    /// The id in decimal digits, or any text.
    pub id: String,
    /// The vector, at least one number.
    pub vector: &'a [f32],
    /// The entity, if there is one.
    pub entity: Option<&'a str>,
    /// JSON text, if there is a payload.
    pub payload: Option<String>,
}

/// The ids of a row group.
enum IdColumn {
    Numbers(Vec<i64>),
    Text(Vec<ByteArray>),
}

/// Writes records row group by row group.
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    ids: IdColumn,
    entities: Texts,
    vectors: Vec<f32>,
    /// 0 where a vector begins, 1 inside it.
    inside: Vec<i16>,
    payloads: Texts,
    records: usize,
    bytes: usize,
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file in `out`.
    ///
    /// # Errors
    /// Those of writing to `out`.
    pub fn new(out: W, ids: Ids) -> Result<Self, Error> {
        let id = match ids {
            Ids::Numbers => "INT64 id (INTEGER(64, false))",
            Ids::Text => "BYTE_ARRAY id (STRING)",
        };
        let schema = parse_message_type(&format!(
            "message record {{
                REQUIRED {id};
                OPTIONAL BYTE_ARRAY entity (STRING);
                REQUIRED GROUP vector (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT element; }} }}
                OPTIONAL BYTE_ARRAY payload (JSON);
            }}"
        ))?;
        let vector = ColumnPath::from(vec!["vector".to_owned(), "list".to_owned(), "element".to_owned()]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_column_compression(vector.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(vector, false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by("lethedb".to_owned());
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let ids = match ids {
            Ids::Numbers => IdColumn::Numbers(Vec::new()),
            Ids::Text => IdColumn::Text(Vec::new()),
        };
        let (entities, payloads) = (Texts::default(), Texts::default());
        Ok(Self { file, ids, entities, vectors: Vec::new(), inside: Vec::new(), payloads, records: 0, bytes: 0 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of writing, and an id that is no number where all should be.
    pub fn push(&mut self, record: Written<'_>) -> Result<(), Error> {
        let Written { id, vector, entity, payload } = record;
        self.bytes += size_of_val(vector) + id.len() + entity.map_or(0, str::len);
        self.bytes += payload.as_ref().map_or(0, String::len);
        match &mut self.ids {
            IdColumn::Numbers(ids) => {
                let number: u64 = id.parse().map_err(|_| ParquetError::General("an id is no number".into()))?;
                ids.push(number.cast_signed());
            }
            IdColumn::Text(ids) => ids.push(ByteArray::from(id.into_bytes())),
        }
        self.entities.push(entity.map(|entity| entity.as_bytes().to_vec()));
        self.inside.extend((0..vector.len()).map(|at| i16::from(at > 0)));
        self.vectors.extend_from_slice(vector);
        self.payloads.push(payload.map(String::into_bytes));
        self.records += 1;
        if self.records >= GROUP_RECORDS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the end of the file; gives back what it was written into.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<W, Error> {
        if self.records > 0 {
            self.write_group()?;
        }
        Ok(self.file.into_inner()?)
    }

    fn write_group(&mut self) -> Result<(), Error> {
        let mut group = self.file.next_row_group()?;
        match &mut self.ids {
            IdColumn::Numbers(ids) => {
                column::<Int64Type, _>(&mut group, ids, None, None)?;
                ids.clear();
            }
            IdColumn::Text(ids) => {
                column::<ByteArrayType, _>(&mut group, ids, None, None)?;
                ids.clear();
            }
        }
        self.entities.write(&mut group)?;
        let present = vec![1; self.inside.len()];
        column::<FloatType, _>(&mut group, &self.vectors, Some(&present), Some(&self.inside))?;
        self.vectors.clear();
        self.inside.clear();
        self.payloads.write(&mut group)?;
        group.close()?;
        (self.records, self.bytes) = (0, 0);
        Ok(())
    }
}

/// A column of text with gaps.
#[derive(Default)]
struct Texts {
    present: Vec<i16>,
    values: Vec<ByteArray>,
}

impl Texts {
    fn push(&mut self, value: Option<Vec<u8>>) {
        self.present.push(i16::from(value.is_some()));
        self.values.extend(value.map(ByteArray::from));
    }

    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), Error> {
        column::<ByteArrayType, _>(group, &self.values, Some(&self.present), None)?;
        self.present.clear();
        self.values.clear();
        Ok(())
    }
}

/// Writes the next column of `group`.
fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<(), Error> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has no more columns".into()))?;
    column.typed::<T>().write_batch(values, definitions, repetitions)?;
    Ok(column.close()?)
}
