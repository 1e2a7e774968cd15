//! The connection to the collector that the operator named.
//!
//! Invariant: it goes where the settings say and nowhere else: no redirect, no proxy; what comes back is bounded and serves for
//! nothing. Headers that let the server in are in no log and in no setting that is shown.

use std::str::FromStr;
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use thiserror::Error;
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What a collector asks for.
#[derive(Clone, Debug, Default)]
pub struct Headers(HeaderMap);

/// A line that is no header; by its number alone, since it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line} of telemetry.otlp_headers_file is no header: `name: value` is expected")]
pub struct HeadersError {
    /// Counted from 1.
    pub line: usize,
}

impl FromStr for Headers {
    type Err = HeadersError;

    /// One header a line; lines that are empty or begin with `#` are passed over.
    fn from_str(text: &str) -> Result<Self, HeadersError> {
        let mut headers = HeaderMap::new();
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let header = line.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let mut value = HeaderValue::from_str(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            });
            let (name, value) = header.ok_or(HeadersError { line: at + 1 })?;
            headers.append(name, value);
        }
        Ok(Self(headers))
    }
}

/// Sends batches, on the thread that has nothing else to do.
#[derive(Debug)]
pub struct Collector {
    agent: Agent,
    headers: Headers,
}

impl Collector {
    /// One that may take so long over a batch.
    pub fn new(headers: Headers, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(patience))
            .max_response_header_size(16 << 10)
            .max_idle_connections(1)
            .build();
        Self { agent: config.new_agent(), headers }
    }
}

#[tonic::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut request = request.map(|bytes| bytes.to_vec());
        request.headers_mut().extend(self.headers.0.clone());
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_are_not_shown() {
        let headers: Headers =
            "# for the collector\n\nAuthorization: Bearer s3cr3t: x\r\n x-team : a \n".parse().unwrap();
        assert_eq!(headers.0["authorization"], "Bearer s3cr3t: x");
        assert_eq!(headers.0["x-team"], "a");
        assert!(!format!("{headers:?}").contains("s3cr3t"), "{headers:?}");
        for (text, line) in [("a: b\ns3cr3t", 2), ("bad name: s3cr3t", 1), ("a: b\n\nc: \u{1}s3cr3t", 3)] {
            let error = text.parse::<Headers>().unwrap_err();
            assert_eq!(error, HeadersError { line });
            assert!(!error.to_string().contains("s3cr3t"));
        }
    }
}
