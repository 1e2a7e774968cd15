//! The values of fields on their way into columns, in bounded room.
//!
//! Invariant: what is held is counted when it is taken in, and values are wiped when dropped. Facts, of which a row has
//! few and a field has few different ones, are held as bitmaps and not counted.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use roaring::RoaringBitmap;
use storage::codec::Malformed;
use storage::segment::{Column, Field};
use zeroize::{Zeroize, Zeroizing};

use super::asked::{Asked, Found, Key};
use super::columns::{COUNT, FLAG, MARK};

/// Bytes that a row of a value takes, and a value beside its text; what growing sets aside is at most as much again.
const ROW_BYTES: u64 = 8;
const VALUE_BYTES: u64 = 40;

/// The most that a value of a row takes.
pub fn cost((code, key): &Found) -> u64 {
    match (*code, key) {
        (COUNT | MARK | FLAG, _) => 0,
        (_, Key::Number(_)) => ROW_BYTES + VALUE_BYTES,
        (_, Key::Text(text)) => ROW_BYTES + VALUE_BYTES + text.len() as u64,
    }
}

/// The values of one field.
#[derive(Default)]
pub struct Gathered {
    /// Counts, marks and flags.
    facts: BTreeMap<(u8, u64), RoaringBitmap>,
    texts: BTreeMap<u8, Texts>,
    numbers: BTreeMap<u8, Numbers>,
}

impl Gathered {
    /// Takes in a value of the row at `position`, once for each row, rows ascending. Gives the bytes that it takes.
    pub fn push(&mut self, (code, key): Found, position: u32) -> u64 {
        match (code, key) {
            (COUNT | MARK | FLAG, Key::Number(number)) => {
                self.facts.entry((code, number)).or_default().insert(position);
                0
            }
            (_, Key::Number(number)) => self.numbers.entry(code).or_default().push(number, position),
            (_, Key::Text(text)) => self.texts.entry(code).or_default().push(&text, position),
        }
    }

    /// The field that was asked for, with its columns.
    pub fn finish(self, asked: &Asked) -> Result<Field, Malformed> {
        let mut columns = Vec::new();
        let mut facts: BTreeMap<u8, Vec<(u64, Vec<u32>)>> = BTreeMap::new();
        for ((code, number), rows) in self.facts {
            facts.entry(code).or_default().push((number, rows.into_iter().collect()));
        }
        for (code, values) in facts {
            columns.push((code, Column::of_numbers(values.iter().map(|(number, rows)| (*number, &rows[..])))?));
        }
        for (code, texts) in self.texts {
            columns.push((code, texts.column()?));
        }
        for (code, numbers) in self.numbers {
            columns.push((code, numbers.column()?));
        }
        columns.sort_unstable_by_key(|(code, _)| *code);
        Ok(Field { name: Zeroizing::new(asked.name.to_string()), kind: asked.kind, columns })
    }
}

/// Different texts with their rows.
#[derive(Default)]
struct Texts {
    /// All of them, in the order in which they were met.
    bytes: Zeroizing<Vec<u8>>,
    /// Where each ends.
    ends: Vec<u64>,
    numbered: Numbered,
    rows: Rows,
}

impl Texts {
    fn push(&mut self, text: &str, position: u32) -> u64 {
        let Self { bytes, ends, numbered, rows } = self;
        let (number, is_new) = numbered.number(text, |number| slice(bytes, ends, number) == text.as_bytes());
        rows.push((number, position));
        if !is_new {
            return ROW_BYTES;
        }
        append(bytes, text.as_bytes());
        ends.push(bytes.len() as u64);
        ROW_BYTES + VALUE_BYTES + text.len() as u64
    }

    fn column(self) -> Result<Column, Malformed> {
        let Self { bytes, ends, numbered, rows } = self;
        drop(numbered);
        let mut order: Vec<u32> = (0..ends.len() as u32).collect();
        order.sort_unstable_by_key(|number| slice(&bytes, &ends, *number));
        let lists = Lists::of(rows, &order);
        // They came in as texts.
        let text = |number: &u32| std::str::from_utf8(slice(&bytes, &ends, *number)).unwrap_or_default();
        Column::of_texts(order.iter().enumerate().map(|(rank, number)| (text(number), lists.list(rank))))
    }
}

