//! Calls as a client meets them, over a real engine and without a network: frames in, frames and a status out.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::ServiceExt;

use super::door::door;
use super::schema::{Rpc, Schema};
use crate::config::Config;
use crate::rest::tests::Server;

mod bad_input;
mod deadlines;
mod depths;
mod isolation;
mod paid;
mod repeats;
mod same;
mod sealed;

/// What a call came to: its messages as JSON, and its status.
pub struct Answer {
    pub messages: Vec<Value>,
    pub status: Status,
    pub headers: HeaderMap,
}

impl Answer {
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The code of the problem.
    pub fn reason(&self) -> String {
        self.status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    }

    /// All that was told, to look for what should not be.
    pub fn text(&self) -> String {
        let details = self.status.get_error_details();
        format!("{:?} {} {details:?} {:?} {:?}", self.code(), self.status.message(), self.messages, self.headers)
    }
}

/// The calls of a server.
pub struct Calls {
    pub schema: Schema,
    routes: Router,
}

/// A message as it stands on the wire.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

impl Calls {
    pub fn of(server: &Server) -> Self {
        Self { schema: Schema::load().unwrap(), routes: door(server.app.clone()).unwrap() }
    }

    pub fn rpc(&self, name: &str) -> &Rpc {
        self.schema.rpcs.iter().find(|rpc| rpc.path.ends_with(&format!("/{name}"))).unwrap()
    }

    /// The message of a call that `body` stands for, with what else its path names.
    pub fn message(&self, rpc: &Rpc, body: &Value) -> DynamicMessage {
        self.schema.message(&rpc.input, body.clone()).unwrap_or_else(|unfit| panic!("{}: {unfit:?}", rpc.path))
    }

    /// Makes a call with these headers.
    pub async fn call(&self, rpc: &Rpc, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let message = self.message(rpc, body);
        self.send(&rpc.path, frame(&message.encode_to_vec()), headers).await
    }

    /// Sends bytes, whatever they are.
    pub async fn send(&self, path: &str, bytes: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method("POST").uri(format!("http://localhost{path}"));
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.routes.clone().oneshot(request.body(bytes.into()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "gRPC says everything in its own status");
        let headers = response.headers().clone();
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&headers)).unwrap();
        let output = self.schema.rpc(path).map(|rpc| rpc.output.clone());
        let bytes = collected.to_bytes();
        let (mut rest, mut messages) = (&bytes[..], Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let message = DynamicMessage::decode(output.clone().unwrap(), &after[..length]).unwrap();
            messages.push(self.schema.json(&message).unwrap());
            rest = &after[length..];
        }
        Answer { messages, status, headers }
    }
}

/// Members of a schema of OpenAPI, by name, with those of all that it combines.
fn members<'a>(api: &'a Value, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return members(api, &api["components"]["schemas"][name]);
    }
    let combined = ["oneOf", "anyOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, of)| (name.as_str(), of));
    own.chain(combined.flat_map(|part| members(api, part))).collect()
}

/// Holds a message against a schema of OpenAPI, and what is in it against what is in that.
fn compare(
    calls: &Calls,
    api: &Value,
    of: &prost_reflect::MessageDescriptor,
    schema: &Value,
    more: &[&str],
    found: &mut Vec<String>,
) {
    let described: BTreeSet<_> = members(api, schema).into_iter().map(|(name, _)| name).collect();
    let fields: BTreeSet<String> = of.fields().map(|field| field.name().to_owned()).collect();
    for name in described.iter().filter(|name| !fields.contains(**name)) {
        found.push(format!("{} lacks `{name}`", of.name()));
    }
    for name in fields.iter().filter(|name| !described.contains(name.as_str()) && !more.contains(&name.as_str())) {
        found.push(format!("{} has `{name}`, which REST has not", of.name()));
    }
    for (name, inner) in members(api, schema) {
        let Some(prost_reflect::Kind::Message(of)) = of.get_field_by_name(name).map(|field| field.kind()) else {
            continue;
        };
        let inner = if inner["items"].is_object() { &inner["items"] } else { inner };
        if !calls.schema.is_plain(&of) && !of.is_map_entry() {
            compare(calls, api, &of, inner, &[], found);
        }
    }
}

