//! The values that a field's columns have, in their order, each with its rows.
//!
//! Invariant: what is given here is all that the path finds in the rows that are not in [`unknown`]. A walk holds one
//! value of each column.

use std::ops::Range;

use roaring::RoaringBitmap;
use storage::segment::{Column, Field};

use super::columns::{FLAG, MARK, NUMBERS, TEXT, mark, to_number};
use crate::filter::Scalar;

/// A walk over the values of a field, from either end.
pub(crate) struct Values<'a> {
    columns: Vec<Walked<'a>>,
    is_descending: bool,
}

/// A value with where its rows are.
pub(crate) struct Valued<'a> {
    pub value: Scalar,
    column: &'a Column,
    at: usize,
}

/// A column of which some values are still to come.
struct Walked<'a> {
    code: u8,
    column: &'a Column,
    places: Range<usize>,
    /// The next one.
    head: Option<Scalar>,
}

impl<'a> Values<'a> {
    /// All values of `field`.
    pub fn of(field: &'a Field, is_descending: bool) -> Self {
        let walked = |code| {
            let column = field.column(code)?;
            Some(Walked { code, column, places: 0..column.len(), head: None })
        };
        let columns = [FLAG, TEXT].into_iter().chain(NUMBERS).filter_map(walked).collect();
        let mut values = Self { columns, is_descending };
        values.columns.iter_mut().for_each(|walked| walked.see(is_descending));
        values
    }

    /// Passes over the values that come before `start`, and gives the rows that have any of them.
    pub fn pass_to(&mut self, start: &Scalar) -> RoaringBitmap {
        let mut passed = RoaringBitmap::new();
        for walked in &mut self.columns {
            let place = walked.first_not(|value| if self.is_descending { value <= start } else { value < start });
            let (before, behind) = (walked.places.start..place, place..walked.places.end);
            let (over, left) = if self.is_descending { (behind, before) } else { (before, behind) };
            passed |= walked.column.rows(over);
            walked.places = left;
            walked.see(self.is_descending);
        }
        passed
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Valued<'a>;

    fn next(&mut self) -> Option<Valued<'a>> {
        let heads = self.columns.iter().enumerate().filter_map(|(at, walked)| Some((walked.head.as_ref()?, at)));
        let (_, next) = if self.is_descending { heads.max() } else { heads.min() }?;
        let walked = self.columns.get_mut(next)?;
        let at = if self.is_descending { walked.places.next_back() } else { walked.places.next() }?;
        let value = walked.head.take()?;
        walked.see(self.is_descending);
        Some(Valued { value, column: walked.column, at })
    }
}

impl Walked<'_> {
    fn value(&self, at: usize) -> Option<Scalar> {
        match self.code {
            TEXT => self.column.text(at).map(|text| Scalar::Text(text.into())),
            FLAG => self.column.numbers().get(at).map(|key| Scalar::Flag(*key != 0)),
            code => to_number(code, *self.column.numbers().get(at)?).map(Scalar::Number),
        }
    }

    /// Looks at what comes next.
    fn see(&mut self, is_descending: bool) {
        let places = &self.places;
        let at = if is_descending { places.end.checked_sub(1) } else { Some(places.start) };
        self.head = at.filter(|at| places.contains(at)).and_then(|at| self.value(at));
    }

    /// The first place whose value is not `before`, which must divide them.
    fn first_not(&self, before: impl Fn(&Scalar) -> bool) -> usize {
        let Range { mut start, mut end } = self.places;
        while start < end {
            let middle = start + (end - start) / 2;
            if self.value(middle).is_some_and(|value| before(&value)) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

impl Valued<'_> {
    /// Those of `rows` that have the value.
    pub fn rows(&self, rows: &RoaringBitmap) -> RoaringBitmap {
        self.column.rows(self.at..self.at + 1) & rows
    }

    /// How many of `rows` have the value.
    pub fn count(&self, rows: &RoaringBitmap) -> u64 {
        self.column.count(self.at, rows)
    }
}

/// The rows that have a value which is not in the columns.
pub(crate) fn unknown(field: &Field) -> RoaringBitmap {
    let Some(column) = field.column(MARK) else { return RoaringBitmap::new() };
    let rows = |mark| column.numbers().binary_search(&mark).ok().map(|at| column.rows(at..at + 1)).unwrap_or_default();
    rows(mark::LONG) | rows(mark::UNREAD)
}
