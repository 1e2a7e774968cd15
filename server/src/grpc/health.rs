//! `grpc.health.v1`: whether the server wants calls, one answer or one at every change.
//!
//! Invariant: what it says is looked at when it is said, and again only when it may have changed: a server is unsealed once and
//! goes once, and whoever watches is woken by that. It is asked for no key, and knows no more than `/readyz`.

use std::future::pending;

use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::schema::Schema;
use crate::rest::{App, Problem, Refusal};

/// The service.
pub struct Service {
    pub app: App,
    /// The services that can be asked about, beside the server as a whole.
    names: Vec<String>,
}

impl Service {
    /// Of all services of `schema`.
    pub fn new(app: App, schema: &Schema) -> Self {
        let service = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
        let mut names: Vec<_> = schema.rpcs.iter().map(|rpc| service(&rpc.path)).collect();
        names.dedup();
        Self { app, names }
    }

    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.iter().any(|known| known == name)
    }
}

fn standing(app: &App) -> ServingStatus {
    if app.is_ready() && app.seal().database().is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn said(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Problem::new(Refusal::NotFound, "there is no such service").into());
        }
        Ok(Response::new(said(standing(&self.app))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let (app, is_known) = (self.app.clone(), self.knows(&request.get_ref().service));
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let now = if is_known { standing(&app) } else { ServingStatus::ServiceUnknown };
                if last != Some(now) && sender.send(Ok(said(now))).await.is_err() {
                    return;
                }
                last = Some(now);
                // The last word of a server that goes.
                if !app.is_ready() {
                    return;
                }
                let opened = async {
                    match app.seal().database() {
                        Ok(_) => pending().await,
                        Err(_) => app.seal().broken_open().await,
                    }
                };
                tokio::select! {
                    () = opened => {}
                    () = app.drained() => {}
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
