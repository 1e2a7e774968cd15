//! Examples to search by: records and vectors that hits are to be like, or unlike.
//!
//! The query vector is the mean `p` of the positive examples or, if there are negative ones of mean `n`, `p + (p - n)`,
//! which is what Qdrant calls `average_vector`. Under the cosine metric lengths mean nothing, and every example counts
//! with length one.

use index::Metric;
use storage::id::RecordId;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::permit::{Action, Permit};
use crate::read::{find, on_stable_view};
use crate::state::{CollectionState, EnvironmentState};

/// What a search goes by: a record, or a vector.
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

/// The vector to search near.
///
/// # Errors
/// `NotFound` for a record that is not there, `Invalid` for an unusable vector, each by its place.
pub(crate) fn aim(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    like: &[Example],
    unlike: &[Example],
) -> Result<Vec<f32>> {
    permit.check(Action::Read)?;
    let max = env.shared.settings.limit_max;
    if like.is_empty() {
        return Err(Error::invalid("at least one example is needed to search near to"));
    }
    if like.len().saturating_add(unlike.len()) > max {
        return Err(Error::invalid(format!("a search may have at most {max} examples")));
    }
    let like = vectors(env, state, like, "examples")?;
    let unlike = vectors(env, state, unlike, "unlike")?;
    if let ([only], []) = (like.as_slice(), unlike.as_slice()) {
        return Ok(only.clone());
    }
    let near = mean(state, &like);
    if unlike.is_empty() {
        return Ok(near.into_iter().map(|x| x as f32).collect());
    }
    Ok(near.iter().zip(mean(state, &unlike)).map(|(near, far)| (2.0 * near - far) as f32).collect())
}

fn vectors(env: &EnvironmentState, state: &CollectionState, examples: &[Example], name: &str) -> Result<Vec<Vec<f32>>> {
    on_stable_view(env, state, |view, hidden| {
        let vector = |(at, example): (usize, &Example)| {
            let vector = match example {
                Example::Vector(vector) => vector.clone(),
                Example::Id(id) => {
                    let found = find(env, view, hidden, id)?;
                    let missing = || Error::new(ErrorKind::NotFound, format!("{name}[{at}] is no record here"));
                    found.ok_or_else(missing)?.vector
                }
            };
            let unusable = |e| Error::with(ErrorKind::Invalid, format!("{name}[{at}]: the vector is not usable"), e);
            state.metric.check(&vector, state.space.dimension()).map_err(unusable)?;
            Ok(vector)
        };
        examples.iter().enumerate().map(vector).collect()
    })
}

fn mean(state: &CollectionState, vectors: &[Vec<f32>]) -> Vec<f64> {
    let mut sum = vec![0.0; state.space.dimension()];
    for vector in vectors {
        let length = match state.metric {
            Metric::Cosine => vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt(),
            _ => 1.0,
        };
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x) / length);
    }
    sum.iter_mut().for_each(|x| *x /= vectors.len().max(1) as f64);
    sum
}
