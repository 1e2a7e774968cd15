//! The only room that touches files: the contract of a place for files, the real disk, one in
//! memory for tests and throw-away databases, a simulated one that fails and crashes, and the handle
//! by which other rooms use them.

pub mod contract;
mod dir;
pub mod disk;
pub mod faulty;
mod latch;
mod map;
pub mod memory;
mod names;
mod slab;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod watched;

pub use contract::{LockError, LogFile, StorageBackend, check_dir, check_path};
pub use dir::{Dir, NewFile};
pub use disk::Disk;
pub use faulty::Faulty;
pub use latch::{Latch, Latched, Poisoned};
pub use map::{Access, Region};
pub use memory::Memory;
pub use slab::{Protection, Slab};
