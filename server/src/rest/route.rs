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

/// Whether a request waits for its turn although none would come in time: without a body it is told as soon by its turn, and
/// counts of requests must be had under load.
pub fn may_wait(method: &Method) -> bool {
    method == Method::GET
}

/// Whether the route of this path computes and waits for no disk, so that more of them at once than there are cores only
/// take turns on these.
pub fn is_search(path: &str) -> bool {
    const SEARCHES: [&str; 5] = ["search", "scroll", "count", "facet", "sample"];
    let parts = path.strip_prefix("/v1/collections/").map(|rest| rest.splitn(3, '/'));
    parts.is_some_and(|mut parts| parts.nth(1).is_some_and(|what| SEARCHES.contains(&what)))
}
