//! REST: HTTP in, calls of the engine's façade, JSON out.
//!
//! Leaves first: the problem that every [`error`] becomes, each [`rejection`] of a URL, too; the [`seal`] before the database;
//! the [`turns`] in the engine, their [`queue`] and its [`pace`], the [`readers`] of sockets, the [`shares`] of what comes, the [`quota`] of each [`subscriber`] and of who else asks,
//! the [`purses`] that one pays out of,
//! what it all costs ([`cost`]), the memory that bodies take ([`pantry`]), the [`leeway`] of who is slow, whose [`visit`] it is
//! and who are [`regulars`], what was answered [`once`], and the
//! [`metrics`]; the [`state`] that requests share; the [`route`] that one counts as; who asks ([`auth`]), for whom
//! ([`end_user`]), and what a request is made of ([`tenant`], [`body`]); the handlers [`health`], [`docs`], [`collections`],
//! [`rules`], [`indexes`], [`aliases`], [`records`], [`search`], [`searches`], [`tallies`], [`admin`], [`access`],
//! [`policy`], [`backups`], [`consent`], [`hold`], [`keys`], [`retention`], [`private`], [`portable`] (which sends
//! [`lines`]); what is let in ([`admission`], and [`again`] under one head), what is sent again ([`repeats`]) and what is known of it from outside
//! ([`observe`]); the [`router`] that lists them with their description in OpenAPI; and the [`connections`] that feed it,
//! each in one of the [`places`], [`brisk`], and past the [`gate`], and gRPC over [`http2`], through [`tls`] where there is a certificate.
//! Nothing here touches the data but through the engine, whose façade must suffice.

mod access;
mod admin;
mod admission;
mod again;
mod aliases;
mod audit;
mod auth;
mod backups;
mod body;
mod brisk;
mod collections;
mod connections;
mod consent;
mod cost;
mod docs;
mod end_user;
mod ending;
mod error;
mod filter;
#[cfg(test)]
mod fuzz;
mod gate;
mod health;
mod hold;
mod http2;
mod indexes;
mod keys;
mod leeway;
mod lines;
mod metrics;
mod observe;
mod once;
mod pace;
mod pantry;
mod places;
mod policy;
mod portable;
mod private;
mod purses;
mod queue;
mod quota;
mod readers;
mod records;
mod regulars;
mod rejection;
mod repeats;
mod retention;
mod route;
mod router;
mod rules;
mod seal;
mod search;
mod searches;
mod shares;
mod state;
mod subscriber;
mod tallies;
mod tenant;
mod tls;
mod turns;
mod visit;

pub use again::Again;
pub use auth::{Caller, OPEN, Peer};
pub use body::read;
pub use connections::{ServeError, check_address, check_keys, serve};
pub use cost::bytes as units_of;
pub use ending::{Ending, parts};
pub use error::{Problem, Refusal, Told};
pub use keys::give as give_share;
pub use pantry::{NoRoom, Share};
pub use places::{Place, Places};
pub use readers::runtime;
pub use records::{DeleteBody, UpdateBody, UpsertAnswer, UpsertBody};
pub use repeats::{Content, HEADER as IDEMPOTENCY_KEY, only_once};
pub use route::{CountsAs, is_search};
pub use router::{guarded, handlers, watched};
pub use seal::UnsealAnswer;
pub use search::{CountBody, OrderBody, ScrollBody, SearchAnswer, SearchBody};
pub use state::App;
pub use tenant::Tenant;
pub use tls::{Certificates, Pem, TlsError, keep_fresh};
pub use turns::Kind;
pub use visit::Visit;

#[cfg(test)]
pub use router::tests;
