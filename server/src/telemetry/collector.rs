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
#[allow(clippy::disallowed_methods, reason = "the collector's end of the connection")]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers every connection with this, or never if it is nothing; counts them.
    fn collector(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, count) =
            (format!("http://{}/v1/traces", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                _ = stream.read(&mut [0; 4096]);
                _ = stream.write_all(&answer);
                if answer.is_empty() {
                    open.push(stream);
                }
            }
        });
        (at, count)
    }

    async fn send(at: &str, patience: Duration) -> Result<Response<Bytes>, HttpError> {
        let request = Request::post(at).body(Bytes::from_static(b"spans")).unwrap();
        Collector::new(Headers::default(), patience).send_bytes(request).await
    }

    #[tokio::test]
    async fn spans_go_where_the_settings_say_and_what_comes_back_is_bounded() {
        let long = Duration::from_secs(600);
        let (elsewhere, reached) = collector(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
        for status in ["302 Found", "307 Temporary Redirect"] {
            let moved = format!("HTTP/1.1 {status}\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
            let (at, asked) = collector(moved.into_bytes());
            assert!(send(&at, long).await.unwrap().status().is_redirection());
            assert_eq!((asked.load(Ordering::Relaxed), reached.load(Ordering::Relaxed)), (1, 0), "it was followed");
        }
        let body = vec![b' '; ANSWER_BYTES_MAX as usize + 1];
        let whole = |body: &[u8]| {
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
        };
        assert!(send(&collector(whole(&body)).0, long).await.is_err());
        assert!(send(&collector(whole(&body[1..])).0, long).await.is_ok());
        // Without a bound this would hang.
        assert!(send(&collector(Vec::new()).0, Duration::from_millis(50)).await.is_err());
    }

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
