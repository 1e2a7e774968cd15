//! When a call is over because its client waits no longer.
//!
//! Invariant: it is a moment from when the head of the call came, so that what is waited for on the way counts, whichever part
//! of the server is at it by then.

use std::future::pending;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Extensions;

use crate::rest::{Problem, Refusal};

/// How long a call may take: a number and a unit (gRPC over HTTP/2, Requests).
const TIMEOUT: &str = "grpc-timeout";

/// When a call is over, whatever of it is done by then; never, if it names no time.
#[derive(Clone, Copy, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Of a call whose head came now, and that may take so long.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// Of the call with these extensions.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// Ready once it is over.
    pub async fn passes(self) {
        match self.0 {
            Some(end) => sleep_until(end).await,
            None => pending().await,
        }
    }
}

/// How long a call may take, if it says so.
///
/// # Errors
/// `invalid_header`.
pub fn told(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(duration);
    let wrong = || Problem::new(Refusal::InvalidHeader, "grpc-timeout: up to eight digits and one of H, M, S, m, u, n");
    parsed.map(Some).ok_or_else(wrong)
}

fn duration(text: &str) -> Option<Duration> {
    let (at, unit) = text.char_indices().next_back()?;
    let digits = &text[..at];
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_with_a_unit() {
        for (text, told) in [("1H", 3_600_000), ("2M", 120_000), ("3S", 3000), ("4m", 4), ("99999999m", 99_999_999)] {
            assert_eq!(duration(text), Some(Duration::from_millis(told)), "{text}");
        }
        assert_eq!((duration("5u"), duration("6n")), (Some(Duration::from_micros(5)), Some(Duration::from_nanos(6))));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1é", " 1S"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
