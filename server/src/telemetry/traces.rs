//! Spans: made of a request's timeline once it is answered, and handed to a thread that sends them.
//!
//! Invariant: they are made when all is known, so that whose word counts on a trace is decided after the key was looked at. Of
//! whoever is not believed, the ids are ours: who could choose them could choose to be sampled always. Attributes are those of
//! [`Answered`] and no others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::Uri;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
use thiserror::Error;

use super::collector::{Collector, Headers};
use super::counts::{Bounded, Counts, Noted};
use super::timeline::{Stage, Timeline};
use crate::config::{Believed, Telemetry};

/// Spans that are sent together at most.
const BATCH_SPANS_MAX: usize = 512;
/// How long spans wait for others to be sent with.
const BATCH_DELAY: Duration = Duration::from_secs(2);
/// Environments that are not named by the settings.
const OTHER: &str = "other";

/// Why requests cannot be traced.
#[derive(Debug, Error)]
pub enum TracesError {
    /// What is set as the collector is none.
    #[error(
        "telemetry.otlp_endpoint must be http://host:port or https://host:port, with neither a password nor a query in it"
    )]
    Endpoint,
    /// What is set as the share is none.
    #[error("telemetry.sample is a share, from 0 to 1")]
    Sample,
    /// The exporter does not take its settings, above all those in `OTEL_` variables.
    #[error("spans cannot be sent")]
    Exporter(#[from] ExporterBuildError),
}

/// What became of spans since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// A collector took them.
    pub sent: u64,
    /// Too many waited.
    pub dropped: u64,
    /// A collector did not take them.
    pub failed: u64,
}

/// What a request came to; all that a span says of it.
pub struct Answered<'a> {
    /// A method that some route knows.
    pub method: &'static str,
    /// As the router has it.
    pub route: &'a str,
    /// As it stands in the log.
    pub request_id: &'a str,
    /// The status; none if its client went before it was answered.
    pub status: Option<u16>,
    /// The code of its problem.
    pub problem: Option<&'static str>,
    /// When it was answered, in microseconds since the Unix epoch.
    pub ended_us: u64,
}

/// Where spans go.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counts: Arc<Counts>,
    believed: Believed,
    environments: Vec<String>,
}

impl Traces {
    /// Spans to the collector of the settings; none if they name none.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn to(settings: &Telemetry, headers: Headers) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let endpoint = traces_at(endpoint)?;
        if !(0.0..=1.0).contains(&settings.sample) {
            return Err(TracesError::Sample);
        }
        let patience = Duration::from_secs(settings.otlp_seconds.max(1));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(patience)
            .with_http_client(Collector::new(headers, patience))
            .build()?;
        let (counts, most) = (Arc::new(Counts::default()), settings.spans_max.max(1));
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(most)
            .with_max_export_batch_size(most.min(BATCH_SPANS_MAX))
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let noted = Noted { exporter, counts: Arc::clone(&counts) };
        let batches = BatchSpanProcessor::builder(noted).with_batch_config(config).build();
        let named = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { batches, counts: Arc::clone(&counts), most })
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample))))
            .with_resource(named.build())
            .build();
        let tracer = provider.tracer("lethedb");
        let (believed, environments) = (settings.traceparent, settings.environments.clone());
        Ok(Some(Self { provider, tracer, counts, believed, environments }))
    }

    /// Makes spans of a request that is answered, if it is one of the share, and has them sent.
    pub fn tell(&self, timeline: &Timeline, answered: &Answered<'_>) {
        let noted = timeline.noted();
        let is_believed = match self.believed {
            Believed::Nobody => false,
            Believed::Keys => noted.has_key,
            Believed::Everyone => true,
        };
        let parent = timeline.parent.clone().filter(|_| is_believed);
        let environment = noted.environment.as_deref().and_then(|name| self.label(name));
        let span = SpanBuilder::from_name(format!("{} {}", answered.method, answered.route))
            .with_kind(SpanKind::Server)
            .with_start_time(time(timeline.begun_us))
            .with_attributes(attributes(answered, environment));
        let mut root = self.tracer.build_with_context(span, &within(parent));
        if !root.is_recording() {
            return;
        }
        if answered.status.is_none_or(|status| status >= 500) {
            root.set_status(Status::error(answered.problem.unwrap_or_default()));
        }
        let context = within(Some(root.span_context().clone()));
        for (stage, begun_us, ended_us) in &noted.stages {
            self.stage(*stage, (*begun_us, *ended_us), &context);
        }
        root.end_with_timestamp(time(answered.ended_us));
    }

    fn stage(&self, stage: Stage, (begun_us, ended_us): (u64, u64), context: &Context) {
        let span = SpanBuilder::from_name(stage.as_str()).with_start_time(time(begun_us));
        self.tracer.build_with_context(span, context).end_with_timestamp(time(ended_us));
    }

    /// The name of an environment as spans have it, if they have one.
    fn label(&self, environment: &str) -> Option<String> {
        let listed = self.environments.iter().find(|listed| *listed == environment);
        (!self.environments.is_empty()).then(|| listed.map_or(OTHER, String::as_str).to_owned())
    }

    /// What became of spans so far.
    pub fn spans(&self) -> Spans {
        let Counts { sent, dropped, failed, .. } = &*self.counts;
        let [sent, dropped, failed] = [sent, dropped, failed].map(|count| count.load(Ordering::Relaxed));
        Spans { sent, dropped, failed }
    }

    /// Sends what waits, for so long at most; later spans are not sent any more.
    pub fn close(&self, patience: Duration) {
        if self.provider.shutdown_with_timeout(patience).is_err() {
            tracing::warn!("the last spans did not reach telemetry.otlp_endpoint");
        }
    }
}

/// Where a collector takes spans.
fn traces_at(endpoint: &str) -> Result<String, TracesError> {
    let uri: Uri = endpoint.parse().map_err(|_| TracesError::Endpoint)?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) && uri.query().is_none();
    if is_http && is_plain {
        Ok(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
    } else {
        Err(TracesError::Endpoint)
    }
}

/// What a span says of its request. The names are OpenTelemetry's, where it has one.
fn attributes(answered: &Answered<'_>, environment: Option<String>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("http.request.method", answered.method),
        KeyValue::new("http.route", answered.route.to_owned()),
        KeyValue::new("lethedb.request_id", answered.request_id.to_owned()),
    ];
    attributes.extend(answered.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    attributes.extend(answered.problem.map(|code| KeyValue::new("error.type", code)));
    attributes.extend(environment.map(|name| KeyValue::new("lethedb.environment", name)));
    attributes
}

/// Where spans are made that belong to `parent`, or to nothing.
fn within(parent: Option<SpanContext>) -> Context {
    // Of no thread's: what is the current span anywhere has nothing to do with this.
    let nowhere = Context::new();
    parent.map_or_else(|| nowhere.clone(), |parent| nowhere.with_remote_span_context(parent))
}

fn time(us: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(us)
}
