//! Typed messages, to the bodies of REST and from what the engine answers.
//!
//! Invariant: what a body of REST says is said here by fields of the same names, and read by the same code where it has a
//! language of its own: filters, payloads and values become the JSON that they stand for, and no text of it.

use engine::{AsOf, Counted, Filter, Hit, Hits, Page, Record, RecordId};
use serde_json::{Number, Value as Json};

use super::schema::proto;
use crate::json::{AsOfAnswer, ExampleBody, ExplainAnswer, Object, Payload, RecordBody, read, rfc3339};
use crate::rest::{
    CountBody, DeleteBody, OrderBody, Problem, Refusal, ScrollBody, SearchBody, UpdateBody, UpsertAnswer, UpsertBody,
};

type Kind = proto::value::Kind;
type Formed<T> = Result<T, Problem>;

/// A field of a message that is missing or wrong.
fn wrong(field: &str, what: &str) -> Problem {
    Problem::new(Refusal::InvalidBody, format!("`{field}` {what}")).about(field)
}

fn json(field: &str, value: proto::Value) -> Formed<Json> {
    Ok(match value.kind {
        None => Json::Null,
        Some(Kind::Boolean(value)) => value.into(),
        Some(Kind::Integer(number)) => number.into(),
        Some(Kind::Natural(number)) => number.into(),
        Some(Kind::Number(number)) => {
            Json::Number(Number::from_f64(number).ok_or_else(|| wrong(field, "has a number that is none"))?)
        }
        Some(Kind::Text(text)) => text.into(),
        Some(Kind::List(list)) => {
            Json::Array(list.values.into_iter().map(|value| json(field, value)).collect::<Result<_, _>>()?)
        }
        Some(Kind::Object(object)) => {
            let member = |(name, value)| Ok((name, json(field, value)?));
            Json::Object(object.members.into_iter().map(member).collect::<Formed<_>>()?)
        }
    })
}

fn value(json: Json) -> proto::Value {
    let kind = match json {
        Json::Null => None,
        Json::Bool(value) => Some(Kind::Boolean(value)),
        Json::Number(number) => Some(match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Kind::Integer(integer),
            (None, Some(natural)) => Kind::Natural(natural),
            (None, None) => Kind::Number(number.as_f64().unwrap_or_default()),
        }),
        Json::String(text) => Some(Kind::Text(text)),
        Json::Array(items) => Some(Kind::List(proto::Values { values: items.into_iter().map(value).collect() })),
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, json)| (name, value(json))).collect();
            Some(Kind::Object(proto::Members { members }))
        }
    };
    proto::Value { kind }
}

/// A value that says something; one without is null, which in a member of REST is the same as none.
fn said(value: Option<proto::Value>) -> Option<proto::Value> {
    value.filter(|value| value.kind.is_some())
}

fn filter(filter: Option<proto::Value>) -> Formed<Option<Object<Filter>>> {
    let Some(filter) = said(filter) else { return Ok(None) };
    Ok(Some(read("filter", json("filter", filter)?)?))
}

fn payload(field: &str, value: Option<proto::Value>) -> Formed<Option<Payload>> {
    said(value).map(|value| json(field, value).map(Payload)).transpose()
}

/// What `id` names.
pub fn id(field: &str, id: Option<proto::RecordId>) -> Formed<RecordId> {
    match id.and_then(|id| id.id) {
        None => Err(wrong(field, "is missing")),
        Some(proto::record_id::Id::Number(number)) => Ok(number.into()),
        Some(proto::record_id::Id::Uuid(text)) => match text.parse::<RecordId>() {
            Ok(id @ RecordId::Uuid(_)) => Ok(id),
            _ => Err(Problem::new(Refusal::InvalidId, "a record id is a number or a UUID").about(field)),
        },
    }
}

