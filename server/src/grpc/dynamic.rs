//! Messages that have no type of Rust, to and from the JSON of REST.
//!
//! Invariant: the fields of a message are the members of the JSON of its route, by the same names; one that is not set is
//! absent. Nothing is lost on the way: a number that JSON cannot hold, or a member that the message lacks, is an error.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde_json::{Map, Number, Value as Json};
use zeroize::Zeroize;

use super::schema::Schema;

/// What has no counterpart: the path of the field or member, as far as it is one of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Nested first to last, with dots.
    pub field: String,
}

impl Unfit {
    fn at(field: &str) -> Self {
        Self { field: field.to_owned() }
    }

    fn inside(self, field: &str) -> Self {
        let inner = if self.field.is_empty() { self.field } else { format!(".{}", self.field) };
        Self { field: format!("{field}{inner}") }
    }
}

impl Schema {
    /// The JSON that `message` stands for.
    ///
    /// # Errors
    /// A number that is none.
    pub fn json(&self, message: &DynamicMessage) -> Result<Json, Unfit> {
        let of = message.descriptor();
        if self.is_plain(&of) {
            let mut fields = of.fields();
            return match (fields.next(), fields.next()) {
                (Some(one), None) => self.json_of(&message.get_field(&one)),
                _ => message.fields().next().map_or(Ok(Json::Null), |(_, set)| self.json_of(set)),
            };
        }
        let member = |(field, value): (FieldDescriptor, &Value)| {
            let json = self.json_of(value).map_err(|unfit| unfit.inside(field.name()))?;
            Ok((field.name().to_owned(), json))
        };
        message.fields().map(member).collect::<Result<Map<_, _>, _>>().map(Json::Object)
    }

    fn json_of(&self, value: &Value) -> Result<Json, Unfit> {
        let float = |number: f64| Number::from_f64(number).map(Json::Number).ok_or_else(|| Unfit::at(""));
        match value {
            Value::Bool(value) => Ok((*value).into()),
            Value::I32(number) => Ok((*number).into()),
            Value::I64(number) => Ok((*number).into()),
            Value::U32(number) => Ok((*number).into()),
            Value::U64(number) => Ok((*number).into()),
            Value::F32(number) => float((*number).into()),
            Value::F64(number) => float(*number),
            Value::String(text) => Ok(text.as_str().into()),
            Value::Message(message) => self.json(message),
            Value::List(items) => {
                items.iter().map(|item| self.json_of(item)).collect::<Result<_, _>>().map(Json::Array)
            }
            Value::Map(members) => {
                let member = |(name, value): (&MapKey, &Value)| {
                    Ok((name.as_str().unwrap_or_default().to_owned(), self.json_of(value)?))
                };
                members.iter().map(member).collect::<Result<Map<_, _>, _>>().map(Json::Object)
            }
            // Our messages have neither.
            Value::Bytes(_) | Value::EnumNumber(_) => Err(Unfit::at("")),
        }
    }

    /// The message that `json` stands for.
    ///
    /// # Errors
    /// Whatever of it no field can hold.
    pub fn message(&self, of: &MessageDescriptor, json: Json) -> Result<DynamicMessage, Unfit> {
        let mut message = DynamicMessage::new(of.clone());
        if self.is_plain(of) {
            // A null is what is said by nothing.
            if !json.is_null() {
                // No two of them hold the same kind of JSON.
                let field = of.fields().find(|field| self.can_hold(field, &json)).ok_or_else(|| Unfit::at(""))?;
                let value = self.value(&field, json)?;
                message.set_field(&field, value);
            }
            return Ok(message);
        }
        let Json::Object(members) = json else { return Err(Unfit::at("")) };
        for (name, json) in members {
            let field = of.get_field_by_name(&name).ok_or_else(|| Unfit::at("?"))?;
            // Where a null is more than nothing, the field is a message of which it is a value.
            if json.is_null() && !self.can_be_null(&field) {
                continue;
            }
            let value = self.value(&field, json).map_err(|unfit| unfit.inside(field.name()))?;
            message.set_field(&field, value);
        }
        Ok(message)
    }

    fn can_be_null(&self, field: &FieldDescriptor) -> bool {
        let Kind::Message(of) = field.kind() else { return false };
        !field.is_list() && !field.is_map() && of.full_name() == "lethedb.v1.Value"
    }

    /// Whether a field is of the kind of `json`, whatever that holds.
    fn can_hold(&self, field: &FieldDescriptor, json: &Json) -> bool {
        if field.is_map() || field.is_list() {
            return if field.is_map() { json.is_object() } else { json.is_array() };
        }
        match field.kind() {
            Kind::Message(of) if self.is_plain(&of) => of.fields().any(|field| self.can_hold(&field, json)),
            Kind::Message(_) => json.is_object(),
            Kind::Bool => json.is_boolean(),
            Kind::Uint32 => json.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
            Kind::Uint64 => json.is_u64(),
            Kind::Int64 => json.is_i64(),
            Kind::Float | Kind::Double => json.is_number(),
            Kind::String => json.is_string(),
            _ => false,
        }
    }

