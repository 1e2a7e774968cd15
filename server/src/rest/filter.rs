//! How the API description shows a filter. What is accepted is decided by the engine alone, which reads filters itself;
//! this says the same to those who generate clients.

use utoipa::ToSchema;

use crate::json::Id;

/// Which records: a combination of filters, or one condition.
#[derive(ToSchema)]
#[schema(as = Filter)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant, reason = "read by the schema alone")]
pub enum FilterBody {
    /// All members must hold.
    Combination {
        /// All of these hold. One filter may stand without its list, here and below.
        #[schema(no_recursion)]
        must: Option<Vec<FilterBody>>,
        /// At least one of these holds.
        #[schema(no_recursion)]
        should: Option<Vec<FilterBody>>,
        /// None of these holds.
        #[schema(no_recursion)]
        must_not: Option<Vec<FilterBody>>,
        /// So many of these hold.
        #[schema(no_recursion)]
        min_should: Option<MinShould>,
    },
    /// What is at a key: exactly one of the members beside it.
    Field {
        /// A path: `a.b`, `a[].b`, `a[0]`, `"odd.key"`.
        key: String,
        r#match: Option<Match>,
        range: Option<Range>,
        values_count: Option<Range>,
        is_empty: Option<bool>,
        is_null: Option<bool>,
    },
    /// Nothing but nulls and empty lists is there.
    IsEmpty { is_empty: Key },
    /// A null is there.
    IsNull { is_null: Key },
    /// The record is one of these.
    HasId { has_id: Vec<Id> },
    /// It belongs to this data subject.
    Entity { entity: String },
    /// It belongs to one of these.
    Entities { entity: AnyEntity },
    /// One element of a list matches a filter.
    Nested {
        #[schema(no_recursion)]
        nested: Nested,
    },
}

/// At least so many.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct MinShould {
    #[schema(no_recursion)]
    conditions: Vec<FilterBody>,
    min_count: u64,
}

/// How a value matches: exactly one of these.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct Match {
    /// It is this string, number, true or false.
    value: Option<serde_json::Value>,
    /// It is one of these.
    any: Option<Vec<serde_json::Value>>,
    /// It is none of these.
    except: Option<Vec<serde_json::Value>>,
    /// It is a text with all words of this one.
    text: Option<String>,
    /// It is a text that starts like this.
    prefix: Option<String>,
}

/// Where a value lies: numbers, or times as in RFC 3339 with an offset.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct Range {
    gte: Option<serde_json::Value>,
    gt: Option<serde_json::Value>,
    lte: Option<serde_json::Value>,
    lt: Option<serde_json::Value>,
}

/// A key path.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct Key {
    key: String,
}

/// Data subjects.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct AnyEntity {
    any: Vec<String>,
}

/// All of a filter on one and the same element.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct Nested {
    /// The path of a list.
    key: String,
    #[schema(no_recursion)]
    filter: Box<FilterBody>,
}
