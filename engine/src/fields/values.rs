//! The values that a field's columns have, each with its rows.
//!
//! Invariant: what is given here is all that the path finds in the rows that are not in [`unknown`].

use roaring::RoaringBitmap;
use storage::segment::{Column, Field};

use super::columns::{FLAG, MARK, NUMBERS, TEXT, mark, to_number};
use crate::filter::Scalar;

/// Calls `found` with every value of the field and the rows that have it.
pub(crate) fn each_value(field: &Field, mut found: impl FnMut(Scalar, RoaringBitmap)) {
    if let Some(column) = field.column(TEXT) {
        for at in 0..column.len() {
            if let Some(text) = column.text(at) {
                found(Scalar::Text(text.to_owned()), column.rows(at..at + 1));
            }
        }
    }
    let mut of_column = |code: u8, scalar: &dyn Fn(u64) -> Option<Scalar>| {
        let Some(column) = field.column(code) else { return };
        for (at, key) in column.numbers().iter().enumerate() {
            if let Some(scalar) = scalar(*key) {
                found(scalar, column.rows(at..at + 1));
            }
        }
    };
    of_column(FLAG, &|key| Some(Scalar::Flag(key != 0)));
    for code in NUMBERS {
        of_column(code, &|key| to_number(code, key).map(Scalar::Number));
    }
}

/// The rows that have a value which is too long for the columns.
pub(crate) fn unknown(field: &Field) -> RoaringBitmap {
    let place = |column: &Column| column.numbers().binary_search(&mark::LONG).ok().map(|at| column.rows(at..at + 1));
    field.column(MARK).and_then(place).unwrap_or_default()
}
