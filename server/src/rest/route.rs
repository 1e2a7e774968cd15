//! Which route a request counts as: that of its own path, or the one that it stands for if it came as a call of gRPC.
//!
//! Invariant: whoever decides by path or method asks here, so that both ways in are asked for the same key, cost the same
//! and are open at the same times.

use axum::extract::Request;
use axum::http::Method;

/// The route that a request stands for; its path as the router has it.
#[derive(Clone)]
pub struct CountsAs {
    pub method: Method,
    pub path: String,
}

/// The path of the route.
pub fn path_of(request: &Request) -> &str {
    request.extensions().get::<CountsAs>().map_or_else(|| request.uri().path(), |route| &route.path)
}

/// Its method.
pub fn method_of(request: &Request) -> &Method {
    request.extensions().get::<CountsAs>().map_or_else(|| request.method(), |route| &route.method)
}
