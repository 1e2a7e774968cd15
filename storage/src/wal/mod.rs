//! The write-ahead log: what one write is ([`Entry`]), how writes become durable together ([`WalWriter`]) and how they
//! are read back ([`replay`]).

mod entry;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::Entry;
pub use replay::{Loss, Replay, ReplayError, Salvaged, replay, salvage};
pub use writer::{WalError, WalWriter, wal_name, wal_number};
