//! Where spans of requests are sent, and how many of them.
//!
//! Invariant: nothing is sent unless an endpoint is set, and no secret stands here: what a collector asks for is in a file of
//! its own, whose path alone is a setting.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Traces over OTLP: off without an endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The collector, as `http://host:4318` or `https://…`; spans go to `/v1/traces` there, as protobuf.
    pub otlp_endpoint: Option<String>,
    /// A file with headers for it, one `name: value` a line: what it asks for to let the server in.
    pub otlp_headers_file: Option<PathBuf>,
    /// How long it may take to take a batch in, in seconds.
    pub otlp_seconds: u64,
    /// What the server is called there.
    pub service_name: String,
    /// The share of requests whose spans are sent, from 0 to 1. Who is believed in what their `traceparent` says has decided
    /// that already.
    pub sample: f64,
    /// Whose `traceparent` is believed.
    pub traceparent: Believed,
    /// Environments that spans may name; all others are `other`. If there are none here, spans name no environment.
    pub environments: Vec<String>,
    /// Spans that may wait for the collector; further ones are dropped, and counted.
    pub spans_max: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers_file: None,
            otlp_seconds: 5,
            service_name: "lethedb".to_owned(),
            sample: 1.0,
            traceparent: Believed::default(),
            environments: Vec::new(),
            spans_max: 2048,
        }
    }
}

/// Whose word counts on which trace a request is part of, and whether that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Believed {
    /// Nobody's.
    Nobody,
    /// That of who shows a key that is not public.
    #[default]
    Keys,
    /// Whoever's that asks: for a server behind one that sets the header itself.
    Everyone,
}
