//! What is wrong with the path or the query of a URL, where axum could not read them.
//!
//! Invariant: says which of our own names was expected or where a number was, and nothing of what the client sent.

use axum::extract::path::ErrorKind::{ParseError, ParseErrorAtIndex, ParseErrorAtKey};
use axum::extract::rejection::{PathRejection, QueryRejection};

use super::error::{Problem, Refusal};
use crate::json::query_fault;

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        let detail = match &rejection {
            PathRejection::FailedToDeserializePathParams(fault) => match fault.kind() {
                ParseError { .. } | ParseErrorAtIndex { .. } | ParseErrorAtKey { .. } => {
                    "a part of the path must be a whole number from 0"
                }
                _ => "a part of the path is not percent-encoded UTF-8",
            },
            _ => "the path has not the parts that the route needs",
        };
        Self::new(Refusal::InvalidPath, detail)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Refusal::InvalidQuery, query_fault(&rejection.body_text()))
    }
}
