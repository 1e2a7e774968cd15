//! Unsealing: the one call whose message is a secret.
//!
//! Invariant: a share becomes no JSON, and no message that is known by its description alone; the text that it is read into is
//! wiped as that of REST is. What the libraries of HTTP and TLS hold of it meanwhile is theirs, on both ways in.

use std::pin::Pin;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tonic::Status;
use tonic::server::{Grpc, UnaryService};
use zeroize::Zeroizing;

use super::codec::Typed;
use super::schema::proto::{UnsealRequest, UnsealResponse};
use crate::rest::{App, UnsealAnswer, give_share};

/// The call.
#[derive(Clone)]
pub struct Unsealing(pub App);

impl Unsealing {
    /// Answers it.
    pub async fn answer(self, request: Request) -> Response {
        Grpc::new(Typed::<UnsealResponse, UnsealRequest>::default()).unary(self, request).await.map(Body::new)
    }
}

impl UnaryService<UnsealRequest> for Unsealing {
    type Response = UnsealResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<UnsealResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<UnsealRequest>) -> Self::Future {
        let Self(app) = self.clone();
        let UnsealRequest { share, reset } = request.into_inner();
        let share = share.map(Zeroizing::new);
        Box::pin(async move {
            let answer = give_share(&app, share, reset.unwrap_or_default()).await?;
            let UnsealAnswer { needed, given, sealed, given_before } = answer;
            let (needed, given) = (needed.map(u32::from), given as u64);
            Ok(tonic::Response::new(UnsealResponse { needed, given, sealed, given_before }))
        })
    }
}
