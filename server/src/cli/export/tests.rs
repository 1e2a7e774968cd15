//! Whatever a collection can hold is written and read back equal, in every format.
//!
//! Invariant under test: import is the inverse of export: ids, entities, payloads of all JSON, every bit of the vectors.

use std::path::Path;

use datasets::parquet::Ids;
use engine::{Record, RecordId};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::sink::{Sink, beside};
use crate::cli::format::FileFormat;
use crate::cli::import::source::{Reading, Source};

const DIMENSION: usize = 3;

fn number() -> impl Strategy<Value = f32> {
    let odd = prop_oneof![Just(-0.0), Just(f32::MIN_POSITIVE / 3.0), Just(f32::MAX), Just(0.1), Just(1e-30)];
    prop_oneof![odd, any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite())]
}

fn json() -> impl Strategy<Value = Value> {
    let float = any::<f64>().prop_filter_map("finite", |value| Number::from_f64(value).map(Value::Number));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float,
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let members = prop::collection::btree_map(".{0,4}", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn id() -> impl Strategy<Value = RecordId> {
    prop_oneof![
        any::<u64>().prop_map(RecordId::Num),
        any::<u128>().prop_map(|number| RecordId::Uuid(Uuid::from_u128(number))),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let vector = prop::collection::vec(number(), DIMENSION);
    (id(), vector, prop::option::of(".{1,9}"), prop::option::of(json())).prop_map(|(id, vector, entity, payload)| {
        let record = Record::new(id, vector);
        let record = entity.map_or(record.clone(), |entity| record.entity(entity));
        payload.map_or(record.clone(), |payload| record.payload(payload))
    })
}

/// What a record holds, with floats by their bits.
fn parts(record: &Record) -> (RecordId, Vec<u32>, Option<String>, Option<String>) {
    let bits = record.vector().iter().map(|value| value.to_bits()).collect();
    let payload = record.payload_json().map(Value::to_string);
    (record.id(), bits, record.entity_id().map(str::to_owned), payload)
}

fn read(path: &Path, format: FileFormat) -> Vec<Record> {
    let lines = beside(path);
    let beside = matches!(format, FileFormat::Npy | FileFormat::Fbin).then_some(lines.as_path());
    let reading = Reading { id: "id", vector: "vector", entity: None, entities: None, beside };
    let source = Source::open(path, format, reading).unwrap();
    source.rows.map(|row| row.unwrap().map_err(|bad| bad.reason).unwrap().record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_exported_is_imported(records in prop::collection::vec(record(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let is_number = |record: &Record| matches!(record.id(), RecordId::Num(_));
        let ids = if records.iter().all(is_number) { Ids::Numbers } else { Ids::Text };
        let expected: Vec<_> = records.iter().map(parts).collect();
        for format in [FileFormat::Jsonl, FileFormat::Parquet, FileFormat::Npy, FileFormat::Fbin] {
            let path = folder.path().join(format!("{format:?}"));
            let mut sink = Sink::open(&path, format, DIMENSION, || Ok(ids), true).unwrap();
            for record in &records {
                sink.push(record.clone()).unwrap();
            }
            sink.finish().unwrap();
            let found: Vec<_> = read(&path, format).iter().map(parts).collect();
            prop_assert_eq!(&found, &expected, "{:?}", format);
        }
    }
}
