//! Calls that have no types of Rust: each becomes the request of its route, and what the route answers becomes its message.
//!
//! Invariant: the request was let in before, by the layers of the [door](super::door), which leave in it whose it is; the
//! handlers of REST do the rest, and no rule of theirs is written here a second time.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use http_body_util::BodyExt;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value as Json};
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use zeroize::Zeroize;

use super::aside::aside;
use super::codec::Dynamic;
use super::deadline::Deadline;
use super::dynamic::Unfit;
use super::schema::{Rpc, Schema};
use super::status::status;
use super::streams::{answers, too_long};
use crate::rest::{Problem, Refusal, Told};

/// How many bytes the message of a call came in.
#[derive(Clone, Copy)]
pub struct Length(pub usize);

/// One call, and the handlers that answer it.
#[derive(Clone)]
pub struct Bridge {
    pub schema: Arc<Schema>,
    pub routes: Router,
    /// Which of the schema's calls.
    pub at: usize,
}

type Answering<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

impl Bridge {
    /// Answers a call.
    pub async fn answer(self, request: Request, bytes_max: usize) -> Response {
        let Some(rpc) = self.schema.rpcs.get(self.at) else { return Response::default() };
        let codec = Dynamic { input: rpc.input.clone() };
        let mut grpc = Grpc::new(codec).max_decoding_message_size(bytes_max);
        let answered = match rpc.streams.server {
            true => grpc.server_streaming(self, request).await,
            false => grpc.unary(self, request).await,
        };
        answered.map(Body::new)
    }

    /// What the route answers.
    async fn ask(
        mut self,
        request: tonic::Request<DynamicMessage>,
    ) -> Result<(Arc<Schema>, MessageDescriptor, Body), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let (schema, at) = (Arc::clone(&self.schema), self.at);
        let output = schema.rpcs.get(at).ok_or_else(unfit_answer)?.output.clone();
        let bytes = extensions.get::<Length>().map_or(0, |Length(bytes)| *bytes);
        let form = move || route_request(&schema, schema.rpcs.get(at).ok_or_else(unfit_answer)?, &message);
        let mut asked = aside(bytes, form).await?;
        *asked.headers_mut() = headers(metadata.into_headers());
        *asked.extensions_mut() = extensions;
        let answered = Service::call(&mut self.routes, asked).await.unwrap_or_else(|never| match never {});
        if let Some(told) = answered.extensions().get::<Told>() {
            return Err(status(told));
        }
        Ok((self.schema, output, answered.into_body()))
    }
}

impl UnaryService<DynamicMessage> for Bridge {
    type Response = DynamicMessage;
    type Future = Answering<DynamicMessage>;

    fn call(&mut self, request: tonic::Request<DynamicMessage>) -> Self::Future {
        let bridge = self.clone();
        Box::pin(async move {
            let (schema, output, body) = bridge.ask(request).await?;
            let bytes = to_bytes(body, usize::MAX).await.map_err(|_| Status::from(unfit_answer()))?;
            Ok(tonic::Response::new(message(schema, output, bytes).await?))
        })
    }
}

impl ServerStreamingService<DynamicMessage> for Bridge {
    type Response = DynamicMessage;
    type ResponseStream = ReceiverStream<Result<DynamicMessage, Status>>;
    type Future = Answering<Self::ResponseStream>;

    fn call(&mut self, request: tonic::Request<DynamicMessage>) -> Self::Future {
        let bridge = self.clone();
        let deadline = Deadline::of(request.extensions());
        Box::pin(async move {
            let (schema, output, mut body) = bridge.ask(request).await?;
            let (sender, receiver, ending) = answers();
            // The route sends a line a frame; it stops once nobody reads them.
            tokio::spawn(async move {
                let lines = async {
                    while let Some(frame) = body.frame().await {
                        let line = frame.ok().and_then(|frame| frame.into_data().ok());
                        let line = line.ok_or_else(|| Problem::new(Refusal::Internal, "the answer broke off"))?;
                        let sent = sender.send(Ok(message(Arc::clone(&schema), output.clone(), line).await?)).await;
                        sent.map_err(|_| Problem::new(Refusal::BrokenBody, "the client is gone"))?;
                    }
                    Ok(())
                };
                let ended = tokio::select! {
                    ended = lines => ended,
                    () = deadline.passes() => Err(too_long()),
                };
                match ended {
                    Ok(()) => ending.whole(),
                    Err(problem) => ending.broke_off(Err(problem.into())),
                }
            });
            Ok(tonic::Response::new(ReceiverStream::new(receiver)))
        })
    }
}

/// The request of the route: fields that its path names stand there, the others in the body, or in the query of a GET.
fn route_request(schema: &Schema, rpc: &Rpc, message: &DynamicMessage) -> Result<Request, Problem> {
    let missing = |field: &str| Problem::new(Refusal::InvalidBody, format!("`{field}` is missing")).about(field);
    let json = schema.json(message).map_err(|Unfit { field }| {
        Problem::new(Refusal::InvalidBody, format!("`{field}` has a number that is none")).about(field)
    })?;
    let Json::Object(mut members) = json else { return Err(unfit_answer()) };
    let mut path = String::new();
    for part in rpc.route.split('/').skip(1) {
        path.push('/');
        match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => path.push_str(part),
            Some(name) => path.push_str(&encoded(&members.remove(name).ok_or_else(|| missing(name))?)),
        }
    }
    let body = match rpc.method {
        Method::GET | Method::DELETE => {
            for (at, (name, value)) in members.iter().enumerate() {
                path.push(if at == 0 { '?' } else { '&' });
                path.push_str(&format!("{name}={}", encoded(value)));
            }
            Body::empty()
        }
        _ => Body::from(Json::Object(members).to_string()),
    };
    let request = Request::builder().method(rpc.method.clone()).uri(path).body(body);
    request.map_err(|_| Problem::new(Refusal::InvalidPath, "a name in the request cannot stand in a path"))
}

/// A text or number as it stands in a URL (RFC 3986 §2.3).
fn encoded(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    // A name of dots alone would be a step in the path.
    let is_step = text.bytes().all(|byte| byte == b'.');
    let encode = |byte: u8| if plain(byte) && !is_step { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// What the caller sent, without what described the message.
fn headers(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// The message that a route's JSON is; an empty one where it answers nothing.
async fn message(schema: Arc<Schema>, of: MessageDescriptor, json: Bytes) -> Result<DynamicMessage, Problem> {
    let bytes = json.len();
    let read = move || {
        let read = if json.is_empty() { Ok(Json::Object(Map::new())) } else { serde_json::from_slice(&json) };
        // It may hold a new key.
        if let Ok(mut bytes) = json.try_into_mut() {
            bytes[..].zeroize();
        }
        schema.message(&of, read.map_err(|_| unfit_answer())?).map_err(|Unfit { field }| {
            tracing::error!(message = of.full_name(), field, "an answer does not fit its message");
            unfit_answer()
        })
    };
    aside(bytes, read).await
}

fn unfit_answer() -> Problem {
    Problem::new(Refusal::Internal, "the answer does not fit its message")
}
