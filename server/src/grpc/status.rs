//! A problem, as gRPC says it: a code of gRPC, and what it is exactly in the details of `google.rpc`.
//!
//! Invariant: every refusal and failure has an `ErrorInfo` of the domain `lethedb` whose reason is the problem's own code,
//! the same as over REST. What went wrong inside the server is not told: its log says it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::rest::{Problem, Refusal, Told};

const DOMAIN: &str = "lethedb";

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        status(&Told(Arc::new(problem)))
    }
}

/// The problem that was told as a status; it is kept as its source.
pub fn status(told: &Told) -> Status {
    let Told(problem) = told;
    let code = code(problem);
    let is_ours = matches!(code, Code::Internal | Code::DataLoss);
    let message = if is_ours { problem.title } else { problem.detail.as_str() };
    let facts = problem.approval.iter().flat_map(|needed| {
        let (operation, statement) = (needed.operation.clone(), needed.statement.clone());
        [("operation", operation), ("statement", statement), ("votes", needed.votes.to_string())]
    });
    let facts: HashMap<String, String> = facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
    let mut details = ErrorDetails::with_error_info(problem.code, DOMAIN, facts);
    // Who set the deadline decides whether to try again.
    if let Some(seconds) = problem.retry_seconds.filter(|_| code != Code::DeadlineExceeded) {
        details.set_retry_info(Some(Duration::from_secs(seconds.into())));
    }
    if let Some(field) = &problem.field {
        details.add_bad_request_violation(field.as_ref(), &problem.detail);
    }
    let mut status = Status::with_error_details(code, message, details);
    status.set_source(Arc::new(told.clone()));
    status
}

/// The code of gRPC. Most follow from the status of HTTP; the others are where gRPC tells apart what HTTP does not. A
/// message that cannot be read is its sender's fault, as over REST: libraries make it `INTERNAL`, which whoever watches a
/// server takes for a fault of its own.
fn code(problem: &Problem) -> Code {
    match (problem.code, problem.status) {
        // It may have been done all the same, so nobody is to try again unasked.
        ("request_timeout" | "body_timeout", _) => Code::DeadlineExceeded,
        ("budget_exhausted" | "limit_reached", _) => Code::ResourceExhausted,
        // The first such request still runs: this one lost to it, and may come again.
        ("request_in_progress", _) => Code::Aborted,
        ("corrupt", _) => Code::DataLoss,
        ("unknown_route" | "unsupported_media_type", _) => Code::Unimplemented,
        (_, 400 | 422) => Code::InvalidArgument,
        (_, 401) => Code::Unauthenticated,
        (_, 403 | 421) => Code::PermissionDenied,
        (_, 404) => Code::NotFound,
        (_, 409 | 410) => Code::FailedPrecondition,
        (_, 413 | 429 | 507) => Code::ResourceExhausted,
        (_, 405 | 501) => Code::Unimplemented,
        (_, 503) => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// The problem that a status tells: the one it was made of, or one of ours for what the library made itself.
pub fn told(status: &Status) -> Told {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(told) = error.downcast_ref::<Told>() {
            return told.clone();
        }
        source = error.source();
    }
    Told(Arc::new(ours(status)))
}

/// A status that the library made itself, as a problem of ours: its text would show what a client sent.
fn ours(status: &Status) -> Problem {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            Problem::new(Refusal::LargeBody, "split the request, or raise server.body_bytes_max")
        }
        Code::Unimplemented => Problem::new(Refusal::MediaType, "send protobuf without compression"),
        Code::NotFound => Problem::new(Refusal::NotFound, "there is nothing of this name"),
        Code::Cancelled => Problem::new(Refusal::BrokenBody, "the call was cancelled"),
        _ => Problem::new(Refusal::BrokenBody, "what was sent cannot be read as this call's message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_a_problem_says() {
        let problem = Problem::new(Refusal::RateLimited, "later").retry_after(7);
        let status = Status::from(problem);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "later"));
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("rate_limited", "lethedb"));
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
        let late = Status::from(Problem::new(Refusal::SlowRequest, "late"));
        assert_eq!((late.code(), late.get_error_details().retry_info().is_none()), (Code::DeadlineExceeded, true));
        let status = Status::from(Problem::new(Refusal::InvalidBody, "no").about("records[3].id"));
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, "records[3].id");
    }

    #[test]
    fn what_went_wrong_inside_is_not_told() {
        let status = Status::from(Problem::new(Refusal::Internal, "s3cr3t"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{} {:?}", status.message(), status.get_error_details()).contains("s3cr3t"));
    }
}
