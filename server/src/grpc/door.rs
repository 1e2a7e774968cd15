//! What stands in front of the calls: the layers of REST, with a translator before them.
//!
//! Invariant: a call is told to the layers as the route that it counts as, before any of them sees it; whatever refuses or
//! fails on the way leaves as a status with details. No text that the library made about a message leaves at all.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http_body_util::Limited;
use prost_reflect::DescriptorError;
use tonic::Status;
use tonic_health::pb::health_server::HealthServer;

use super::aside::aside;
use super::bridge::{Bridge, Length};
use super::deadline::{self, Deadline};
use super::lasting::{Lasting, for_a_while};
use super::schema::proto::records_server::RecordsServer;
use super::schema::{FILES, Schema};
use super::sense::sense;
use super::status::{status, told};
use super::toll::Toll;
use super::unseal::Unsealing;
use super::weight::{Held, admit};
use super::{health, records};
use crate::rest::{
    App, Content, CountsAs, IDEMPOTENCY_KEY, OPEN, Problem, Refusal, Told, guarded, handlers, only_once, read, watched,
};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// The same by the name of before, which libraries and older tools still ask for.
const REFLECTION_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
const UNSEAL: &str = "/lethedb.v1.Admin/Unseal";
/// What somebody without a key may send in one call: a share, or names of what they want described.
const OPEN_BYTES_MAX: usize = 64 << 10;
/// What stands before a message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const MEDIA_TYPE: &str = "application/grpc";

/// Why there is no gRPC: what the build made of the `.proto` files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("the description of the calls is broken")]
    Schema(#[from] DescriptorError),
    #[error("the description of the calls cannot be reflected")]
    Reflection(#[from] tonic_reflection::server::Error),
}

#[derive(Clone)]
struct Door {
    app: App,
    schema: Arc<Schema>,
}

/// All calls, with everything that stands in front of them.
///
/// # Errors
/// [`DoorError`].
pub fn door(app: App) -> Result<Router, DoorError> {
    let schema = Arc::new(Schema::load()?);
    let door = Door { app: app.clone(), schema: Arc::clone(&schema) };
    let calls = calls(&app, &schema)?.layer(map_response(async |answered| in_grpc(answered)));
    let calls = calls.layer(from_fn_with_state(app.clone(), only_once));
    let calls = calls.layer(from_fn_with_state(door.clone(), whole));
    let calls = guarded(calls, &app).layer(from_fn_with_state(door, translated));
    Ok(watched(calls, &app).with_state(app))
}

fn calls(app: &App, schema: &Arc<Schema>) -> Result<Router<App>, DoorError> {
    let bytes_max = app.config().server.body_bytes_max;
    let typed = RecordsServer::new(records::Service { app: app.clone() }).max_decoding_message_size(bytes_max);
    let health = HealthServer::new(health::Service::new(app.clone(), schema));
    let mut lasting = Router::new().route_service(WATCH, health.clone());
    if reflects(app) {
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILES)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        lasting = lasting.route_service(REFLECTION, described().build_v1()?);
        lasting = lasting.route_service(REFLECTION_ALPHA, described().build_v1alpha()?);
    }
    let lasting = lasting.layer(from_fn_with_state(Lasting::new(app.clone()), for_a_while));
    let unsealing = Unsealing(app.clone());
    let unseal = any(move |request| unsealing.clone().answer(request));
    let mut calls = Router::new().route_service(CHECK, health).route(UNSEAL, unseal).merge(lasting);
    let routes = handlers(app.clone());
    for (at, rpc) in schema.rpcs.iter().enumerate().filter(|(_, rpc)| rpc.path != UNSEAL) {
        if rpc.is_typed {
            calls = calls.route_service(&rpc.path, typed.clone());
            continue;
        }
        let bridge = Bridge { schema: Arc::clone(schema), routes: routes.clone(), at };
        calls = calls.route(&rpc.path, any(move |request| bridge.clone().answer(request, bytes_max)));
    }
    Ok(calls.fallback(|| async { Problem::new(Refusal::UnknownRoute, "reflection lists the calls that there are") }))
}

/// Whether the server describes its calls to whoever asks: on loopback, unless the settings say otherwise.
fn reflects(app: &App) -> bool {
    let server = &app.config().server;
    server.grpc_reflection.unwrap_or(server.grpc_listen.ip().is_loopback())
}

impl Door {
    /// The route that a call counts as. What describes the server counts as its description over REST.
    fn counts_as(&self, path: &str) -> Option<CountsAs> {
        let open = |path: &str| CountsAs { method: Method::GET, path: path.to_owned() };
        match path {
            REFLECTION | REFLECTION_ALPHA => Some(open("/openapi.json")),
            CHECK | WATCH => Some(open("/livez")),
            path => self.schema.rpc(path).map(|rpc| CountsAs { method: rpc.method.clone(), path: rpc.route.clone() }),
        }
    }

