//! Traces: what a request spent its time on, sent to a collector of the operator's by OTLP (OpenTelemetry), if one is set.
//!
//! Leaves first: who [`counts`] the spans that wait; the [`collector`] over HTTP, one of the two connections that this program
//! opens outwards; which trace a request is part of ([`parent`]); what is noted of it while it runs ([`timeline`]); and the
//! [`traces`] that are made of that once it is answered.
//!
//! Invariant: a span says a method, a route as the router has it, a status, a code of ours, a request's id and a name that
//! the operator listed, because there is no way to put anything else into one: no layer of a log is bridged, and nothing of a
//! path, a query, a body or a header gets here but ids of traces. A collector that is slow or away costs requests nothing.

mod collector;
mod counts;
mod parent;
mod timeline;
mod traces;

pub use collector::Headers;
pub use parent::parent_in;
pub use timeline::{Stage, Stopwatch, Timeline};
pub use traces::{Answered, Spans, Traces};
