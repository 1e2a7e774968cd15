//! What the `.proto` files say: messages, calls, and the route of REST that a call counts as.
//!
//! Invariant: made by the build from those files alone, so nothing here lists calls or fields a second time.

use std::collections::HashSet;

use axum::http::Method;
use prost_reflect::{DescriptorError, DescriptorPool, MessageDescriptor, MethodDescriptor};

/// The files themselves, for reflection.
pub const FILES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lethedb.bin"));

/// Messages and calls of `records.proto`.
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/lethedb.v1.rs"));
}

/// A call.
pub struct Rpc {
    /// As it stands in the path of a request: `/lethedb.v1.Records/Search`.
    pub path: String,
    /// Of the route that it counts as.
    pub method: Method,
    /// The same, with names of fields in braces.
    pub route: String,
    pub input: MessageDescriptor,
    pub output: MessageDescriptor,
    /// Whether its service has types of Rust.
    pub is_typed: bool,
    /// Whether it takes or gives more than one message.
    pub streams: Streams,
}

/// Which sides send many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub client: bool,
    pub server: bool,
}

/// All of it.
pub struct Schema {
    pub rpcs: Vec<Rpc>,
    plain: HashSet<String>,
}

impl Schema {
    /// Reads what the build made.
    ///
    /// # Errors
    /// If that is broken, which no caller can cause.
    pub fn load() -> Result<Self, DescriptorError> {
        let pool = DescriptorPool::decode(FILES)?;
        let rpcs = pool.services().flat_map(|service| {
            let rpcs: Vec<_> = service.methods().filter_map(|method| rpc(&pool, &method)).collect();
            rpcs
        });
        let rpcs = rpcs.collect();
        let plain = pool.get_extension_by_name("lethedb.v1.plain");
        let is_plain =
            |message: &MessageDescriptor| plain.as_ref().is_some_and(|plain| message.options().has_extension(plain));
        let plain = pool.all_messages().filter(is_plain).map(|message| message.full_name().to_owned()).collect();
        Ok(Self { rpcs, plain })
    }

    /// The call at this path.
    pub fn rpc(&self, path: &str) -> Option<&Rpc> {
        self.rpcs.iter().find(|rpc| rpc.path == path)
    }

    /// Whether a message is, in JSON, what its one field is.
    pub fn is_plain(&self, message: &MessageDescriptor) -> bool {
        self.plain.contains(message.full_name())
    }
}

/// The call, if it says which route it counts as.
fn rpc(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<Rpc> {
    let options = method.options();
    let route = options.get_extension(&pool.get_extension_by_name("lethedb.v1.route")?);
    let (verb, route) = route.as_str()?.split_once(' ')?;
    Some(Rpc {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        method: Method::from_bytes(verb.to_ascii_uppercase().as_bytes()).ok()?,
        route: route.to_owned(),
        input: method.input(),
        output: method.output(),
        is_typed: method.parent_service().full_name() == "lethedb.v1.Records",
        streams: Streams { client: method.is_client_streaming(), server: method.is_server_streaming() },
    })
}
