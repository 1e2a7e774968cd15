//! What is to be measured of erasures.
//!
//! Invariant: what is checked can be measured: there is something to erase, and every vector has a length that is taken.

use std::path::PathBuf;

use super::part::Part;
use crate::runner::RunError;

/// What to measure.
#[derive(Clone, Debug)]
pub struct EraseOptions {
    /// The parts to measure.
    pub parts: Vec<Part>,
    /// Records that are left after all erasures.
    pub records: usize,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Records of the entities whose erasure is followed stage by stage.
    pub held: Vec<usize>,
    /// How many entities, of one record each, are erased at once.
    pub together: Vec<usize>,
    /// Sizes of keyrings: entities, of one record each.
    pub epochs: Vec<usize>,
    /// Records of a flush.
    pub flush_records: usize,
    /// Entities that own them.
    pub flush_entities: usize,
    /// How often each is measured; medians count.
    pub rounds: usize,
    /// Milliseconds for which searches have the machine to themselves before each erasure.
    pub idle_ms: u64,
    /// Where each store gets a directory of its own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

impl EraseOptions {
    /// Refuses what nobody can erase, flush or ask for.
    pub fn check(&self) -> Result<(), RunError> {
        let Self { records, dimension, held, together, epochs, flush_records, flush_entities, rounds, .. } = self;
        let counts = held.iter().chain(together).chain(epochs);
        let counts = counts.chain([records, dimension, flush_records, flush_entities, rounds]);
        if counts.min() == Some(&0) || flush_entities > flush_records || *dimension > index::MAX_DIMENSION {
            return Err(RunError::Erasures { most: index::MAX_DIMENSION });
        }
        Ok(())
    }
}
