//! What a search goes by: a vector, or examples, records and vectors that hits are to be like or unlike.

use storage::id::RecordId;
use uuid::Uuid;

/// What hits are to be near to.
pub(crate) enum Near<'a> {
    /// A vector.
    Vector(&'a [f32]),
    /// Examples that they are to be like, and others that they are to be unlike.
    Examples { like: Vec<Example>, unlike: Vec<Example> },
}

/// A record, or a vector.
#[derive(Clone)]
pub enum Example {
    /// The vector of this record.
    Id(RecordId),
    /// This vector.
    Vector(Vec<f32>),
}

impl Example {
    /// The record that it is.
    pub(crate) fn id(&self) -> Option<RecordId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Vector(_) => None,
        }
    }
}

impl From<RecordId> for Example {
    fn from(id: RecordId) -> Self {
        Self::Id(id)
    }
}

impl From<u64> for Example {
    fn from(id: u64) -> Self {
        Self::Id(id.into())
    }
}

impl From<Uuid> for Example {
    fn from(id: Uuid) -> Self {
        Self::Id(id.into())
    }
}

impl From<Vec<f32>> for Example {
    fn from(vector: Vec<f32>) -> Self {
        Self::Vector(vector)
    }
}
