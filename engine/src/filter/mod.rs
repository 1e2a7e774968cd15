//! Which records a read may return: the language of filters and what it means.
//!
//! The JSON form is Qdrant's shape. A filter is a combination or a single condition:
//!
//! ```json
//! {"must": [{"key": "lang", "match": {"value": "en"}}, {"key": "price", "range": {"lt": 10}}],
//!  "must_not": {"entity": "user-42"}}
//! ```
//!
//! **Combinations.** `must`: all of these hold. `should`: at least one holds, unless there are none. `must_not`: none
//! holds. `min_should: {conditions, min_count}`: so many hold. All members of one combination must hold, `{}` holds for
//! every record. Each may be one filter or a list of them (`conditions` is a list), and a filter inside may be a
//! combination again.
//!
//! **Conditions on the payload** name a key path: `a.b` the member `b` of the object `a`, `a[].b` that of every element
//! of the list `a`, `a[0]` one element, `"a.b"` a key that looks like a path. A path finds the values that are there,
//! perhaps none; it goes through lists only where it says so, and finds nothing in a payload that is missing or no
//! object. `{"key": path, …}` holds if any value that the path finds is so, or, where that is a list, any element of
//! it; elements of elements are not looked at. The types of a payload may differ from record to record: a condition on
//! numbers does not hold for a text, and so on.
//!
//! - `match: {"value": x}`: it equals `x`, a string, a number, true or false. Numbers are equal by value: `5` is `5.0`,
//!   and integers are exact beyond 2^53.
//! - `match: {"any": […]}`: it equals one of these. `match: {"except": […]}`: it is a string, a number, true or false,
//!   and equals none of these. So a record without any value does not match, but one with another value beside a
//!   listed one does; to say that none may be there, use `must_not` with `any`.
//! - `match: {"text": t}`: it is a text with all words of `t`, in any order: runs of letters and digits, whatever their
//!   case. `match: {"prefix": p}`: it is a text that starts with `p`, byte for byte.
//! - `range: {gte, gt, lte, lt}`: it is a number in this range; or, if the ends are texts, it is a text that names a
//!   moment in it. Moments are written as in RFC 3339 with an offset, on both sides.
//! - `values_count: {gte, gt, lte, lt}`: so many values are there: as many as a list has elements, none for null, else
//!   one, and none where the path finds nothing.
//! - `{"is_empty": {"key": path}}`: the path finds nothing but nulls and empty lists. `{"is_null": {"key": path}}`: it
//!   finds a null, which is no element of a list unless the path says `[]`.
//!
//! **Conditions on the record.** `{"has_id": [1, "…uuid…"]}`: its id is one of these. `{"entity": "user-42"}`,
//! `{"entity": {"any": […]}}`: it belongs to this data subject, or one of these.
//!
//! **Nested**: `{"nested": {"key": path, "filter": filter}}`: one and the same element of the list at the path matches
//! all of the filter, whose paths start in the element. The path finds lists (`a` means `a[]` here), and what is no
//! list has no elements.
//!
//! At most 16 filters in one another, where what is inside `nested` or `min_should` counts as two, and 1,024 clauses.
//!
//! [`Filter`] has the same in Rust. What the file [`matches`] says is the meaning; indexes of payloads only find out
//! sooner.

mod builder;
mod instant;
mod json;
mod matches;
mod node;
mod number;
mod parse;
mod path;
mod predicate;
mod range;
mod scalar;
mod show;
mod tokens;
mod values;

pub use json::{FILTER_FAULT, FILTER_TOO_COMPLEX};
pub use node::Filter;
pub use scalar::{NoOperand, Operand};

pub(crate) use instant::instant;
pub(crate) use matches::{Subject, is_empty};
pub(crate) use node::{Clauses, Node};
pub(crate) use number::Number;
pub(crate) use path::{Path, WRONG_PATH, write_key};
pub(crate) use predicate::{Predicate, Words, count};
pub(crate) use range::{Limits, Moment, Range};
pub(crate) use scalar::Scalar;
pub(crate) use tokens::tokens;
pub(crate) use values::scalars;
