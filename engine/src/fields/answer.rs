//! What the index of one field says about a condition on it.
//!
//! Invariant: bounds hold. They meet wherever the field has only values that its columns have whole; where a text was too
//! long for its column, or the values of the field too many for the index, a row stays between them.

use std::collections::BTreeSet;
use std::ops::Range as Places;

use roaring::RoaringBitmap;
use storage::segment::{Column, Field};

use super::columns::{
    COUNT, FLAG, MARK, MOMENT, NUMBERS, TEXT, WORD, mark, of_number, text_max, to_integer, to_number,
};
use crate::bounds::Bounds;
use crate::filter::{Limits, Moment, Predicate, Range, Scalar, Words, instant};
use crate::wiped::Wiped;

/// The rows in `all` for which `predicate` holds.
pub(crate) fn answer(field: &Field, predicate: &Predicate, all: &RoaringBitmap) -> Bounds {
    let mut bounds = of_columns(field, predicate, all);
    if !matches!(predicate, Predicate::Count(_)) {
        bounds.possible |= marked(field, mark::UNREAD);
    }
    bounds
}

fn of_columns(field: &Field, predicate: &Predicate, all: &RoaringBitmap) -> Bounds {
    match predicate {
        Predicate::Equals(scalar) => any_of(field, [scalar].into_iter()),
        Predicate::AnyOf(scalars) => any_of(field, scalars.iter()),
        Predicate::Except(scalars) => except(field, scalars),
        Predicate::Text(words) => text(field, words),
        Predicate::Prefix(prefix) => {
            let prefix: &str = prefix;
            let rows = field.column(TEXT).map(|column| {
                let start = column.texts_below(|text| text < prefix);
                let end = column.texts_below(|text| text < prefix || text.starts_with(prefix));
                column.rows(start..end)
            });
            or_long(field, rows.unwrap_or_default())
        }
        Predicate::Range(Range::Numbers(limits)) => {
            let of = |code: &u8| within(field, *code, |key| side(to_number(*code, key), limits));
            Bounds::exact(NUMBERS.iter().map(of).fold(RoaringBitmap::new(), |all, some| all | some))
        }
        Predicate::Range(Range::Moments(limits)) => moments(field, limits),
        Predicate::Count(limits) => {
            let mut rows = within(field, COUNT, |key| side(to_number(COUNT, key), limits));
            if predicate.holds_for_nothing() {
                rows |= all - found(field);
            }
            Bounds::exact(rows)
        }
    }
}

/// The rows in `all` for which `predicate` holds where no row has anything at its path.
pub(crate) fn absent(predicate: &Predicate, all: &RoaringBitmap) -> Bounds {
    Bounds::exact(if predicate.holds_for_nothing() { all.clone() } else { RoaringBitmap::new() })
}

/// The rows that have a null there.
pub(crate) fn nulls(field: &Field) -> RoaringBitmap {
    marked(field, mark::NULL)
}

/// The rows in `all` that have nothing there but nulls and empty lists.
pub(crate) fn unfilled(field: &Field, all: &RoaringBitmap) -> RoaringBitmap {
    all - marked(field, mark::FILLED)
}

/// The rows in which the path finds anything.
fn found(field: &Field) -> RoaringBitmap {
    field.column(COUNT).map(|column| column.rows(0..column.len())).unwrap_or_default()
}

fn marked(field: &Field, mark: u64) -> RoaringBitmap {
    number(field, MARK, mark)
}

fn number(field: &Field, code: u8, key: u64) -> RoaringBitmap {
    let at = |column: &Column| column.numbers().binary_search(&key).ok().map(|at| column.rows(at..at + 1));
    field.column(code).and_then(at).unwrap_or_default()
}

/// The place of a text.
fn place(column: &Column, text: &str) -> Option<usize> {
    let at = column.texts_below(|other| other < text);
    (column.text(at) == Some(text)).then_some(at)
}

/// Exactly these rows, or perhaps also those with a text that is too long for its column.
fn or_long(field: &Field, rows: RoaringBitmap) -> Bounds {
    Bounds { possible: &rows | marked(field, mark::LONG), certain: rows }
}

fn is_long(field: &Field, scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Text(text) if text.len() > text_max(field.kind))
}

