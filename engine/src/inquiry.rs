//! A private query as it will be answered: what is asked, of which records, in which groups, for how much.
//!
//! Invariant: it is made of what the caller said alone, and whatever is wrong with that is said before anything is paid or
//! read. Two of the same meaning have the same canonical bytes wherever that is cheap to see; where it is not, the second
//! is paid for as well, which costs budget and nobody's privacy.

use std::collections::BTreeMap;

use privacy::dp::ledger::Charge;
use privacy::dp::{
    Bins, BoundError, Clip, Delta, DeltaError, Epsilon, EpsilonError, Groups, Guarantee, Plan, PlanError, Question,
    Rho, Span,
};
use serde_json::{Value, json};
use storage::id::CollectionId;

use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Filter, Operand, Path, Scalar, WRONG_PATH};

/// Units of the ledger's ρ in 1.
const RHO_UNITS: f64 = (1_u64 << 41) as f64;
/// The L2 norm to which vectors are clipped unless the caller says otherwise: that of normalised embeddings.
const CLIP: f64 = 1.0;

/// What the caller asks for.
#[derive(Clone)]
pub(crate) enum Asked {
    Count,
    Centroid,
    Histogram { field: String, values: Vec<Operand> },
    Mean { field: String, low: f64, high: f64 },
    Total { field: String, low: f64, high: f64 },
}

/// How the caller divides what matches.
#[derive(Clone, Default)]
pub(crate) enum Grouped {
    #[default]
    Whole,
    /// By filters: whoever has records in several groups is in each, and each is paid for.
    Filters(Vec<Filter>),
    /// By the nearest of these points: an entity is in one group, by its mean.
    Nearest(Vec<Vec<f32>>),
}

/// Everything that the caller said.
#[derive(Clone)]
pub(crate) struct Wish {
    pub asked: Asked,
    pub filter: Option<Filter>,
    pub grouped: Grouped,
    pub epsilon: Option<f64>,
    pub delta: Option<f64>,
    pub clip_l2: Option<f64>,
    pub clip_l1: Option<f64>,
    pub is_projected: bool,
    pub least_group: u64,
}

/// What is read of each record.
pub(crate) enum Reading {
    Nothing,
    Vector,
    /// Into which bins its values fall.
    Values(Path, BTreeMap<Scalar, usize>),
    Numbers(Path),
}

/// A private query that can be paid for and answered.
pub(crate) struct Inquiry {
    pub plan: Plan,
    pub reading: Reading,
    pub filter: Option<Filter>,
    pub grouped: Grouped,
    pub guarantee: Guarantee,
    /// What it costs.
    pub charge: Charge,
    /// One text for all that ask the same.
    pub canonical: Vec<u8>,
}

impl Inquiry {
    /// Judges a wish about a collection of this dimension.
    ///
    /// # Errors
    /// `Invalid`, saying what cannot be asked so, and what can.
    pub fn new(wish: Wish, collection: CollectionId, dimension: usize) -> Result<Self> {
        let filters = wish.filter.iter().chain(match &wish.grouped {
            Grouped::Filters(filters) => &filters[..],
            _ => &[],
        });
        filters.into_iter().try_for_each(check_filter)?;
        let guarantee = guarantee(&wish)?;
        let (question, reading) = question(&wish, dimension)?;
        let groups = groups(&wish, dimension)?;
        let plan = Plan::new(question, guarantee, groups, wish.least_group).map_err(unusable)?;
        let canonical = canonical(&wish, collection, guarantee, &reading)?;
        let charge = match guarantee.delta {
            None => Charge::Pure(plan.cost().epsilon_units),
            Some(delta) => {
                // Scaling by a power of two is exact, so that only this rounds, and it rounds up.
                let one = (Rho::of(guarantee.epsilon, delta).as_f64() * RHO_UNITS).ceil() as u64;
                let times = if let Groups::Overlapping(groups) = groups { u64::from(groups) } else { 1 };
                Charge::Concentrated(one.max(1).saturating_mul(times))
            }
        };
        let Wish { filter, grouped, .. } = wish;
        Ok(Self { plan, reading, filter, grouped, guarantee, charge, canonical })
    }
}

/// Refuses filters that cannot be used, and those that ask about somebody.
fn check_filter(filter: &Filter) -> Result<()> {
    if let Some(what) = filter.fault() {
        return Err(Error::invalid(what));
    }
    if !filter.names_entities() {
        return Ok(());
    }
    Err(Error::invalid(
        "a private query takes no condition on entities: an answer about one person is about that person, whatever noise is \
         on it; leave the condition out, or ask for that person's records by search, count or export",
    ))
}

fn guarantee(wish: &Wish) -> Result<Guarantee> {
    let wanted =
        wish.epsilon.ok_or_else(|| Error::invalid("a private query says its epsilon: how much it may tell"))?;
    let epsilon = Epsilon::new(wanted)
        .map_err(|e: EpsilonError| Error::with(ErrorKind::Invalid, "the epsilon is not usable", e))?;
    let delta = wish.delta.map(Delta::new).transpose();
    let delta = delta.map_err(|e: DeltaError| Error::with(ErrorKind::Invalid, "the delta is not usable", e))?;
    Ok(Guarantee { epsilon, delta })
}

