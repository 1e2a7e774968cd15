//! A second reading of the language of filters, for the engine's to be held against: a filter is built as a tree, written
//! down as JSON for the engine, and read here straight from the tree, on payloads, one record after the other. Nothing
//! is shared with the engine but the sentences that say what filters mean.

use serde_json::{Value, json};

/// A step of a key path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of an object.
    Key(&'static str),
    /// Every element of a list.
    Each,
    /// One element of a list.
    At(usize),
}

/// What a condition asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// One of these.
    In(Vec<Value>),
    /// A value, but none of these.
    NotIn(Vec<Value>),
    /// A text with these words.
    Words(&'static str),
    /// A text that starts like this.
    Starts(String),
    /// A number between these ends, each with whether it is itself inside.
    Numbers(Option<(Value, bool)>, Option<(Value, bool)>),
    /// A moment from the first of [`MOMENTS`] on and before the second.
    Moments(usize, usize),
    /// As many values, from the first to the second.
    Count(usize, usize),
    /// Nothing.
    Empty,
    /// Null.
    Null,
}

/// A filter.
#[derive(Clone, Debug)]
pub enum Tree {
    /// All of these.
    All(Vec<Self>),
    /// Any of these; never empty, since an empty `should` asks for nothing.
    Any(Vec<Self>),
    /// None of these.
    None(Vec<Self>),
    /// So many of these.
    AtLeast(u64, Vec<Self>),
    /// A condition on what is at a path.
    Field(Vec<Step>, Ask),
    /// One of these ids.
    Ids(Vec<u64>),
    /// One of these owners.
    Owners(Vec<String>),
    /// All of the filter on one element of the list at a path.
    Nested(Vec<Step>, Box<Self>),
}

/// Ways to write moments, and the minute that each means.
pub const MOMENTS: [(&str, i64); 6] = [
    ("2026-01-01T00:00:00Z", 0),
    ("2026-01-01T01:30:00+01:00", 30),
    ("2025-12-31T23:45:00-01:00", 45),
    ("2026-01-01t01:00:00.000z", 60),
    ("2026-01-01T00:00:00-02:00", 120),
    ("2026-01-02T00:00:00Z", 1440),
];

/// A way to misunderstand a filter: the suite must tell each from the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misreading {
    /// There is none.
    Nothing,
    /// A condition looks at a list as a whole and not at its elements.
    ListsAreWhole,
    /// `except` holds where there is no value at all.
    ExceptNeedsNoValue,
    /// Different elements may match the parts of a nested filter.
    NestedIsAnywhere,
    /// The ends of a range are never inside.
    EndsAreOutside,
    /// Integers are compared as floats.
    IntegersAreFloats,
    /// The words of a text match wherever they stand in it, even inside other words.
    WordsAreParts,
    /// A path goes through lists by itself.
    PathsEnterLists,
    /// Nothing but a missing value is empty.
    OnlyMissingIsEmpty,
    /// Moments are compared as texts.
    MomentsAreTexts,
}

/// A record as a filter sees it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its id.
    pub id: u64,
    /// Its owner.
    pub owner: Option<&'a str>,
    /// Its payload, or an element of it.
    pub value: &'a Value,
}

fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => text += &format!("{}{key}", if text.is_empty() { "" } else { "." }),
            Step::Each => text += "[]",
            Step::At(number) => text += &format!("[{number}]"),
        }
    }
    text
}

