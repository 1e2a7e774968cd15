//! The audit log of an environment made durable: `audit/` holds its events in blocks, and a mark that says how far they
//! were signed for.
//!
//! ```text
//! block 0 ── block 1 ── … ── block n, open            1,024 events each; a closed block never changes again
//!    └─ root     └─ root                               kept in the mark, hence proofs and checks read one block
//! mark: the roots, the log where the open block begins, and the newest signed checkpoint ── also in every anchor store
//! ```
//!
//! [`Trail`] is all that other rooms see; [`EnvironmentState::tell`](crate::state::EnvironmentState::tell) is how an act is
//! told. The [`patrol`] hashes it anew while nobody asks; [`feed`] tells it a second time, to the [`sink`].

mod block;
mod feed;
mod heir;
mod home;
mod log;
mod mark;
mod patrol;
mod round;
mod sink;
mod tally;
mod verify;

pub(crate) use block::AUDIT;
pub use feed::SinkStanding;
pub(crate) use heir::inherit;
pub(crate) use home::Home;
pub(crate) use log::Trail;
pub use round::AuditWatch;
pub use sink::AuditSink;
pub(crate) use sink::SinkPlace;
pub(crate) use tally::{By, Kind, Tally, read};
