//! AIM: the vectors of examples, read in a view → the vector to search near in that view.
//!
//! That is the mean `p` of the positive examples or, if there are negative ones of mean `n`, `p + (p - n)`, which is what
//! Qdrant calls `average_vector`. Under the cosine metric lengths mean nothing, and every example counts with length one.
//!
//! Invariant: examples are read in the view that is searched. So no answer goes by a record that it could not hold, least
//! of all by one that was erased before the answer was given. What was read is wiped.

use std::ops::Deref;

use index::Metric;
use privacy::access::Asked;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::example::{Example, Near};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::query::SearchQuery;
use crate::read::vector_of;
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState};

/// A search with the vector that it goes by.
pub(crate) struct Aimed<'a> {
    pub query: &'a SearchQuery<'a>,
    pub vector: &'a [f32],
    /// Which records may be hits: what the caller asked for of what the permit shows.
    pub filter: Option<&'a Filter>,
}

/// The vector that a search goes by.
pub(crate) enum Aim<'a> {
    Given(&'a [f32]),
    Made(Zeroizing<Vec<f32>>),
}

impl Deref for Aim<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Given(vector) => vector,
            Self::Made(vector) => vector,
        }
    }
}

/// Checks what can be checked without a view.
///
/// # Errors
/// `Invalid` for an unusable vector, or too few or too many examples.
pub(crate) fn check(env: &EnvironmentState, state: &CollectionState, near: &Near<'_>) -> Result<()> {
    match near {
        Near::Vector(vector) => usable(state, vector),
        Near::Examples { like, unlike } => {
            let max = env.shared.settings.limit_max;
            if like.is_empty() {
                return Err(Error::invalid("at least one example is needed to search near to"));
            }
            if like.len().saturating_add(unlike.len()) > max {
                return Err(Error::invalid(format!("a search may have at most {max} examples")));
            }
            Ok(())
        }
    }
}

/// The vector to search near in a view.
///
/// # Errors
/// `NotFound` for a record that is not there, `Invalid` for an unusable vector, each by its place.
pub(crate) fn aim<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    (permit, near): (&Permit, &Near<'a>),
    view: &View,
    hidden: &[SegmentView],
) -> Result<Aim<'a>> {
    let (like, unlike) = match near {
        Near::Vector(vector) => return Ok(Aim::Given(vector)),
        Near::Examples { like, unlike } => (like, unlike),
    };
    let shown = env.narrowed(permit, state, Asked::Similar, None)?;
    let shown = shown.as_deref();
    let read = |examples: &[Example], name: &str| -> Result<Vec<Zeroizing<Vec<f32>>>> {
        let vector = |(at, example)| read(env, state, (shown, view, hidden), example, &format!("{name}[{at}]"));
        examples.iter().enumerate().map(vector).collect()
    };
    let (mut like, unlike) = (read(like, "examples")?, read(unlike, "unlike")?);
    let made = match (like.as_mut_slice(), unlike.as_slice()) {
        ([only], []) => std::mem::take(only),
        (like, []) => mean(state, like).iter().map(|x| *x as f32).collect::<Vec<_>>().into(),
        (like, unlike) => {
            let (near, far) = (mean(state, like), mean(state, unlike));
            near.iter().zip(far.iter()).map(|(near, far)| (2.0 * near - far) as f32).collect::<Vec<_>>().into()
        }
    };
    usable(state, &made)?;
    Ok(Aim::Made(made))
}

fn read(
    env: &EnvironmentState,
    state: &CollectionState,
    (shown, view, hidden): (Option<&Filter>, &View, &[SegmentView]),
    example: &Example,
    name: &str,
) -> Result<Zeroizing<Vec<f32>>> {
    let vector = match example {
        Example::Vector(vector) => Zeroizing::new(vector.clone()),
        // How near others are to a record tells of it: one that the permit does not show is not there.
        Example::Id(id) => vector_of(env, view, hidden, id, shown)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{name} is no record here")))?,
    };
    let unusable = |e| Error::with(ErrorKind::Invalid, format!("{name}: the vector is not usable"), e);
    state.metric.check(&vector, state.space.dimension()).map_err(unusable)?;
    Ok(vector)
}

fn usable(state: &CollectionState, vector: &[f32]) -> Result<()> {
    let unusable = |e| Error::with(ErrorKind::Invalid, "the query vector is not usable", e);
    state.metric.check(vector, state.space.dimension()).map_err(unusable)
}

fn mean(state: &CollectionState, vectors: &[Zeroizing<Vec<f32>>]) -> Zeroizing<Vec<f64>> {
    let mut sum = Zeroizing::new(vec![0.0; state.space.dimension()]);
    for vector in vectors {
        let length = match state.metric {
            Metric::Cosine => vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt(),
            _ => 1.0,
        };
        sum.iter_mut().zip(vector.iter()).for_each(|(sum, x)| *sum += f64::from(*x) / length);
    }
    sum.iter_mut().for_each(|x| *x /= vectors.len().max(1) as f64);
    sum
}

#[cfg(test)]
mod tests;