#[tokio::test]
async fn every_route_is_a_call_and_its_members_are_fields() {
    let server = Server::new(Config::default());
    let calls = Calls::of(&server);
    let named = |rpc: &Rpc| format!("{} {}", rpc.method.as_str().to_lowercase(), rpc.route);
    let have: BTreeSet<_> = calls.schema.rpcs.iter().map(named).collect();
    // What describes or watches the server has calls of its own; a person's id stands in no path, so in no second call.
    let without = [
        "get /livez",
        "get /readyz",
        "get /metrics",
        "get /openapi.json",
        "get /docs",
        "delete /v1/admin/entity/{id}",
        "delete /v1/admin/entity/erase",
        "delete /v1/admin/entity/export",
        "get /v1/admin/entity/{id}/export",
    ];
    let routes = crate::rest::tests::routes();
    let expected: BTreeSet<_> = routes.iter().filter(|route| !without.contains(&route.as_str())).cloned().collect();
    assert_eq!(have, expected, "every route of REST is a call of gRPC");
    assert!(without.iter().all(|route| routes.contains(*route)), "a route that is gone needs no exception");

    let (_, api) = server.ask(axum::http::Method::GET, "/openapi.json", Value::Null).await;
    let mut found = Vec::new();
    for rpc in &calls.schema.rpcs {
        let operation = &api["paths"][&rpc.route][rpc.method.as_str().to_lowercase()];
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut named: Vec<&str> = parameters
            .filter(|parameter| parameter["in"] != "header")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let input = match rpc.input.get_field_by_name("search").map(|field| field.kind()) {
            // A search stands in a field, so that it is the same message in a batch.
            Some(prost_reflect::Kind::Message(query)) if rpc.path.ends_with("/Search") => query,
            _ => rpc.input.clone(),
        };
        named.retain(|name| rpc.input.get_field_by_name(name).is_none() || input.get_field_by_name(name).is_some());
        for name in &named {
            if rpc.input.get_field_by_name(name).is_none() {
                found.push(format!("{} lacks `{name}`", rpc.input.name()));
            }
        }
        if input.full_name() != "google.protobuf.Empty" || !body.is_null() {
            compare(&calls, &api, &input, body, &named, &mut found);
        }
        let answers = operation["responses"].as_object().unwrap();
        let done = answers.iter().find(|(status, _)| status.starts_with('2')).map(|(_, answer)| answer).unwrap();
        // Lines are described as text; a plan's answer stands beside that of what it plans.
        let answer = &done["content"]["application/json"]["schema"];
        if !answer.is_null() {
            compare(&calls, &api, &rpc.output, answer, &["rmse", "count_share"], &mut found);
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn health_is_told_without_a_key_and_follows_the_server() {
    let mut config = Config::default();
    config.server.auth = true;
    let server = Server::new(config);
    let calls = Calls::of(&server);
    let check = async |service: &str| {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        calls.health(frame(&request.encode_to_vec())).await
    };
    assert_eq!((check("").await, check("lethedb.v1.Records").await), ((Code::Ok, 1), (Code::Ok, 1)));
    assert_eq!(check("lethedb.v1.Nothing").await.0, Code::NotFound);
    server.app.drain();
    assert_eq!(check("").await, (Code::Ok, 2), "not serving");
    let list = calls.call(calls.rpc("ListCollections"), &json!({}), &[]).await;
    assert_eq!((list.code(), list.reason().as_str()), (Code::Unauthenticated, "unauthenticated"));
}

#[tokio::test]
async fn the_audit_log_names_the_way_in_and_calls_are_sent_with_post() {
    let server = Server::new(Config::default());
    let calls = Calls::of(&server);
    assert_eq!(calls.call(calls.rpc("Erase"), &json!({"entity": "nobody"}), &[]).await.code(), Code::Ok);
    let read = calls.call(calls.rpc("ReadAudit"), &json!({}), &[]).await;
    let sources: BTreeSet<_> = read.messages[0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["source"])
        .map(Value::to_string)
        .collect();
    assert!(sources.contains("\"grpc\"") && !sources.contains("\"rest\""), "{sources:?}");

    let get = Request::builder().method("GET").uri(format!("http://localhost{}", calls.rpc("Count").path));
    let answered = calls.routes.clone().oneshot(get.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(Status::from_header_map(answered.headers()).unwrap().code(), Code::Unimplemented);
}

impl Calls {
    /// The code and the status of a health check.
    async fn health(&self, bytes: Vec<u8>) -> (Code, i32) {
        let request = Request::builder().method("POST").uri("http://localhost/grpc.health.v1.Health/Check");
        let request = request.header("content-type", "application/grpc").body(Body::from(bytes)).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&headers)).unwrap();
        let bytes = collected.to_bytes();
        let said = bytes.get(5..).map(|bytes| tonic_health::pb::HealthCheckResponse::decode(bytes).unwrap().status);
        (status.code(), said.unwrap_or_default())
    }
}
