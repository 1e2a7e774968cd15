//! Which trace a request says that it is part of (W3C Trace Context, level 1).
//!
//! Invariant: two ids and a flag are taken and nothing else: what systems before this one put into `tracestate`, which is any
//! text, goes no further. Whether the request is believed is for somebody else to say.

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const HEADER: &str = "traceparent";
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits; later versions may say more behind it.
const BYTES: usize = 55;
const BYTES_MAX: usize = 256;

/// One header of many.
struct Only<'a>(&'a str);

impl Extractor for Only<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == HEADER).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![HEADER]
    }
}

/// The span that a request was sent from, if its headers name one.
pub fn parent_in(headers: &HeaderMap) -> Option<SpanContext> {
    let mut named = headers.get_all(HEADER).iter();
    let (Some(one), None) = (named.next(), named.next()) else { return None };
    let text = one.to_str().ok().filter(|text| has_form(text))?;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Only(text));
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// Whether every part has its length: numbers are read leniently elsewhere.
fn has_form(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    lengths.starts_with(&[2, 32, 16, 2]) && text.bytes().take(BYTES).all(is_hex) && text.len() <= BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parent(values: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        headers.append("tracestate", "who=s3cr3t".parse().unwrap());
        parent_in(&headers)
    }

    #[test]
    fn two_ids_and_a_flag_are_taken_and_nothing_else() {
        let found = parent(&[GOOD]).unwrap();
        assert_eq!(found.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(found.span_id().to_string(), "b7ad6b7169203331");
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "", "what others say beside it goes no further");
        assert!(!parent(&[&GOOD.replace("-01", "-00")]).unwrap().is_sampled());
        assert!(parent(&[&format!("{}-more", GOOD.replacen("00", "01", 1))]).is_some(), "a later version");
        for bad in [
            "",
            "00",
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace("b7ad6b7169203331", "b7ad"),
            &GOOD.replace("b7ad6b7169203331", "+7ad6b7169203331"),
            &format!("{GOOD}-more"),
        ] {
            assert!(parent(&[bad]).is_none(), "{bad}");
        }
        assert!(parent(&[GOOD, GOOD]).is_none() && parent(&[]).is_none());
    }
}
