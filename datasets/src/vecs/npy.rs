//! The header of a NumPy array file (NEP 1): versions 1.0 to 3.0.
//!
//! Invariant: only what can be read as a matrix passes, that is a two-dimensional, C-ordered array of little-endian f16,
//! f32 or f64. The header is a Python literal; NumPy writes its three entries in one fixed way, so they are found by
//! their keys and nothing is evaluated. What is written here is read here, and by NumPy.

use std::io::{self, Read, Write};

use super::layout::{Element, Layout};
use super::source::{ReadError, Source};
use crate::Matrix;

/// NumPy itself refuses longer headers (`numpy.lib.format.read_array`'s `max_header_size`).
const HEADER_BYTES_MAX: u32 = 10_000;

/// NumPy starts the values on a multiple of this, so that they can be mapped.
const ALIGNMENT: usize = 64;

/// Length of the header that is written: room for any shape, hence the count of rows can be put in at the end.
const HEAD_BYTES: usize = 2 * ALIGNMENT;

/// Writes `matrix` as an array of f32, version 1.0.
pub fn write(out: &mut impl Write, matrix: &Matrix) -> io::Result<()> {
    out.write_all(&head(matrix.len(), matrix.dimension()))?;
    matrix.as_slice().iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
    out.flush()
}

/// The header, version 1.0, of so many rows of f32.
pub(super) fn head(rows: usize, dimension: usize) -> Vec<u8> {
    let shape = (rows, dimension);
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    // Magic, version and length take ten bytes, the line feed one.
    let width = HEAD_BYTES - 11;
    let length = (width + 1) as u16;
    let line = format!("{text:width$}\n");
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], line.as_bytes()].concat()
}

/// Reads the header and checks it against the `length` of the file in bytes.
pub(super) fn read(source: &mut Source<impl Read>, length: u64) -> Result<Layout, ReadError> {
    let wrong = |offset, expected| ReadError::Header { offset, expected };
    if source.array()? != *b"\x93NUMPY" {
        return Err(wrong(0, "the magic string of NumPy"));
    }
    let [major, _minor] = source.array()?;
    let bytes = match major {
        1 => u16::from_le_bytes(source.array()?).into(),
        2 | 3 => source.number()?,
        _ => return Err(wrong(6, "version 1, 2 or 3")),
    };
    let start = source.offset();
    if bytes > HEADER_BYTES_MAX {
        return Err(wrong(start, "a header of at most 10,000 bytes"));
    }
    let mut text = vec![0; bytes as usize];
    source.fill(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| wrong(start, "text"))?;

    let element = match value(&text, "'descr':").and_then(|rest| rest.get(..5)) {
        Some("'<f2'") => Element::F16,
        Some("'<f4'") => Element::F32,
        Some("'<f8'") => Element::F64,
        _ => return Err(wrong(start, "'descr' of '<f2', '<f4' or '<f8'")),
    };
    if !value(&text, "'fortran_order':").is_some_and(|rest| rest.starts_with("False")) {
        return Err(wrong(start, "C order"));
    }
    let (rows, dimension) = shape(&text).ok_or(wrong(start, "'shape' of rows and columns"))?;
    Layout::counted(element, rows, dimension, source.offset(), length)
}

/// What follows `key`, without leading blanks.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(key).map(|(_, rest)| rest.trim_start())
}

/// The two lengths in `'shape': (rows, columns)`.
fn shape(text: &str) -> Option<(usize, usize)> {
    let (inside, _) = value(text, "'shape':")?.strip_prefix('(')?.split_once(')')?;
    let (rows, columns) = inside.split_once(',')?;
    Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?))
}
