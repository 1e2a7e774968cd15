//! Spans on their way: how many wait, how many were sent, and what became of the others.
//!
//! Invariant: no more than the settings allow wait, those that are being sent included; one too many is counted and gone, and
//! whoever made it waits for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    waiting: AtomicUsize,
    pub sent: AtomicU64,
    pub dropped: AtomicU64,
    pub failed: AtomicU64,
}

/// Hands on no more spans than may wait.
#[derive(Debug)]
pub struct Bounded {
    pub batches: BatchSpanProcessor,
    pub counts: Arc<Counts>,
    pub most: usize,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.waiting.fetch_add(1, Ordering::AcqRel) >= self.most {
            self.counts.waiting.fetch_sub(1, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, patience: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(patience)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Notes of each batch whether it was taken.
#[derive(Debug)]
pub struct Noted<E> {
    pub exporter: E,
    pub counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Noted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        let counter = if sent.is_ok() { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        self.counts.waiting.fetch_sub(count, Ordering::AcqRel);
        sent
    }

    fn shutdown_with_timeout(&self, patience: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(patience)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
