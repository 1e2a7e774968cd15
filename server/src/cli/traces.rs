//! The file that lets `serve` into a collector of traces.
//!
//! Invariant: what it holds is shown nowhere, a line that cannot be used included.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names")]

use std::fs;

use zeroize::Zeroizing;

use super::failure::Failure;
use crate::config::Telemetry;
use crate::telemetry::{Headers, Traces};

/// What the settings name, ready to send; none if they name no collector.
pub fn of(settings: &Telemetry) -> Result<Option<Traces>, Failure> {
    let wrong = |error: &dyn std::error::Error| Failure::Usage(error.to_string());
    let headers: Headers = match &settings.otlp_headers_file {
        None => Headers::default(),
        Some(path) => {
            let text = fs::read_to_string(path).map(Zeroizing::new);
            let text = text.map_err(|error| Failure::Io("telemetry.otlp_headers_file cannot be read", error))?;
            text.parse().map_err(|error| wrong(&error))?
        }
    };
    Traces::to(settings, headers).map_err(|error| wrong(&error))
}