fn question(wish: &Wish, dimension: usize) -> Result<(Question, Reading)> {
    let bounded = |e: BoundError| Error::with(ErrorKind::Invalid, "what an entity adds cannot be bounded so", e);
    let path = |field: &str| {
        Path::parse(field).ok_or_else(|| Error::invalid(format!("the field is not usable: {WRONG_PATH}")))
    };
    Ok(match &wish.asked {
        Asked::Count => (Question::Count, Reading::Nothing),
        Asked::Centroid => {
            let clip = Clip::new(dimension, wish.clip_l2.unwrap_or(CLIP), wish.clip_l1).map_err(bounded)?;
            (Question::Centroid { clip, is_projected: wish.is_projected }, Reading::Vector)
        }
        Asked::Histogram { field, values } => {
            if values.is_empty() {
                return Err(Error::invalid(
                    "a histogram lists its values: those that are found in the data would themselves tell of it",
                ));
            }
            let bins = Bins::new(values.len()).map_err(bounded)?;
            let mut places = BTreeMap::new();
            for (at, value) in values.iter().enumerate() {
                let value = value.clone().into_scalar();
                let value = value.ok_or_else(|| Error::invalid("a value of the histogram is not usable"))?;
                if places.insert(value, at).is_some() {
                    return Err(Error::invalid("a value of the histogram is listed twice"));
                }
            }
            (Question::Histogram(bins), Reading::Values(path(field)?, places))
        }
        Asked::Mean { field, low, high } => {
            (Question::Number(Span::mean(*low, *high).map_err(bounded)?), Reading::Numbers(path(field)?))
        }
        Asked::Total { field, low, high } => {
            (Question::Number(Span::total(*low, *high).map_err(bounded)?), Reading::Numbers(path(field)?))
        }
    })
}

fn groups(wish: &Wish, dimension: usize) -> Result<Groups> {
    let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    match &wish.grouped {
        Grouped::Whole => Ok(Groups::One),
        Grouped::Filters(filters) => Ok(Groups::Overlapping(count(filters.len()))),
        Grouped::Nearest(_) if !matches!(wish.asked, Asked::Centroid) => {
            Err(Error::invalid("groups by the nearest of points are groups of centroids; ask for those"))
        }
        Grouped::Nearest(points) => {
            let is_usable = |point: &Vec<f32>| point.len() == dimension && point.iter().all(|x| x.is_finite());
            if points.iter().all(is_usable) {
                return Ok(Groups::Disjoint(count(points.len())));
            }
            Err(Error::invalid(format!(
                "a point to group by has {dimension} finite numbers, as the collection's vectors"
            )))
        }
    }
}

/// One text for all queries that ask the same.
fn canonical(wish: &Wish, collection: CollectionId, guarantee: Guarantee, reading: &Reading) -> Result<Vec<u8>> {
    let grouped = match &wish.grouped {
        Grouped::Whole => Value::Null,
        Grouped::Filters(filters) => filters.iter().map(text).collect::<Result<Value>>()?,
        Grouped::Nearest(points) => json!(points),
    };
    let (asked, low, high) = match &wish.asked {
        Asked::Count => ("count", None, None),
        Asked::Centroid => ("centroid", None, None),
        Asked::Histogram { .. } => ("histogram", None, None),
        Asked::Mean { low, high, .. } => ("mean", Some(low), Some(high)),
        Asked::Total { low, high, .. } => ("sum", Some(low), Some(high)),
    };
    let (path, bins) = match reading {
        Reading::Values(path, places) => {
            let bins: Vec<Value> = places.iter().map(|(value, at)| json!([value.to_json(), at])).collect();
            (Some(path.to_string()), bins)
        }
        Reading::Numbers(path) => (Some(path.to_string()), Vec::new()),
        Reading::Nothing | Reading::Vector => (None, Vec::new()),
    };
    let whole = json!({
        "format": 1,
        "collection": collection.0,
        "filter": wish.filter.as_ref().map(text).transpose()?,
        "asked": asked,
        "field": path,
        "bins": bins,
        "ends": [low, high],
        "clip": [wish.clip_l2, wish.clip_l1],
        "projected": wish.is_projected,
        "grouped": grouped,
        "epsilon": guarantee.epsilon.units(),
        "delta": guarantee.delta.map(Delta::units),
        "least_group": wish.least_group,
    });
    Ok(whole.to_string().into_bytes())
}

/// A filter in one order.
fn text(filter: &Filter) -> Result<Value> {
    let mut json = serde_json::to_value(filter).map_err(|_| Error::invalid("the filter is not usable"))?;
    sort(&mut json);
    Ok(json)
}

/// Puts what has no order into one.
fn sort(filter: &mut Value) {
    match filter {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                sort(member);
                if ["must", "should", "must_not", "conditions"].contains(&name.as_str())
                    && let Value::Array(filters) = member
                {
                    filters.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

fn unusable(error: PlanError) -> Error {
    Error::with(ErrorKind::Invalid, "the private query is not usable", error)
}
