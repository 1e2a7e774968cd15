//! gRPC: what REST does, for callers that speak protobuf.
//!
//! There is one set of rules, that of REST: a call counts as the route that its description in `proto/lethedb/v1` names, so
//! the same layers ask for its key, charge its buckets, give it a turn and count it. Calls that move vectors have types of
//! Rust and go to the engine straight; every other one becomes the JSON of its route, and the route's own handler answers.
//!
//! Leaves first: the [`schema`] that the `.proto` files are; a problem as a [`status`]; the [`deadline`] of a call; the [`forms`] of typed messages and
//! of those that have [`dynamic`] ones; the
//! [`shape`] of messages, their [`weight`] before the [`codec`] reads them and the [`sense`] of one that is sent again, and long work on them
//! [`aside`]; the calls of [`records`], one by one and in [`streams`], which pay a [`toll`], to [`unseal`], of [`health`], and all
//! others over the [`bridge`]; the [`door`] they stand behind.

mod aside;
mod bridge;
mod codec;
mod deadline;
mod door;
mod dynamic;
mod forms;
mod health;
mod lasting;
mod records;
mod schema;
mod sense;
mod shape;
mod status;
mod streams;
mod toll;
mod unseal;
mod weight;

pub use door::{DoorError, door};
pub use schema::proto;

#[cfg(test)]
mod tests;
