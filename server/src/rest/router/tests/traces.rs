//! What a collector of traces is told: nothing of anybody, from nobody who may not say, and at no cost to requests.

#![allow(clippy::disallowed_methods, reason = "the collector's end of the connection")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use engine::{ApiKeyClass, rules_of};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::isolation::{OURS, ROUTES, THEIRS, World, filled};
use super::*;
use crate::config::{Believed, Telemetry};
use crate::telemetry::{Headers, Spans, Traces};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// The status of a span whose request went wrong.
const ERROR: i32 = 2;

/// A body that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

/// A collector on loopback, which answers each batch once it is told to.
struct Collector {
    settings: Telemetry,
    batches: Receiver<(String, Vec<u8>)>,
    go: Option<Sender<()>>,
}

impl Collector {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (tells, batches) = channel();
        let (go, goes) = channel::<()>();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    stream.read_line(&mut head).unwrap();
                }
                head.make_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                tells.send((head, body)).unwrap();
                _ = goes.recv();
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        let settings = Telemetry { otlp_endpoint: Some(endpoint), otlp_seconds: 60, ..Telemetry::default() };
        Self { settings, batches, go: Some(go) }
    }

    /// One that answers at once.
    fn open() -> Self {
        Self { go: None, ..Self::new() }
    }

    fn watch(&self, app: &App, with: impl FnOnce(&mut Telemetry)) {
        let mut settings = self.settings.clone();
        with(&mut settings);
        let headers: Headers = "Authorization: Bearer of-the-collector".parse().unwrap();
        app.trace(Traces::to(&settings, headers).unwrap().unwrap());
    }

    /// All that it was told, bytes and spans, once everything was sent.
    fn told(mut self, app: &App) -> (Vec<u8>, Vec<Span>) {
        drop(self.go.take());
        app.traces().unwrap().close(LONG);
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for (head, body) in self.batches.try_iter() {
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("authorization: bearer of-the-collector\r\n"), "{head}");
            let batch = ExportTraceServiceRequest::decode(&*body).unwrap();
            spans.extend(batch.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans));
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&body);
        }
        (bytes, spans)
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

fn roots(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == 2).collect()
}