impl Tree {
    /// The filter as the engine reads it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let list = |trees: &[Self]| trees.iter().map(Self::to_json).collect::<Value>();
        match self {
            Self::All(trees) => json!({ "must": list(trees) }),
            Self::Any(trees) => json!({ "should": list(trees) }),
            Self::None(trees) => json!({ "must_not": list(trees) }),
            Self::AtLeast(least, trees) => json!({ "min_should": { "conditions": list(trees), "min_count": least } }),
            Self::Ids(ids) => json!({ "has_id": ids }),
            Self::Owners(owners) => json!({ "entity": { "any": owners } }),
            Self::Nested(path, tree) => json!({ "nested": { "key": path_text(path), "filter": tree.to_json() } }),
            Self::Field(path, Ask::Empty) => json!({ "is_empty": { "key": path_text(path) } }),
            Self::Field(path, Ask::Null) => json!({ "key": path_text(path), "is_null": true }),
            Self::Field(path, ask) => {
                let (name, asked) = asked(ask);
                json!({ "key": path_text(path), name: asked })
            }
        }
    }

    /// Whether the record matches, by the right reading or a wrong one.
    #[must_use]
    pub fn holds(&self, subject: Subject<'_>, as_if: Misreading) -> bool {
        let count = |trees: &[Self]| trees.iter().filter(|tree| tree.holds(subject, as_if)).count() as u64;
        match self {
            Self::All(trees) => count(trees) == trees.len() as u64,
            Self::Any(trees) => count(trees) > 0,
            Self::None(trees) => count(trees) == 0,
            Self::AtLeast(least, trees) => count(trees) >= *least,
            Self::Ids(ids) => ids.contains(&subject.id),
            Self::Owners(owners) => subject.owner.is_some_and(|owner| owners.iter().any(|other| other == owner)),
            Self::Field(path, ask) => ask.holds(&values(subject.value, path, as_if), as_if),
            Self::Nested(path, tree) => {
                let mut path = path.clone();
                if path.last() != Some(&Step::Each) {
                    path.push(Step::Each);
                }
                let elements = values(subject.value, &path, as_if);
                let one = |tree: &Self| elements.iter().any(|value| tree.holds(Subject { value, ..subject }, as_if));
                match &**tree {
                    Self::All(trees) if as_if == Misreading::NestedIsAnywhere => trees.iter().all(one),
                    tree => one(tree),
                }
            }
        }
    }
}

fn asked(ask: &Ask) -> (&'static str, Value) {
    match ask {
        Ask::In(values) => match &values[..] {
            [value] => ("match", json!({ "value": value })),
            values => ("match", json!({ "any": values })),
        },
        Ask::NotIn(values) => ("match", json!({ "except": values })),
        Ask::Words(text) => ("match", json!({ "text": text })),
        Ask::Starts(text) => ("match", json!({ "prefix": text })),
        Ask::Numbers(low, high) => {
            let mut range = json!({});
            if let Some((low, is_inside)) = low {
                range[if *is_inside { "gte" } else { "gt" }] = low.clone();
            }
            if let Some((high, is_inside)) = high {
                range[if *is_inside { "lte" } else { "lt" }] = high.clone();
            }
            ("range", range)
        }
        Ask::Moments(low, high) => ("range", json!({ "gte": MOMENTS[*low].0, "lt": MOMENTS[*high].0 })),
        Ask::Count(low, high) => ("values_count", json!({ "gte": low, "lte": high })),
        Ask::Empty | Ask::Null => ("", Value::Null),
    }
}

/// What a path finds.
fn values<'v>(root: &'v Value, path: &[Step], as_if: Misreading) -> Vec<&'v Value> {
    let mut found = vec![root];
    for step in path {
        let next = |value: &'v Value| -> Vec<&'v Value> {
            match (step, value) {
                (Step::Key(key), Value::Array(items)) if as_if == Misreading::PathsEnterLists => {
                    items.iter().filter_map(|item| item.get(key)).collect()
                }
                (Step::Key(key), Value::Object(members)) => members.get(*key).into_iter().collect(),
                (Step::Each, Value::Array(items)) => items.iter().collect(),
                (Step::At(number), Value::Array(items)) => items.get(*number).into_iter().collect(),
                _ => Vec::new(),
            }
        };
        found = found.into_iter().flat_map(next).collect();
    }
    found
}

