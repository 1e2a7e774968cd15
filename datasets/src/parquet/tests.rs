//! What is written is read, what other writers write is read, and no damage goes further than an error.
//!
//! Invariant under test: a row is judged alone, and no bytes make the reader panic.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use super::*;

/// A file with these bytes, at its start.
fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn read(bytes: &[u8], columns: Columns<'_>) -> Result<Vec<Result<Row, Fault>>, Error> {
    Rows::new(file(bytes), columns)?.collect()
}

/// The values of a leaf column.
enum Leaf {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<&'static [u8]>),
    Fixed(Vec<[u8; 16]>),
}

/// A file of one row group with this schema; each leaf with its definition and repetition levels.
fn written(schema: &str, leaves: &[(&'static [i16], &'static [i16], Leaf)]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = file.next_row_group().unwrap();
    for (definitions, repetitions, leaf) in leaves {
        let mut column = group.next_column().unwrap().unwrap();
        let levels = |levels: &'static [i16]| Some(levels).filter(|levels| !levels.is_empty());
        let (d, r) = (levels(definitions), levels(repetitions));
        match (column.untyped(), leaf) {
            (ColumnWriter::Int32ColumnWriter(writer), Leaf::Int32(values)) => writer.write_batch(values, d, r),
            (ColumnWriter::Int64ColumnWriter(writer), Leaf::Int64(values)) => writer.write_batch(values, d, r),
            (ColumnWriter::FloatColumnWriter(writer), Leaf::Float(values)) => writer.write_batch(values, d, r),
            (ColumnWriter::DoubleColumnWriter(writer), Leaf::Double(values)) => writer.write_batch(values, d, r),
            (ColumnWriter::ByteArrayColumnWriter(writer), Leaf::Text(values)) => {
                let values: Vec<_> = values.iter().map(|text| ByteArray::from(text.to_vec())).collect();
                writer.write_batch(&values, d, r)
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Leaf::Fixed(values)) => {
                let values: Vec<_> = values.iter().map(|bytes| FixedLenByteArray::from(bytes.to_vec())).collect();
                writer.write_batch(&values, d, r)
            }
            _ => panic!("the column is of another type"),
        }
        .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

const VECTOR: &str = "OPTIONAL GROUP vector (LIST) { REPEATED GROUP list { OPTIONAL FLOAT element; } }";
const ID: &str = "REQUIRED INT64 id;";

fn ids(count: i64) -> (&'static [i16], &'static [i16], Leaf) {
    (&[], &[], Leaf::Int64((0..count).collect()))
}

/// Three vectors of one number each.
fn ones() -> (&'static [i16], &'static [i16], Leaf) {
    (&[3; 3], &[0; 3], Leaf::Float(vec![1.0; 3]))
}

fn members(row: &Row) -> Value {
    match &row.payload {
        Some(Payload::Members(members)) => Value::Object(members.clone()),
        Some(Payload::Text(text)) => Value::String(text.clone()),
        None => Value::Null,
    }
}

/// A file of our own writer: `count` records over several row groups if there are many.
fn ours(count: u64, ids: Ids) -> (Vec<u8>, Vec<Row>) {
    let mut writer = Writer::new(Vec::new(), ids).unwrap();
    let mut rows = Vec::new();
    for at in 0..count {
        let numbers = [f32::from_bits(at as u32 + 1), -0.0, f32::MAX, at as f32 * 0.1];
        let entity = (at % 3 == 0).then(|| format!("eve-{at}"));
        let payload = (at % 2 == 0).then(|| json!({"n": at, "é": [null, 0.1, {"x": u64::MAX}]}).to_string());
        let id = if ids == Ids::Text && at % 2 == 1 { format!("uuid-{at}") } else { (u64::MAX - at).to_string() };
        let written = Written { id: id.clone(), vector: &numbers, entity: entity.as_deref(), payload: payload.clone() };
        writer.push(written).unwrap();
        rows.push(Row { id, vector: numbers.to_vec(), entity, payload: payload.map(Payload::Text) });
    }
    (writer.finish().unwrap(), rows)
}

#[test]
fn what_was_written_is_read() {
    for (count, ids) in [(0, Ids::Numbers), (1, Ids::Numbers), (700, Ids::Text), (17_000, Ids::Numbers)] {
        let (bytes, expected) = ours(count, ids);
        let rows = Rows::new(file(&bytes), Columns::default()).unwrap();
        assert_eq!(rows.total(), count);
        let found: Vec<Row> = rows.map(|row| row.unwrap().unwrap()).collect();
        assert_eq!(found, expected);
        let bits = |rows: &[Row]| rows.iter().flat_map(|row| row.vector.clone()).map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(&expected));
    }
}

#[test]
fn columns_of_every_shape_become_members() {
    let schema = format!(
        "{ID} {VECTOR}
         OPTIONAL INT32 day (DATE);
         OPTIONAL GROUP tags (LIST) {{ REPEATED GROUP list {{ OPTIONAL BYTE_ARRAY element (STRING); }} }}
         REPEATED BYTE_ARRAY old (UTF8);
         OPTIONAL GROUP spot {{ OPTIONAL INT32 floor; REQUIRED FIXED_LEN_BYTE_ARRAY (16) key (UUID); }}
         OPTIONAL GROUP map (MAP) {{ REPEATED GROUP key_value {{
             REQUIRED BYTE_ARRAY key (STRING); OPTIONAL DOUBLE value; }} }}"
    );
    let leaves = [
        ids(3),
        ones(),
        (&[1, 0, 1][..], &[][..], Leaf::Int32(vec![0, -1])),
        // ["a", null], [], null
        (&[3, 2, 1, 0], &[0, 1, 0, 0], Leaf::Text(vec![b"a"])),
        (&[1, 1, 0, 1], &[0, 1, 0, 0], Leaf::Text(vec![b"x", b"y", b"z"])),
        (&[2, 1, 0], &[], Leaf::Int32(vec![-1])),
        (&[1, 1, 0], &[], Leaf::Fixed(vec![[0xab; 16]; 2])),
        (&[2, 2, 0, 1], &[0, 1, 0, 0], Leaf::Text(vec![b"k", b"l"])),
        (&[3, 2, 0, 1], &[0, 1, 0, 0], Leaf::Double(vec![0.5])),
    ];
    let rows = read(&written(&schema, &leaves), Columns::default()).unwrap();
    let rows: Vec<Value> = rows.iter().map(|row| members(row.as_ref().unwrap())).collect();
    let key = "abababab-abab-abab-abab-abababababab";
    assert_eq!(
        rows,
        [
            json!({"day": "1970-01-01", "tags": ["a", null], "old": ["x", "y"], "spot": {"floor": -1, "key": key},
                "map": {"k": 0.5, "l": null}}),
            json!({"tags": [], "old": [], "spot": {"floor": null, "key": key}}),
            json!({"day": "1969-12-31", "old": ["z"], "map": {}}),
        ]
    );
}

#[test]
fn a_bad_row_is_told_and_the_next_follows() {
    let schema = format!("{ID} {VECTOR} OPTIONAL BYTE_ARRAY name (STRING); OPTIONAL DOUBLE size;");
    let leaves = [
        ids(6),
        // A vector, null, an empty one, one with a null, and two good ones.
        (&[3, 3, 0, 1, 3, 2, 3, 3][..], &[0, 1, 0, 0, 0, 1, 0, 0][..], Leaf::Float(vec![1.0, 2.0, 3.0, 4.0, f32::NAN])),
        (&[1, 1, 1, 1, 1, 0], &[], Leaf::Text(vec![b"a", b"b", b"c", b"d", b"\xff"])),
        (&[1, 0, 0, 0, 0, 1], &[], Leaf::Double(vec![f64::INFINITY, 1.0])),
    ];
    let rows = read(&written(&schema, &leaves), Columns::default()).unwrap();
    let fault = |column, what| Err(Fault { column, what });
    let no_vector = "holds no vector, or a null in it";
    assert_eq!(rows[0], fault(4, "holds a number that is not finite"));
    assert_eq!(rows[1..4], [fault(2, no_vector), fault(2, no_vector), fault(2, no_vector)]);
    assert_eq!(rows[4], fault(3, "holds bytes that are not UTF-8"));
    let last = rows[5].as_ref().unwrap();
    assert!(last.vector[0].is_nan() && members(last) == json!({"size": 1.0}), "the caller judges the vector");
}

#[test]
fn a_named_column_is_the_entity_and_a_member() {
    let schema = format!("REQUIRED BYTE_ARRAY key; {VECTOR} OPTIONAL INT64 user; OPTIONAL BYTE_ARRAY entity (STRING);");
    let leaves = [
        (&[][..], &[][..], Leaf::Text(vec![b"7", b"x", b""])),
        ones(),
        (&[1, 1, 0], &[], Leaf::Int64(vec![42, 43])),
        (&[1, 0, 0], &[], Leaf::Text(vec![b"eve"])),
    ];
    let bytes = written(&schema, &leaves);
    let columns = Columns { id: "key", vector: "vector", entity: Some("user") };
    let rows = read(&bytes, columns).unwrap();
    let found: Vec<_> = rows.iter().flatten().map(|row| (&*row.id, row.entity.as_deref(), members(row))).collect();
    assert_eq!(found, [("7", Some("eve"), json!({"user": 42})), ("x", Some("43"), json!({"user": 43}))]);
    assert_eq!(rows[2], Err(Fault { column: 3, what: "names no entity by text or a whole number" }));
    let columns = Columns { entity: Some("none"), ..columns };
    assert!(matches!(read(&bytes, columns), Err(Error::NoColumn { name }) if name == "none"));
}

#[test]
fn files_that_hold_no_records_are_refused() {
    let refused = |schema: &str| {
        let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new())).unwrap();
        read(&file.into_inner().unwrap(), Columns::default()).unwrap_err().to_string()
    };
    assert_eq!(refused(VECTOR), "there is no column `id`");
    assert_eq!(refused(ID), "there is no column `vector`");
    let vector = "should hold the vectors, but is no list of numbers";
    assert_eq!(refused(&format!("{ID} REQUIRED FLOAT vector;")), format!("column 2 {vector}"));
    assert_eq!(refused(&format!("{ID} REPEATED BYTE_ARRAY vector;")), format!("column 2 {vector}"));
    let payload = format!("{ID} {VECTOR} OPTIONAL BYTE_ARRAY payload (JSON); OPTIONAL INT32 more;");
    assert_eq!(refused(&payload), "column 4 has no place: the column `payload` holds the whole payload");
    let interval = format!("{ID} {VECTOR} REQUIRED FIXED_LEN_BYTE_ARRAY (12) span (INTERVAL);");
    assert_eq!(refused(&interval), "column 3 holds values of a kind that JSON has no form for");
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let (bytes, rows) = ours(300, Ids::Text);
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(matches!(read(&bytes[..length], Columns::default()), Err(Error::Format(_))), "cut at {length}");
    }
    assert_eq!(read(&bytes, Columns::default()).unwrap().len(), rows.len());
}

#[test]
fn no_damaged_byte_makes_it_panic() {
    let (ours, _) = ours(5, Ids::Text);
    let nested = format!("{ID} {VECTOR} REPEATED BYTE_ARRAY old (UTF8); OPTIONAL INT32 day (DATE);");
    let nested = written(
        &nested,
        &[
            ids(3),
            ones(),
            (&[1, 1, 0, 1], &[0, 1, 0, 0], Leaf::Text(vec![b"x", b"y", b"z"])),
            (&[1, 0, 1], &[], Leaf::Int32(vec![0, -1])),
        ],
    );
    for bytes in [ours, nested] {
        for position in 0..bytes.len() {
            for value in [0, 1, 0x3f, 0x7f, 0x80, 0xff, bytes[position] ^ 1, bytes[position].wrapping_add(1)] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                let _ = read(&damaged, Columns::default());
            }
        }
    }
}