#[tokio::test]
async fn spans_tell_what_a_request_was_at_and_what_came_of_it() {
    let server = Server::with_docs(Config::default()).await;
    let collector = Collector::open();
    collector.watch(&server.app, |settings| settings.environments = vec!["default".to_owned()]);
    let sent = request(Method::POST, "/v1/collections/docs/search").header("Content-Type", "application/json");
    let sent = sent.header("X-Request-Id", "my-request").header("Lethe-Environment", "default");
    assert_eq!(server.send(sent.body(Body::from(r#"{"vector": [1, 0]}"#)).unwrap()).await.0, 200);
    let elsewhere = request(Method::GET, "/v1/collections/docs/records/1").header("Lethe-Environment", "elsewhere");
    assert_eq!(server.send(elsewhere.body(Body::empty()).unwrap()).await.0, 404);
    // Its client goes before it is answered.
    let sent = request(Method::POST, "/v1/collections/docs/search").header("Content-Type", "application/json");
    let mut gone = Box::pin(server.routes.clone().oneshot(sent.body(Body::new(Never)).unwrap()));
    std::future::poll_fn(|context| Poll::Ready(gone.as_mut().poll(context).is_pending())).await;
    drop(gone);
    let (_, spans) = collector.told(&server.app);
    let roots = roots(&spans);
    assert_eq!(roots.len(), 3, "{roots:?}");
    let search = roots[0];
    assert_eq!(search.name, "POST /v1/collections/{collection}/search");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/collections/{collection}/search"),
        ("http.response.status_code", "200"),
        ("lethedb.request_id", "my-request"),
        ("lethedb.environment", "default"),
    ] {
        assert_eq!(attribute(search, key).as_deref(), Some(value), "{key}");
    }
    let stages: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == search.span_id).collect();
    let names: Vec<&str> = stages.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["body", "turn", "engine"]);
    for stage in stages {
        assert_eq!(stage.trace_id, search.trace_id);
        assert!(search.start_time_unix_nano <= stage.start_time_unix_nano, "{stage:?}");
        assert!(stage.end_time_unix_nano <= search.end_time_unix_nano, "{stage:?}");
    }
    let missing = roots[1];
    assert_eq!(attribute(missing, "lethedb.environment").as_deref(), Some("other"), "only names that are listed");
    assert_eq!(attribute(missing, "http.response.status_code").as_deref(), Some("404"));
    assert_eq!(attribute(missing, "error.type").as_deref(), Some("not_found"));
    assert!(attribute(roots[2], "http.response.status_code").is_none());
    // Whoever asked for nothing that can be had made no error of the server's; a request that came to nothing is one.
    let statuses = roots.iter().map(|root| root.status.as_ref().map_or(0, |status| status.code));
    assert_eq!(statuses.collect::<Vec<_>>(), [0, 0, ERROR]);
}

/// Whatever is asked for by whomever, the collector sees none of it.
#[tokio::test]
async fn no_span_holds_anything_of_anybody() {
    const CLOSED: [&str; 6] = [
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "lethedb.request_id",
        "lethedb.environment",
        "error.type",
    ];
    let world = World::new().await;
    let collector = Collector::open();
    collector.watch(&world.server.app, |settings| settings.spans_max = 1 << 14);
    let good = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let narrow = world.key("theirs", ApiKeyClass::Secret, &["ReadOnly"], |_| {});
    let mut asked = 0;
    for (route, _, body, _) in ROUTES.iter().filter(|(route, ..)| !route.ends_with("/approvers")) {
        for key in [Some(&*good.text), Some(&narrow.text), Some("lethe_sk_s3cr3t"), None] {
            world.furnish("ours", OURS);
            let spare = world.spare(route);
            world.ask((&filled(route, "docs", &spare), body), key, None).await;
            world.ask((&filled(route, "s3cr3t", "s3cr3t"), body), key, Some("s3cr3t")).await;
            world.ask((&filled(route, "docs", "s3cr3t"), r#"{"s3cr3t": ["s3cr3t"]}"#), key, None).await;
            asked += 3;
        }
    }
    for (path, body) in [
        ("/v1/collections/docs/search?s3cr3t=1", r#"{"vector": [1, 0], "filter": {"entity": "s3cr3t"}}"#),
        ("/v1/collections/docs/count", r#"{"filter": {"key": "s3cr3t", "match": {"value": "s3cr3t"}}}"#),
        ("/v1/collections/docs/records/s3cr3t", ""),
        ("/s3cr3t", ""),
    ] {
        let mut request = request(Method::POST, path).header("Content-Type", "application/json");
        for name in ["tracestate", "baggage", "User-Agent", "Referer", "Cookie", "X-User-Token", "Lethe-Approval"] {
            request = request.header(name, "s3cr3t=s3cr3t");
        }
        for (name, value) in [("traceparent", format!("00-{TRACE}-{PARENT}-01")), ("X-Request-Id", "a s3cr3t".into())] {
            request = request.header(name, value);
        }
        let request = request.header("Authorization", format!("Bearer {}", good.text));
        world.server.send(request.body(Body::from(body)).unwrap()).await;
        asked += 1;
    }
    let (bytes, spans) = collector.told(&world.server.app);
    assert_eq!(roots(&spans).len(), asked);
    let secrets = [&good, &narrow].map(|key| key.text.split('_').nth(3).unwrap().to_owned());
    let ids = [&good, &narrow].map(|key| key.id.clone());
    let canaries = ["s3cr3t", OURS, THEIRS, "nobody", "docs/", "Bearer lethe"].map(str::to_owned);
    for canary in canaries.iter().chain(&secrets).chain(&ids) {
        let found = bytes.windows(canary.len()).any(|window| window.eq_ignore_ascii_case(canary.as_bytes()));
        assert!(!found, "{canary} reached the collector");
    }
    for span in &spans {
        let odd = span.attributes.iter().find(|attribute| !CLOSED.contains(&attribute.key.as_str()));
        assert!(odd.is_none() && span.events.is_empty() && span.links.is_empty(), "{span:?}");
        assert_eq!(span.trace_state, "");
    }
}

/// Who may say which trace a request is part of, and that it is sent.
#[tokio::test]
async fn only_who_is_believed_has_a_request_sampled() {
    let parent = |sampled: u8| format!("00-{TRACE}-{PARENT}-0{sampled}");
    for (believed, expected) in [
        (Believed::Nobody, &[][..]),
        (Believed::Keys, &["secret"]),
        (Believed::Everyone, &["nobody", "forged", "public", "secret"]),
    ] {
        let server = Server::with_docs(Config::default()).await;
        let access = server.database.access();
        access.set_rules("default", "docs", &rules_of([("query", "payload.n == claims.n")]).unwrap()).unwrap();
        let key = |class| {
            let roles = vec!["ReadOnly".to_owned()];
            let request = engine::ApiKeyRequest { roles, ..engine::ApiKeyRequest::new(class, "default") };
            access.create(&request).unwrap().text.to_string()
        };
        let (public, secret) = (key(ApiKeyClass::Public), key(ApiKeyClass::Secret));
        // Of its own nothing is sent: what is, was asked for.
        let collector = Collector::open();
        collector.watch(&server.app, |settings| (settings.sample, settings.traceparent) = (0.0, believed));
        for (who, key) in [("nobody", ""), ("forged", "lethe_sk_x"), ("public", &public), ("secret", &secret)] {
            for sampled in [0, 1] {
                let request = request(Method::GET, "/v1/collections").header("traceparent", parent(sampled));
                let request = request.header("X-Request-Id", format!("{who}-{sampled}"));
                let request = if key.is_empty() { request } else { request.header("X-API-Key", key) };
                server.send(request.body(Body::empty()).unwrap()).await;
            }
        }
        let (_, spans) = collector.told(&server.app);
        let told: Vec<_> =
            roots(&spans).into_iter().map(|span| attribute(span, "lethedb.request_id").unwrap()).collect();
        let expected: Vec<_> = expected.iter().map(|who| format!("{who}-1")).collect();
        assert_eq!(told, expected, "{believed:?}");
        for root in roots(&spans) {
            assert_eq!((hex(&root.trace_id), hex(&root.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
        }
    }
}

#[tokio::test]
async fn who_is_not_believed_chooses_no_trace() {
    let server = Server::with_docs(Config::default()).await;
    let collector = Collector::open();
    collector.watch(&server.app, |_| {});
    for _ in 0..3 {
        let request = request(Method::GET, "/v1/collections").header("traceparent", format!("00-{TRACE}-{PARENT}-00"));
        server.send(request.body(Body::empty()).unwrap()).await;
    }
    let (_, spans) = collector.told(&server.app);
    assert!(spans.iter().all(|span| attribute(span, "lethedb.environment").is_none()), "no list names one");
    let traces: BTreeSet<_> = roots(&spans).into_iter().map(|span| hex(&span.trace_id)).collect();
    assert!(traces.len() == 3 && !traces.contains(TRACE), "ids that somebody chose could be those that are sampled");
    assert!(roots(&spans).iter().all(|span| span.parent_span_id.is_empty()));
}

#[tokio::test]
async fn a_collector_that_does_not_answer_keeps_nobody_waiting() {
    let server = Server::with_docs(Config::default()).await;
    let collector = Collector::new();
    collector.watch(&server.app, |settings| settings.spans_max = 4);
    let traces = server.app.traces().unwrap();
    for _ in 0..40 {
        assert_eq!(server.ask(Method::GET, "/v1/collections", Value::Null).await.0, StatusCode::OK);
    }
    // The first four are under way or wait for it; a request has three spans.
    assert_eq!(traces.spans(), Spans { sent: 0, dropped: 120 - 4, failed: 0 });
    let (_, counts, _) = server.send(request(Method::GET, "/metrics").body(Body::empty()).unwrap()).await;
    let counts = counts.as_str().unwrap().to_owned();
    for line in ["lethedb_spans_total{outcome=\"dropped\"} 116", "lethedb_spans_total{outcome=\"sent\"} 0"] {
        assert!(counts.contains(line), "{line} is not in\n{counts}");
    }
    let (_, spans) = collector.told(&server.app);
    assert_eq!((spans.len(), server.app.traces().unwrap().spans().sent), (4, 4));
}

#[tokio::test]
async fn a_collector_that_is_away_is_counted_and_nothing_else() {
    let server = Server::with_docs(Config::default()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Some(format!("http://{nobody}"));
    let settings = Telemetry { otlp_endpoint: endpoint, ..Telemetry::default() };
    server.app.trace(Traces::to(&settings, Headers::default()).unwrap().unwrap());
    assert_eq!(server.ask(Method::GET, "/v1/collections", Value::Null).await.0, StatusCode::OK);
    server.app.traces().unwrap().close(LONG);
    assert_eq!(server.app.traces().unwrap().spans(), Spans { sent: 0, dropped: 0, failed: 3 });
    assert_eq!(server.ask(Method::GET, "/v1/collections", Value::Null).await.0, StatusCode::OK, "nor afterwards");
}

#[test]
fn what_is_no_collector_is_refused_at_the_start() {
    let to = |endpoint: &str, sample: f64| {
        let settings = Telemetry { otlp_endpoint: Some(endpoint.to_owned()), sample, ..Telemetry::default() };
        Traces::to(&settings, Headers::default()).err().map(|error| error.to_string())
    };
    assert!(Traces::to(&Telemetry::default(), Headers::default()).unwrap().is_none(), "off unless it is set");
    assert!(to("https://collector.example:4318/", 0.5).is_none());
    for endpoint in ["", "collector:4318", "ftp://a", "http://user:s3cr3t@a", "http://a?key=s3cr3t"] {
        let told = to(endpoint, 1.0).unwrap();
        assert!(told.contains("telemetry.otlp_endpoint") && !told.contains("s3cr3t"), "{endpoint}: {told}");
    }
    for sample in [-0.1, 1.1, f64::NAN] {
        assert!(to("http://a", sample).unwrap().contains("telemetry.sample"), "{sample}");
    }
}
