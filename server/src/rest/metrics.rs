//! What the server counts, for Prometheus.
//!
//! Invariant: a label is a method, a route as the router has it, a status or a code of our own, so that the number of
//! series is bounded by the code, and no name of an environment or collection, no id, key or address is one. Times are
//! those of answers, which include waiting for a turn.

use std::fmt::{Error, Write};

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::Spans;

/// Upper ends of the times that are counted together, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// A method that some route knows; `other` for whatever else somebody sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Known(&'static str);

impl Known {
    /// The label of `method`.
    pub fn of(method: &Method) -> Self {
        let known = ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"];
        Self(known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other"))
    }

    /// As it stands in logs.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

impl EncodeLabelValue for Known {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), Error> {
        encoder.write_str(self.0)
    }
}

/// An answer, as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: Known,
    /// As the router has it, with the names of its parts for what a client puts there.
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

/// All that is counted.
pub struct Metrics {
    registry: Registry,
    answers: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
    problems: Family<Code, Counter>,
    spans: Family<Outcome, Counter>,
    connections_refused: Counter,
    sent_away: Family<Code, Counter>,
    running: Gauge,
    waiting: Gauge,
    bodies: Gauge,
    ready: Gauge,
    writable: Gauge,
    audit_sound: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lethedb");
        let answers = Family::default();
        registry.register("requests", "Answers, by method, route and status", answers.clone());
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let help = "Time from a request's head to its answer's head, by route";
        registry.register_with_unit("request_duration", help, Unit::Seconds, seconds.clone());
        let problems = Family::default();
        registry.register("problems", "Refusals and failures, by the code of their problem", problems.clone());
        let spans = Family::default();
        let help = "Spans of requests: sent to the collector, not taken by it, or dropped because too many wait";
        registry.register("spans", help, spans.clone());
        let connections_refused = Counter::default();
        let help = "Connections closed at once, because their address has as many as it may";
        registry.register("connections_refused", help, connections_refused.clone());
        let sent_away = Family::<Code, Counter>::default();
        let help =
            "Requests refused at sight of their head, by the code of their problem; no request, answer or time beside";
        registry.register("requests_sent_away", help, sent_away.clone());
        let bodies = Gauge::default();
        let help = "Memory that the bodies of requests take until they are answered";
        registry.register_with_unit("bodies", help, Unit::Bytes, bodies.clone());
        let mut gauge = |name: &str, help: &str| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let running = gauge("requests_running", "Requests whose answer has not begun");
        let waiting = gauge("requests_waiting", "Requests that wait for a turn in the engine");
        let ready = gauge("ready", "1 while the server wants requests");
        let writable = gauge("writable", "1 unless the disk is full or a sync failed");
        let audit_sound = gauge("audit_sound", "1 unless an audit log in use is not what was told");
        let build = Family::<Version, Gauge>::default();
        registry.register("build_info", "The version that runs", build.clone());
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
        Self {
            registry,
            answers,
            seconds,
            problems,
            spans,
            connections_refused,
            sent_away,
            running,
            waiting,
            bodies,
            ready,
            writable,
            audit_sound,
        }
    }
}

/// A request that runs; counted as such until it is dropped, whatever becomes of it.
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A request began.
    pub fn begin(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A connection was closed at once, because its address has as many as it may.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// A request was sent away before anything was done for it, and told this code of ours; how many were by now.
    pub fn sent_away(&self, code: &'static str) -> u64 {
        self.problems.get_or_create(&Code { code }).inc();
        self.sent_away.get_or_create(&Code { code }).inc() + 1
    }

    /// A request was answered after so long. `route` is the router's own, and `problem` a code of ours.
    pub fn answered(&self, method: Known, route: &str, status: StatusCode, problem: Option<&'static str>, us: u64) {
        let answered = Answered { method, route: route.to_owned(), code: status.as_u16() };
        self.answers.get_or_create(&answered).inc();
        let route = Route { route: route.to_owned() };
        self.seconds.get_or_create(&route).observe(us as f64 / 1e6);
        if let Some(code) = problem {
            self.problems.get_or_create(&Code { code }).inc();
        }
    }

    /// All of it, in the format of OpenMetrics.
    ///
    /// # Errors
    /// None that a string could cause.
    pub fn text(&self, now: Standing) -> Result<String, Error> {
        self.waiting.set(i64::try_from(now.waiting).unwrap_or(i64::MAX));
        self.bodies.set(i64::try_from(now.bodies_bytes).unwrap_or(i64::MAX));
        self.ready.set(now.is_ready.into());
        self.writable.set(now.is_writable.into());
        self.audit_sound.set(now.is_audit_sound.into());
        if let Some(Spans { sent, dropped, failed }) = now.spans {
            for (outcome, total) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
                let counter = self.spans.get_or_create(&Outcome { outcome });
                counter.inc_by(total.saturating_sub(counter.get()));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What is not counted but looked at.
pub struct Standing {
    /// Requests that wait for a turn.
    pub waiting: usize,
    /// Bytes that bodies take.
    pub bodies_bytes: usize,
    /// What became of spans, where requests are traced.
    pub spans: Option<Spans>,
    /// Whether the server wants requests.
    pub is_ready: bool,
    /// Whether the storage takes writes.
    pub is_writable: bool,
    /// Whether every audit log in use is what was told.
    pub is_audit_sound: bool,
}