fn any_of<'a>(field: &Field, scalars: impl Iterator<Item = &'a Scalar> + Clone) -> Bounds {
    let rows = |scalar: &Scalar| match scalar {
        Scalar::Flag(flag) => number(field, FLAG, u64::from(*flag)),
        Scalar::Number(value) => {
            let (code, key) = of_number(*value);
            number(field, code, key)
        }
        Scalar::Text(text) => {
            let column = field.column(TEXT);
            column.and_then(|column| place(column, text).map(|at| column.rows(at..at + 1))).unwrap_or_default()
        }
    };
    let certain = scalars.clone().map(rows).fold(RoaringBitmap::new(), |all, some| all | some);
    let mut scalars = scalars;
    if scalars.any(|scalar| is_long(field, scalar)) { or_long(field, certain) } else { Bounds::exact(certain) }
}

fn except(field: &Field, scalars: &BTreeSet<Scalar>) -> Bounds {
    let mut rows = RoaringBitmap::new();
    for code in [FLAG, TEXT].into_iter().chain(NUMBERS) {
        let Some(column) = field.column(code) else { continue };
        let place = |scalar: &Scalar| match scalar {
            Scalar::Text(text) if code == TEXT => place(column, text),
            Scalar::Flag(flag) if code == FLAG => column.numbers().binary_search(&u64::from(*flag)).ok(),
            Scalar::Number(number) => match of_number(*number) {
                (of, key) if of == code => column.numbers().binary_search(&key).ok(),
                _ => None,
            },
            _ => None,
        };
        let mut left_out: Vec<usize> = scalars.iter().filter_map(place).collect();
        left_out.sort_unstable();
        let mut start = 0;
        for at in left_out {
            rows |= column.rows(start..at);
            start = at + 1;
        }
        rows |= column.rows(start..column.len());
    }
    if scalars.iter().any(|scalar| is_long(field, scalar)) {
        or_long(field, rows)
    } else {
        // A long text is none of these.
        Bounds::exact(rows | marked(field, mark::LONG))
    }
}

fn text(field: &Field, words: &Words) -> Bounds {
    let Some(column) = field.column(WORD) else {
        let rows = matching_texts(field, |text| words.are_in(text));
        return if words.tokens.is_empty() { Bounds::exact(rows) } else { or_long(field, rows) };
    };
    let rows_of = |token: &Wiped| place(column, token).map(|at| column.rows(at..at + 1)).unwrap_or_default();
    let rows = words.tokens.iter().map(rows_of).reduce(|all, some| all & some).unwrap_or_default();
    // The words may be those of different texts of a row.
    let several = if words.tokens.len() > 1 { marked(field, mark::SEVERAL) } else { RoaringBitmap::new() };
    Bounds { certain: &rows - several, possible: rows }
}

fn moments(field: &Field, limits: &Limits<Moment>) -> Bounds {
    if field.column(MOMENT).is_none() && marked(field, mark::FAR).is_empty() {
        // No text that names a moment is longer than the texts of any column.
        return Bounds::exact(matching_texts(field, |text| {
            instant(text).is_some_and(|at| limits.holds(&Moment::at(at)))
        }));
    }
    let rows = within(field, MOMENT, |key| side(Some(Moment::at(to_integer(key).into())), limits));
    Bounds { possible: &rows | marked(field, mark::FAR), certain: rows }
}

/// The rows with a text that is so, by looking at each text once.
fn matching_texts(field: &Field, is_so: impl Fn(&str) -> bool) -> RoaringBitmap {
    let Some(column) = field.column(TEXT) else { return RoaringBitmap::new() };
    let places = (0..column.len()).filter(|at| column.text(*at).is_some_and(&is_so));
    places.fold(RoaringBitmap::new(), |all, at| all | column.rows(at..at + 1))
}

/// On which side of a range a value is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Below,
    Inside,
    Above,
}

fn side<T: Ord>(value: Option<T>, limits: &Limits<T>) -> Side {
    match value {
        Some(value) if limits.is_below(&value) => Side::Below,
        Some(value) if limits.is_above(&value) => Side::Above,
        // No key is written without a value.
        Some(_) => Side::Inside,
        None => Side::Above,
    }
}

/// The rows with a number whose key is inside.
fn within(field: &Field, code: u8, side: impl Fn(u64) -> Side) -> RoaringBitmap {
    let Some(column) = field.column(code) else { return RoaringBitmap::new() };
    let start = column.numbers().partition_point(|key| side(*key) < Side::Inside);
    let end = column.numbers().partition_point(|key| side(*key) < Side::Above);
    let places: Places<usize> = start..end.max(start);
    column.rows(places)
}