    /// What the message of a call says, by which it is known when it is sent again.
    async fn said(&self, path: &str, bytes: Bytes) -> Result<Arc<[u8]>, Problem> {
        let name = self.schema.rpc(path).map(|rpc| rpc.input.full_name().to_owned());
        let length = bytes.len();
        let said = move || match (name, bytes.split_at_checked(FRAME_BYTES)) {
            (Some(name), Some((_, message))) => {
                admit(&name, message, Held::Typed)?;
                sense(&name, message)
            }
            // It will be refused, or it is nothing that is done once.
            _ => Ok(bytes.to_vec()),
        };
        aside(length, said).await.map(Arc::from)
    }

    /// Whether the call takes one message, which then is the whole body.
    fn takes_one(&self, path: &str) -> bool {
        !matches!(path, REFLECTION | REFLECTION_ALPHA) && self.schema.rpc(path).is_none_or(|rpc| !rpc.streams.client)
    }
}

/// Tells the layers which route a call counts as, and its client what became of it.
async fn translated(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    if let Some(route) = door.counts_as(request.uri().path()) {
        request.extensions_mut().insert(route);
    }
    // Few clients tell a length: what a message costs is counted once it is read.
    request.headers_mut().remove(CONTENT_LENGTH);
    let answered = match deadline::told(request.headers()) {
        _ if request.method() != Method::POST => {
            Problem::new(Refusal::WrongMethod, "calls of gRPC are sent with POST").into_response()
        }
        Err(problem) => problem.into_response(),
        Ok(None) => next.run(request).await,
        Ok(Some(time)) if time.is_zero() => late().into_response(),
        Ok(Some(time)) => {
            let end = Deadline::after(time);
            request.extensions_mut().insert(end);
            tokio::select! {
                biased;
                answered = next.run(request) => answered,
                () = end.passes() => late().into_response(),
            }
        }
    };
    in_grpc(answered)
}

fn late() -> Problem {
    Problem::new(Refusal::SlowRequest, "the call's deadline is over; it may still be done")
}

/// A problem of HTTP as a status of gRPC, and a status that the library made as one of ours.
fn in_grpc(answered: Response) -> Response {
    if let Some(told) = answered.extensions().get::<Told>() {
        return refused(&status(told), told);
    }
    let Some(said) = answered.extensions().get::<Status>() else { return answered };
    let told = told(said);
    refused(&status(&told), &told)
}

fn refused(status: &Status, told: &Told) -> Response {
    let mut response: Response = status.clone().into_http::<Body>();
    if told.0.code == "unsupported_media_type" {
        // A client may then send the same without compression (gRPC compression, Test cases).
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    response.extensions_mut().insert(told.clone());
    response
}

/// Reads the one message of a call whole, within the limits of REST for bodies, and has it paid for.
async fn whole(State(door): State<Door>, request: Request, next: Next) -> Response {
    if !is_grpc(request.headers()) {
        let detail = "send Content-Type: application/grpc, over HTTP/2";
        return Problem::new(Refusal::MediaType, detail).into_response();
    }
    let (mut parts, mut body) = request.into_parts();
    let is_open = parts.extensions.get::<CountsAs>().is_some_and(|route| OPEN.contains(&&*route.path));
    if is_open {
        body = Body::new(Limited::new(body, OPEN_BYTES_MAX));
    }
    if !door.takes_one(parts.uri.path()) {
        if parts.headers.contains_key(IDEMPOTENCY_KEY) {
            let detail = "a stream takes no Idempotency-Key: send its batches one by one";
            return Problem::new(Refusal::InvalidHeader, detail).into_response();
        }
        let toll = Toll::new(door.app);
        let body = if is_open { body } else { toll.on(body) };
        parts.extensions.insert(toll);
        return next.run(Request::from_parts(parts, body)).await;
    }
    let bytes = match read(Request::new(body), &door.app).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem.into_response(),
    };
    if bytes.first_chunk().is_some_and(|[_, length @ ..]: &[u8; FRAME_BYTES]| {
        bytes.len() - FRAME_BYTES > u32::from_be_bytes(*length) as usize
    }) {
        return Problem::new(Refusal::BrokenBody, "this call takes one message").into_response();
    }
    parts.extensions.insert(Length(bytes.len()));
    // What is open to all is not done once, and may be a secret, of which no copy is to be made.
    if !is_open && parts.headers.contains_key(IDEMPOTENCY_KEY) {
        match door.said(parts.uri.path(), bytes.clone()).await {
            Ok(said) => _ = parts.extensions.insert(Content(said)),
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind == MEDIA_TYPE || kind.strip_prefix(MEDIA_TYPE).is_some_and(|more| more == "+proto" || more.starts_with(';'))
}
