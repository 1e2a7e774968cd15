//! A moment as a payload or a filter writes it: RFC 3339, with its offset.
//!
//! Invariant: moments compare as points in time, to the nanosecond, whatever their offsets; a text that is not exactly
//! the profile of RFC 3339 is no moment, so that no date is guessed.

use jiff::Timestamp;

/// Nanoseconds from the Unix epoch to the moment that `text` names; `None` if it names none.
pub(crate) fn instant(text: &str) -> Option<i128> {
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    text.parse::<Timestamp>().ok().map(|moment| moment.as_nanosecond())
}

/// `2026-01-31T23:59:59`, perhaps a fraction, then `Z` or `+01:00`. The parser below this takes more than that.
fn is_rfc3339(text: &[u8]) -> bool {
    let is_shape = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                _ => byte == wanted,
            })
    };
    let Some((whole, rest)) = text.split_at_checked(19) else { return false };
    let digits = rest.strip_prefix(b".").map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let offset = match digits {
        Some(0) => return false,
        Some(digits) => rest.get(1 + digits..).unwrap_or_default(),
        None => rest,
    };
    let is_offset = matches!(offset, b"Z" | b"z") || is_shape(offset, b"+00:00") || is_shape(offset, b"-00:00");
    is_offset && is_shape(whole, b"0000-00-00T00:00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_profile_is_a_moment() {
        for (text, nanoseconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t01:00:00.000000001+01:00", 1),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
            ("2026-11-22T14:28:29-05:30", 1_795_377_509_000_000_000),
        ] {
            assert_eq!(instant(text), Some(nanoseconds), "{text}");
        }
        for text in [
            "",
            "2026-11-22",
            "2026-11-22 14:28:29Z",
            "2026-11-22T14:28:29",
            "2026-11-22T14:28Z",
            "2026-11-22T14:28:29.Z",
            "2026-11-22T14:28:29+0100",
            "2026-11-22T14:28:29+01",
            "2026-11-22T14:28:29Z[UTC]",
            "2026-13-22T14:28:29Z",
            "20261122T142829Z",
            "2026-11-22T14:28:29Zé",
            "２026-11-22T14:28:29Z",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