fn ids(ids: Vec<proto::RecordId>) -> Formed<Option<Vec<RecordId>>> {
    if ids.is_empty() {
        return Ok(None);
    }
    let named = ids.into_iter().enumerate().map(|(at, one)| id(&format!("ids[{at}]"), Some(one)));
    named.collect::<Result<_, _>>().map(Some)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn size(number: Option<u64>) -> Option<usize> {
    number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn new_record(at: usize, record: proto::NewRecord) -> Formed<Object<RecordBody>> {
    let proto::NewRecord { id: named, entity, vector, payload: said, if_absent, if_version } = record;
    let id = id(&format!("records[{at}].id"), named)?;
    let payload = payload(&format!("records[{at}].payload"), said)?;
    Ok(Object(RecordBody { id, entity, vector, payload, if_absent, if_version }))
}

/// The body of an upsert.
pub fn upsert(request: proto::UpsertRequest) -> Formed<UpsertBody> {
    let records = request.records.into_iter().enumerate().map(|(at, record)| new_record(at, record));
    Ok(UpsertBody { records: records.collect::<Result<_, _>>()?, all_or_nothing: request.all_or_nothing })
}

/// That of a deletion.
pub fn delete(request: proto::DeleteRequest) -> Formed<DeleteBody> {
    Ok(DeleteBody { ids: ids(request.ids)?, filter: filter(request.filter)?, all: request.all })
}

/// That of a change.
pub fn update(request: proto::UpdateRequest) -> Formed<UpdateBody> {
    Ok(UpdateBody {
        ids: ids(request.ids)?,
        filter: filter(request.filter)?,
        all: request.all,
        vector: some(request.vector),
        overwrite: payload("overwrite", request.overwrite)?,
        clear: request.clear,
        delete_keys: some(request.delete_keys),
        set: payload("set", request.set)?,
        key: request.key,
    })
}

fn example(field: &str, example: proto::Example) -> Formed<ExampleBody> {
    match example.example {
        None => Err(wrong(field, "names an id or a vector")),
        Some(proto::example::Example::Id(named)) => id(field, Some(named)).map(ExampleBody::Id),
        Some(proto::example::Example::Vector(vector)) => Ok(ExampleBody::Vector(vector.values)),
    }
}

fn examples(field: &str, all: Vec<proto::Example>) -> Formed<Vec<ExampleBody>> {
    all.into_iter().enumerate().map(|(at, one)| example(&format!("{field}[{at}]"), one)).collect()
}

/// That of a search.
pub fn query(query: Option<proto::Query>) -> Formed<SearchBody> {
    let query = query.ok_or_else(|| wrong("search", "is missing"))?;
    Ok(SearchBody {
        vector: some(query.vector),
        like: some(examples("like", query.like)?),
        unlike: examples("unlike", query.unlike)?,
        limit: size(query.limit),
        offset: size(query.offset),
        score_threshold: query.score_threshold,
        filter: filter(query.filter)?,
        ef: size(query.ef),
        exact: query.exact,
        rerank: query.rerank.map(|name| read("rerank", name.into())).transpose()?.unwrap_or_default(),
        with_entity: query.with_entity,
        with_payload: query.with_payload,
        with_vector: query.with_vector,
        explain: query.explain,
    })
}

/// That of a page.
pub fn scroll(request: proto::ScrollRequest) -> Formed<ScrollBody> {
    let order = |order: proto::OrderBy| {
        let direction = order.direction.map(|name| read("order_by.direction", name.into())).transpose()?;
        let start_from = said(order.start_from).map(|value| json("order_by.start_from", value)).transpose()?;
        Formed::Ok(Object(OrderBody { key: order.key, direction: direction.unwrap_or_default(), start_from }))
    };
    Ok(ScrollBody {
        after: request.after.map(|after| id("after", Some(after))).transpose()?,
        order_by: request.order_by.map(order).transpose()?,
        limit: size(request.limit),
        filter: filter(request.filter)?,
        with_payload: request.with_payload,
        with_vector: request.with_vector,
    })
}

/// That of a count.
pub fn count(request: proto::CountRequest) -> Formed<CountBody> {
    Ok(CountBody { filter: filter(request.filter)? })
}

impl From<RecordId> for proto::RecordId {
    fn from(id: RecordId) -> Self {
        let id = match id {
            RecordId::Num(number) => proto::record_id::Id::Number(number),
            RecordId::Uuid(uuid) => proto::record_id::Id::Uuid(uuid.to_string()),
        };
        Self { id: Some(id) }
    }
}

impl From<AsOf> for proto::AsOf {
    fn from(as_of: AsOf) -> Self {
        Self { sequence: as_of.sequence, time: rfc3339(as_of.time_ms) }
    }
}

impl From<AsOfAnswer> for proto::AsOf {
    fn from(AsOfAnswer { sequence, time }: AsOfAnswer) -> Self {
        Self { sequence, time }
    }
}

impl From<Record> for proto::Record {
    fn from(record: Record) -> Self {
        Self {
            id: Some(record.id().into()),
            entity: record.entity_id().map(str::to_owned),
            vector: record.vector().to_vec(),
            payload: record.payload_json().cloned().map(value),
            version: Some(record.sequence()),
        }
    }
}

impl From<Hit> for proto::Hit {
    fn from(hit: Hit) -> Self {
        Self {
            id: Some(hit.id.into()),
            score: hit.score,
            score_error: (hit.score_error > 0.0).then_some(hit.score_error),
            entity: hit.entity,
            payload: hit.payload.map(value),
            vector: hit.vector.unwrap_or_default(),
        }
    }
}

impl From<Hits> for proto::SearchResponse {
    fn from(found: Hits) -> Self {
        let explain = ExplainAnswer::of(&found).map(proto::Explanation::from);
        let Hits { hits, as_of, partial, damaged, .. } = found;
        Self { hits: hits.into_iter().map(Into::into).collect(), as_of: Some(as_of.into()), partial, damaged, explain }
    }
}

impl From<ExplainAnswer> for proto::Explanation {
    fn from(told: ExplainAnswer) -> Self {
        let ExplainAnswer { segments, hops, compared, reranked, bytes, filter, find_us, decide_us, answer_us } = told;
        let filter = filter.map(|cost| proto::FilterCost {
            conditions: cost.conditions,
            unindexed: cost.unindexed,
            estimated: cost.estimated,
            opened: cost.opened,
            matched: cost.matched,
        });
        Self { segments, hops, compared, reranked, bytes, filter, find_us, decide_us, answer_us }
    }
}

impl From<Page> for proto::ScrollResponse {
    fn from(page: Page) -> Self {
        let Page { records, next, next_value, as_of, partial, damaged } = page;
        Self {
            records: records.into_iter().map(Into::into).collect(),
            next: next.map(Into::into),
            next_value: next_value.map(value),
            as_of: Some(as_of.into()),
            partial,
            damaged,
        }
    }
}

impl From<Counted> for proto::CountResponse {
    fn from(Counted { count, as_of, partial, damaged }: Counted) -> Self {
        Self { count, as_of: Some(as_of.into()), partial, damaged }
    }
}

impl From<UpsertAnswer> for proto::UpsertResponse {
    fn from(UpsertAnswer { upserted, errors, as_of }: UpsertAnswer) -> Self {
        let errors = errors.into_iter().map(|error| proto::RecordProblem {
            at: error.at as u64,
            code: error.code.to_owned(),
            detail: error.detail,
        });
        Self { upserted, errors: errors.collect(), as_of: Some(as_of.into()) }
    }
}
