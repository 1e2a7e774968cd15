//! Where the rows of a vector file lie and what they are made of.
//!
//! Invariant: a [`Layout`] agrees with the length of its file to the byte, hence a row is never larger than the file.
//! It stands between the heads of the formats, which make it, and the reader of rows, which needs nothing else.

use half::f16;

use super::source::ReadError;

/// What a value is stored as, little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    U8,
    F16,
    F32,
    F64,
}

impl Element {
    /// Bytes a value takes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Appends the values of a row to `out`.
    pub(super) fn decode(self, row: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::U8 => out.extend(row.iter().map(|value| f32::from(*value))),
            Self::F16 => out.extend(row.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32())),
            Self::F32 => out.extend(row.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value))),
            Self::F64 => out.extend(row.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32)),
        }
    }
}

/// The shape of a vector file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) element: Element,
    /// Values a row, at least 1.
    pub(super) dimension: usize,
    pub(super) rows: usize,
    /// Whether every row after the first is led by its dimension again.
    pub(super) led: bool,
}

impl Layout {
    /// A file of `length` bytes whose head, ended at byte `start`, promises `rows` rows and nothing after them.
    pub(super) fn counted(
        element: Element,
        rows: usize,
        dimension: usize,
        start: u64,
        length: u64,
    ) -> Result<Self, ReadError> {
        if dimension == 0 {
            return Err(ReadError::Dimension { offset: start, expected: 1, found: 0 });
        }
        let bytes = rows.checked_mul(dimension).and_then(|values| values.checked_mul(element.size()));
        if bytes.and_then(|bytes| start.checked_add(bytes as u64)) != Some(length) {
            return Err(ReadError::Length { offset: start, length });
        }
        Ok(Self { element, dimension, rows, led: false })
    }

    /// A file of `length` bytes in which every row is led by its dimension, four bytes, the first of which were read.
    pub(super) fn led(element: Element, dimension: usize, length: u64) -> Result<Self, ReadError> {
        if dimension == 0 {
            return Err(ReadError::Dimension { offset: 0, expected: 1, found: 0 });
        }
        let row = dimension.checked_mul(element.size()).and_then(|bytes| bytes.checked_add(4));
        let rows = row.map(|row| row as u64).filter(|row| length.is_multiple_of(*row)).map(|row| length / row);
        let rows = rows.and_then(|rows| usize::try_from(rows).ok());
        let rows = rows.ok_or(ReadError::Length { offset: 4, length })?;
        Ok(Self { element, dimension, rows, led: true })
    }
}