/// Twice the number, since all in these tests are halves of integers.
fn doubled(value: &Value) -> Option<i128> {
    let integer = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    integer.map(|integer| 2 * integer).or_else(|| Some((value.as_f64()? * 2.0) as i128))
}

fn number(value: &Value, as_if: Misreading) -> Option<i128> {
    match as_if {
        Misreading::IntegersAreFloats => Some((value.as_f64()? * 2.0) as i128),
        _ => value.is_number().then(|| doubled(value)).flatten(),
    }
}

fn is_same(a: &Value, b: &Value, as_if: Misreading) -> bool {
    match (number(a, as_if), number(b, as_if)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn minute(text: &str) -> Option<i64> {
    MOMENTS.iter().find(|(moment, _)| *moment == text).map(|(_, minute)| *minute)
}

impl Ask {
    fn holds(&self, found: &[&Value], as_if: Misreading) -> bool {
        let count = |value: &Value| match value {
            Value::Null => 0,
            Value::Array(items) => items.len(),
            _ => 1,
        };
        let is_nothing = |value: &&Value| match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        match self {
            Self::Empty if as_if == Misreading::OnlyMissingIsEmpty => found.is_empty(),
            Self::Empty => found.iter().all(is_nothing),
            Self::Null => found.iter().any(|value| value.is_null()),
            Self::Count(low, high) => {
                let counts: Vec<usize> =
                    if found.is_empty() { vec![0] } else { found.iter().map(|value| count(value)).collect() };
                counts.iter().any(|count| (low..=high).contains(&count))
            }
            Self::NotIn(_) if found.is_empty() && as_if == Misreading::ExceptNeedsNoValue => true,
            _ if as_if == Misreading::ListsAreWhole => found.iter().any(|value| self.holds_for(value, as_if)),
            _ => found.iter().any(|value| match value {
                Value::Array(items) => items.iter().any(|item| self.holds_for(item, as_if)),
                value => self.holds_for(value, as_if),
            }),
        }
    }

    fn holds_for(&self, value: &Value, as_if: Misreading) -> bool {
        let is_scalar = value.is_string() || value.is_number() || value.is_boolean();
        let text = value.as_str();
        match self {
            Self::In(values) => is_scalar && values.iter().any(|other| is_same(value, other, as_if)),
            Self::NotIn(values) => is_scalar && !values.iter().any(|other| is_same(value, other, as_if)),
            Self::Words(wanted) if as_if == Misreading::WordsAreParts => {
                text.is_some_and(|text| words(wanted).iter().all(|word| text.to_lowercase().contains(word)))
            }
            Self::Words(wanted) => text.is_some_and(|text| {
                let (wanted, there) = (words(wanted), words(text));
                !wanted.is_empty() && wanted.iter().all(|word| there.contains(word))
            }),
            Self::Starts(start) => text.is_some_and(|text| text.starts_with(start.as_str())),
            Self::Numbers(low, high) => number(value, as_if).is_some_and(|value| {
                let inside = |is_inside: bool| is_inside && as_if != Misreading::EndsAreOutside;
                let end = |end: &Value| number(end, as_if).unwrap_or_default();
                let after = low.as_ref().is_none_or(|(low, at)| value > end(low) || (inside(*at) && value == end(low)));
                let before =
                    high.as_ref().is_none_or(|(high, at)| value < end(high) || (inside(*at) && value == end(high)));
                after && before
            }),
            Self::Moments(low, high) if as_if == Misreading::MomentsAreTexts => {
                text.is_some_and(|text| (MOMENTS[*low].0..MOMENTS[*high].0).contains(&text))
            }
            Self::Moments(low, high) => {
                text.and_then(minute).is_some_and(|minute| (MOMENTS[*low].1..MOMENTS[*high].1).contains(&minute))
            }
            Self::Count(..) | Self::Empty | Self::Null => false,
        }
    }
}
