//! One leaf column of a row group: its values, and the levels that say where in a record each belongs.
//!
//! Invariant: the window is exactly one record, whatever was taken out of the one before; there are as many values as
//! levels that promise one. Dremel's encoding (Melnik et al. 2010), as Parquet stores it.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};

use super::kind::Kind;
use super::values::Values;

/// A column that is being read.
pub(super) struct Leaf {
    reader: ColumnReader,
    kind: Kind,
    max_definition: i16,
    max_repetition: i16,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Values,
    /// Levels of the batch.
    levels: usize,
    /// The next level of the record, and where the record ends.
    level: usize,
    record_end: usize,
    /// The next value of the record, and where the next record's begin.
    value: usize,
    values_end: usize,
}

impl Leaf {
    /// The column behind `reader`, whose levels go up to these.
    pub fn new(reader: ColumnReader, kind: Kind, max_definition: i16, max_repetition: i16) -> Self {
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Values::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
        };
        let (definitions, repetitions) = (Vec::new(), Vec::new());
        let (levels, level, record_end, value, values_end) = (0, 0, 0, 0, 0);
        Self {
            reader,
            kind,
            max_definition,
            max_repetition,
            definitions,
            repetitions,
            values,
            levels,
            level,
            record_end,
            value,
            values_end,
        }
    }

    /// Replaces the batch by the next `records` records; `false` if there are not so many.
    pub fn fill(&mut self, records: usize) -> Result<bool> {
        let Self { reader, values, definitions, repetitions, .. } = self;
        let levels = (definitions, repetitions);
        let (read, counted, length) = match (reader, values) {
            (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => read(reader, records, levels, values),
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => read(reader, records, levels, values),
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => read(reader, records, levels, values),
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => read(reader, records, levels, values),
            (ColumnReader::FloatColumnReader(reader), Values::Float(values)) => read(reader, records, levels, values),
            (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => read(reader, records, levels, values),
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => {
                read(reader, records, levels, values)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                read(reader, records, levels, values)
            }
            _ => return Ok(false),
        }?;
        self.levels = counted;
        (self.level, self.record_end, self.value, self.values_end) = (0, 0, 0, 0);
        let promised = (0..counted).filter(|level| self.is_value(*level)).count();
        let has_levels = self.max_definition == 0 || self.definitions.len() == counted;
        let has_lists = self.max_repetition == 0 || self.repetitions.len() == counted;
        if promised != length || !has_levels || !has_lists {
            return Err(ParquetError::General("levels and values do not fit together".into()));
        }
        Ok(read == records)
    }

    /// Moves to the next record of the batch; `false` if there is none.
    pub fn advance(&mut self) -> bool {
        (self.level, self.value) = (self.record_end, self.values_end);
        if self.level >= self.levels {
            return false;
        }
        let continues = |level: &usize| self.repetition(*level).is_some_and(|repetition| repetition > 0);
        let end = (self.level + 1..self.levels).find(|level| !continues(level)).unwrap_or(self.levels);
        self.values_end = self.value + (self.level..end).filter(|level| self.is_value(*level)).count();
        self.record_end = end;
        true
    }

    /// What values here mean.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next definition level of the record.
    pub fn definition(&self) -> Option<i16> {
        let level = (self.level < self.record_end).then_some(self.level)?;
        if self.max_definition == 0 { Some(0) } else { self.definitions.get(level).copied() }
    }

    /// The next repetition level of the record.
    pub fn next_repetition(&self) -> Option<i16> {
        (self.level < self.record_end).then(|| self.repetition(self.level)).flatten()
    }

    /// Passes over the next level; gives the place of its value among [`Leaf::values`], if it has one.
    pub fn take(&mut self) -> Option<usize> {
        let level = (self.level < self.record_end).then_some(self.level)?;
        self.level += 1;
        let value = self.is_value(level).then_some(self.value)?;
        self.value += 1;
        Some(value)
    }

    /// All values of the record, if none of its levels lacks one.
    pub fn take_all(&mut self) -> Option<std::ops::Range<usize>> {
        let (levels, values) = (self.record_end - self.level, self.value..self.values_end);
        self.level = self.record_end;
        (levels == values.len()).then_some(values)
    }

    /// The values of the batch.
    pub fn values(&self) -> &Values {
        &self.values
    }

    fn repetition(&self, level: usize) -> Option<i16> {
        if self.max_repetition == 0 { Some(0) } else { self.repetitions.get(level).copied() }
    }

    fn is_value(&self, level: usize) -> bool {
        self.max_definition == 0 || self.definitions.get(level) == Some(&self.max_definition)
    }
}

/// Records, levels and values read; a page may end before the records do.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    records: usize,
    (definitions, repetitions): (&mut Vec<i16>, &mut Vec<i16>),
    values: &mut Vec<T::T>,
) -> Result<(usize, usize, usize)> {
    definitions.clear();
    repetitions.clear();
    values.clear();
    let (mut done, mut levels) = (0, 0);
    while done < records {
        let (read, _, more) =
            reader.read_records(records - done, Some(&mut *definitions), Some(&mut *repetitions), &mut *values)?;
        (done, levels) = (done + read, levels + more);
        if read == 0 {
            break;
        }
    }
    Ok((done, levels, values.len()))
}
