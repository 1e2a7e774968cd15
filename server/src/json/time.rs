//! Times as text. The engine counts milliseconds since 1970; people and JSON get RFC 3339 in UTC.

use engine::AsOf;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Milliseconds since 1970-01-01T00:00:00Z as RFC 3339 in UTC; a time past the year 9999 shows as the last one there is.
pub fn rfc3339(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// What RFC 3339 text means in milliseconds since 1970-01-01T00:00:00Z; none if it is none, or before that.
pub fn millis(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// The state of the environment that an answer shows.
#[derive(Serialize, ToSchema)]
pub struct AsOfAnswer {
    /// Number of the last write that the answer includes.
    pub sequence: u64,
    /// RFC 3339, UTC.
    pub time: String,
}

impl From<AsOf> for AsOfAnswer {
    fn from(as_of: AsOf) -> Self {
        Self { sequence: as_of.sequence, time: rfc3339(as_of.time_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::{millis, rfc3339};

    #[test]
    fn milliseconds_become_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
        assert_eq!(millis("2024-02-29T12:34:56.007Z"), Some(1_709_210_096_007));
        assert_eq!((millis("yesterday"), millis("1969-12-31T23:59:59Z")), (None, None));
        assert!(rfc3339(u64::MAX).starts_with("9999-12-"));
    }
}
