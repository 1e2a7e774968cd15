//! `lethedb bench load`: the server under more load than it can bear, a tenant beside a flood, and what the wire costs.
//!
//! Leaves first: the [`scene`] that is asked about, the server of this process ([`hosted`]) and who [`call`]s it over gRPC;
//! the three parts [`overload`], [`neighbour`] and [`wire`]; and the [`command`]. Here and not in the crate of the
//! measurements, which may not use the server; what is generic of it is there.

mod call;
mod command;
mod hosted;
mod neighbour;
mod overload;
mod scene;
mod wire;

pub use command::{Args, run};
