//! A filter as JSON: what [`super::parse`] reads back as the same filter.

use serde::ser::{Error, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::node::{Clauses, Filter, Node};

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.fault() {
            Some(what) => Err(S::Error::custom(what)),
            None => to_json(self).serialize(serializer),
        }
    }
}

fn to_json(filter: &Filter) -> Value {
    match filter.node() {
        Node::Clauses(clauses) => combination(clauses),
        Node::Field(path, predicate) => {
            let (name, asked) = predicate.to_json();
            json!({ "key": path.to_string(), name: asked })
        }
        Node::IsEmpty(path) => json!({ "is_empty": { "key": path.to_string() } }),
        Node::IsNull(path) => json!({ "is_null": { "key": path.to_string() } }),
        Node::HasId(ids) => json!({ "has_id": ids }),
        Node::Entity(ids) => match ids.first().filter(|_| ids.len() == 1) {
            Some(id) => json!({ "entity": id.as_str() }),
            None => json!({ "entity": { "any": ids.iter().map(|id| id.as_str()).collect::<Vec<_>>() } }),
        },
        Node::Nested(path, inner) => json!({ "nested": { "key": path.to_string(), "filter": to_json(inner) } }),
        // The one is of the engine's own making and sent nowhere, the other refused before.
        Node::Subjects(_) | Node::Wrong(_) => Value::Null,
    }
}

fn combination(clauses: &Clauses) -> Value {
    let list = |filters: &[Filter]| filters.iter().map(to_json).collect::<Value>();
    let mut members = Map::new();
    for (name, filters) in [("must", &clauses.must), ("should", &clauses.should), ("must_not", &clauses.must_not)] {
        if !filters.is_empty() {
            members.insert(name.to_owned(), list(filters));
        }
    }
    if let Some((filters, least)) = &clauses.min_should {
        members.insert("min_should".to_owned(), json!({ "conditions": list(filters), "min_count": least }));
    }
    Value::Object(members)
}