/// The bytes of a text by its number.
fn slice<'a>(bytes: &'a [u8], ends: &[u64], number: u32) -> &'a [u8] {
    let start = number.checked_sub(1).and_then(|before| ends.get(before as usize)).copied().unwrap_or_default();
    let end = ends.get(number as usize).copied().unwrap_or_default();
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// Different numbers with their rows.
#[derive(Default)]
struct Numbers {
    /// In the order in which they were met.
    numbers: Zeroizing<Vec<u64>>,
    numbered: Numbered,
    rows: Rows,
}

impl Numbers {
    fn push(&mut self, key: u64, position: u32) -> u64 {
        let Self { numbers, numbered, rows } = self;
        let (number, is_new) = numbered.number(&key, |number| numbers.get(number as usize) == Some(&key));
        rows.push((number, position));
        if is_new {
            append(numbers, &[key]);
        }
        if is_new { ROW_BYTES + VALUE_BYTES } else { ROW_BYTES }
    }

    fn column(self) -> Result<Column, Malformed> {
        let Self { numbers, numbered, rows } = self;
        drop(numbered);
        let key = |number: &u32| numbers.get(*number as usize).copied().unwrap_or_default();
        let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
        order.sort_unstable_by_key(key);
        let lists = Lists::of(rows, &order);
        Column::of_numbers(order.iter().enumerate().map(|(rank, number)| (key(number), lists.list(rank))))
    }
}

/// Appends without leaving a copy behind, as a vector does that grows by itself.
fn append<T: Copy + Zeroize>(items: &mut Zeroizing<Vec<T>>, more: &[T]) {
    let len = items.len() + more.len();
    if len > items.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(len.max(2 * items.capacity())));
        larger.extend_from_slice(items);
        *items = larger;
    }
    items.extend_from_slice(more);
}

/// Values by the numbers they got when they were met, found by hashes that say nothing outside this process.
#[derive(Default)]
struct Numbered {
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Numbered {
    /// The number of a value, and whether it is the next because the value is new.
    fn number(&mut self, value: &(impl std::hash::Hash + ?Sized), is: impl Fn(u32) -> bool) -> (u32, bool) {
        let mut hash = self.hasher.hash_one(value);
        while let Some(number) = self.by_hash.get(&hash) {
            if is(*number) {
                return (*number, false);
            }
            hash = hash.wrapping_add(1);
        }
        // The room for all of them is less than that many bytes.
        let next = self.by_hash.len() as u32;
        self.by_hash.insert(hash, next);
        (next, true)
    }
}

/// Numbers of values with positions of rows, positions ascending.
type Rows = Vec<(u32, u32)>;

/// The rows of each value, by the rank of the value.
struct Lists {
    /// `positions[starts[rank]..starts[rank + 1]]`.
    starts: Vec<usize>,
    positions: Vec<u32>,
}

impl Lists {
    /// Sorts rows by the ranks of their values (a counting sort); `order` has the numbers of the values by rank.
    fn of(rows: Rows, order: &[u32]) -> Self {
        let mut ranks = vec![0_usize; order.len()];
        for (rank, number) in order.iter().enumerate() {
            ranks[*number as usize] = rank;
        }
        // First the start behind a rank counts its rows, then it walks from the start of the rank to its end.
        let mut starts = vec![0; order.len() + 2];
        for (number, _) in &rows {
            starts[ranks[*number as usize] + 2] += 1;
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut positions = vec![0; rows.len()];
        for (number, position) in rows {
            let next = &mut starts[ranks[number as usize] + 1];
            positions[*next] = position;
            *next += 1;
        }
        starts.pop();
        Self { starts, positions }
    }

    fn list(&self, rank: usize) -> &[u32] {
        let bounds = self.starts.get(rank).zip(self.starts.get(rank + 1));
        bounds.and_then(|(start, end)| self.positions.get(*start..*end)).unwrap_or_default()
    }
}
