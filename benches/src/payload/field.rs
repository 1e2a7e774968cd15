//! Eight fields as payloads have them.
//!
//! Invariant: pure; the payload of a row is always the same, and so many rows have all the values that are named.

use engine::FieldType;
use serde_json::{Map, Value, json};

use crate::chance::chance;

/// A field of payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typical {
    /// A keyword of few values.
    City,
    /// A keyword of many values.
    Product,
    /// A whole number.
    Views,
    /// A number with two decimals.
    Price,
    /// True or false.
    Active,
    /// A moment.
    Seen,
    /// Words.
    Title,
    /// Three keywords.
    Tags,
}

const CITIES: u64 = 10;
const PRODUCTS: u64 = 20_000;
const VIEWS: u64 = 10_000;
const CENTS: u64 = 100_000;
const WORDS: u64 = 5_000;
const WORDS_OF_A_TITLE: u64 = 8;
const TAGS: u64 = 200;
const TAGS_OF_A_ROW: u64 = 3;

impl Typical {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::City, Self::Product, Self::Views, Self::Price, Self::Active, Self::Seen, Self::Title, Self::Tags];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Product => "product",
            Self::Views => "views",
            Self::Price => "price",
            Self::Active => "active",
            Self::Seen => "seen",
            Self::Title => "title",
            Self::Tags => "tags",
        }
    }

    /// What is in it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::City => "keyword, one of 10",
            Self::Product => "keyword, one of 20,000",
            Self::Views => "integer below 10,000",
            Self::Price => "float, one of 100,000",
            Self::Active => "bool",
            Self::Seen => "time, a second of a year",
            Self::Title => "text, 8 words of 5,000",
            Self::Tags => "keywords, 3 of 200",
        }
    }

    /// As what it is indexed.
    pub fn kind(self) -> FieldType {
        match self {
            Self::City | Self::Product | Self::Tags => FieldType::Keyword,
            Self::Views => FieldType::Integer,
            Self::Price => FieldType::Float,
            Self::Active => FieldType::Bool,
            Self::Seen => FieldType::Time,
            Self::Title => FieldType::Text,
        }
    }

    fn of_row(self, row: usize) -> Value {
        let number = |which: u64| chance((row as u64 * 16 + which) ^ (self as u64) << 56);
        let below = |which: u64, most: u64| number(which) % most;
        match self {
            Self::City => json!(format!("city-{}", below(0, CITIES))),
            Self::Product => json!(format!("product-{:05}", below(0, PRODUCTS))),
            Self::Views => json!(below(0, VIEWS)),
            Self::Price => json!(below(0, CENTS) as f64 / 100.0),
            Self::Active => json!(below(0, 4) > 0),
            Self::Seen => {
                let (day, second) = (below(0, 336), below(1, 86_400));
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                json!(format!("2026-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day / 28 + 1, day % 28 + 1))
            }
            Self::Title => {
                // The product of two is often small, as words are often common ones.
                let word =
                    |which: u64| format!("word{}", below(2 * which, WORDS) * below(2 * which + 1, WORDS) / WORDS);
                json!((0..WORDS_OF_A_TITLE).map(word).collect::<Vec<_>>().join(" "))
            }
            Self::Tags => {
                json!((0..TAGS_OF_A_ROW).map(|which| format!("tag{}", below(which, TAGS))).collect::<Vec<_>>())
            }
        }
    }
}

/// The payload of a row, as far as it has these fields.
pub fn payload(row: usize, fields: &[Typical]) -> Value {
    let members: Map<String, Value> = fields.iter().map(|field| (field.name().to_owned(), field.of_row(row))).collect();
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fields_have_the_values_they_say() {
        let distinct = |field: Typical, rows: usize| {
            let values = (0..rows).map(|row| payload(row, &[field])[field.name()].to_string());
            values.collect::<BTreeSet<String>>().len()
        };
        assert_eq!((distinct(Typical::City, 1000), distinct(Typical::Active, 1000)), (10, 2));
        assert!((15_000..=20_000).contains(&distinct(Typical::Product, 40_000)));
        assert!(distinct(Typical::Seen, 10_000) > 9_900 && distinct(Typical::Price, 10_000) > 9_000);
        let whole = payload(7, &Typical::ALL);
        assert_eq!(whole.as_object().unwrap().len(), 8);
        assert_eq!(whole["title"].as_str().unwrap().split(' ').count(), 8);
        assert_eq!(whole["tags"].as_array().unwrap().len(), 3);
        assert!(whole["views"].is_u64() && whole["price"].is_f64() && whole["active"].is_boolean());
        assert_eq!(whole["seen"].as_str().unwrap().len(), "2026-01-01T00:00:00Z".len());
    }
}