    fn value(&self, field: &FieldDescriptor, json: Json) -> Result<Value, Unfit> {
        if field.is_map() {
            let (Json::Object(members), Kind::Message(entry)) = (json, field.kind()) else { return Err(Unfit::at("")) };
            let value = entry.map_entry_value_field();
            let member = |(name, json)| Ok((MapKey::String(name), self.one(&value, json)?));
            return members.into_iter().map(member).collect::<Result<HashMap<_, _>, _>>().map(Value::Map);
        }
        if field.is_list() {
            let Json::Array(items) = json else { return Err(Unfit::at("")) };
            return items.into_iter().map(|item| self.one(field, item)).collect::<Result<_, _>>().map(Value::List);
        }
        self.one(field, json)
    }

    fn one(&self, field: &FieldDescriptor, json: Json) -> Result<Value, Unfit> {
        let value = match field.kind() {
            Kind::Bool => json.as_bool().map(Value::Bool),
            Kind::Uint32 => json.as_u64().and_then(|number| number.try_into().ok()).map(Value::U32),
            Kind::Uint64 => json.as_u64().map(Value::U64),
            Kind::Int64 => json.as_i64().map(Value::I64),
            Kind::Float => json.as_f64().map(|number| Value::F32(number as f32)),
            Kind::Double => json.as_f64().map(Value::F64),
            // The text itself, so that whoever wipes the message wipes all of it that there is.
            Kind::String => match json {
                Json::String(text) => Some(Value::String(text)),
                _ => None,
            },
            Kind::Message(of) => return self.message(&of, json).map(Value::Message),
            _ => None,
        };
        value.ok_or_else(|| Unfit::at(""))
    }
}

/// Wipes the texts of a message.
pub fn wipe(message: &mut DynamicMessage) {
    message.fields_mut().for_each(|(_, value)| wipe_value(value));
}

fn wipe_value(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Message(message) => wipe(message),
        Value::List(items) => items.iter_mut().for_each(wipe_value),
        Value::Map(members) => members.values_mut().for_each(wipe_value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost::Message;
    use serde_json::json;

    use super::*;

    fn message(of: &str) -> (Schema, MessageDescriptor) {
        let schema = Schema::load().unwrap();
        let of = schema.rpcs.iter().map(|rpc| rpc.input.clone()).find(|input| input.name() == of).unwrap();
        (schema, of)
    }

    #[test]
    fn json_comes_back_exact() {
        let (schema, of) = message("SearchGroupsRequest");
        let filter = json!({"must": [{"has_id": [u64::MAX, i64::MIN, "67e55044-10b1-426f-9247-bb680e5fe0c8"]}, null, [], {},
            {"key": "a", "match": {"value": 0.1}, "deep": [[["é\n", true, false, 1, -1, 1e300]]]}]});
        let query = json!({"vector": [0.5, -1.0], "like": [3, "67e55044-10b1-426f-9247-bb680e5fe0c8", [0.25, 1.0]],
            "limit": 0, "filter": filter, "exact": true});
        let body = json!({"collection": "docs", "search": query, "group_size": u64::MAX});
        let held = schema.message(&of, body.clone()).unwrap();
        assert_eq!(schema.json(&held).unwrap(), body);
        // Through the wire, too.
        let bytes = held.encode_to_vec();
        let read = DynamicMessage::decode(of, &*bytes).unwrap();
        assert_eq!(schema.json(&read).unwrap(), body);
    }

    #[test]
    fn what_is_wiped_has_no_text_left_wherever_it_stood() {
        let (schema, of) = message("SearchGroupsRequest");
        let filter = json!({"s3cr3t": ["s3cr3t", {"deep": "s3cr3t"}]});
        let mut held = schema.message(&of, json!({"collection": "s3cr3t", "search": {"filter": filter}})).unwrap();
        wipe(&mut held);
        let left = schema.json(&held).unwrap();
        assert_eq!(left, json!({"search": {"filter": {"s3cr3t": ["", {"deep": ""}]}}}));
    }

    #[test]
    fn nothing_said_and_nothing_are_two_things() {
        let (schema, of) = message("CreateApiKeyRequest");
        for body in [json!({"class": "sk"}), json!({"class": "sk", "collections": []})] {
            let held = schema.message(&of, body.clone()).unwrap();
            assert_eq!(schema.json(&held).unwrap(), body);
        }
        let (schema, of) = message("PutWindowRequest");
        for body in [json!({"collection": "a"}), json!({"window_ms": null}), json!({"window_ms": 3_600_000})] {
            let held = schema.message(&of, body.clone()).unwrap();
            assert_eq!(schema.json(&held).unwrap(), body);
        }
    }

    #[test]
    fn what_has_no_counterpart_is_said_to_have_none() {
        let (schema, of) = message("PrivateRequest");
        let unknown = schema.message(&of, json!({"s3cr3t": 1})).unwrap_err();
        assert!(!unknown.field.contains("s3cr3t"), "{unknown:?}");
        let wrong = schema.message(&of, json!({"groups": {"field": 1}})).unwrap_err();
        assert_eq!(wrong.field, "groups.field");
        let mut held = DynamicMessage::new(of);
        held.set_field_by_name("epsilon", Value::F64(f64::NAN));
        assert_eq!(schema.json(&held).unwrap_err().field, "epsilon");
    }
}
