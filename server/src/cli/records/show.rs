//! Records as a table: one line each, with as much of a vector as fits it. Programs get the JSON instead.

use crate::cli::terminal::table;
use crate::json::RecordAnswer;

/// Numbers of a vector that a table shows.
const NUMBERS_SHOWN: usize = 4;

/// A table of records, with a column of vectors if some have one.
pub fn records(records: &[RecordAnswer]) -> String {
    let entity = |record: &RecordAnswer| record.entity.clone().unwrap_or_default();
    let payload = |record: &RecordAnswer| record.payload.as_ref().map(ToString::to_string).unwrap_or_default();
    if records.iter().all(|record| record.vector.is_none()) {
        let row = |record: &RecordAnswer| [record.id.to_string(), entity(record), payload(record)];
        return table(["id", "entity", "payload"], &records.iter().map(row).collect::<Vec<_>>());
    }
    let row = |record: &RecordAnswer| {
        let vector = record.vector.as_deref().map(vector).unwrap_or_default();
        [record.id.to_string(), entity(record), vector, payload(record)]
    };
    table(["id", "entity", "vector", "payload"], &records.iter().map(row).collect::<Vec<_>>())
}

/// A vector as far as it fits a line.
fn vector(vector: &[f32]) -> String {
    let shown: Vec<_> = vector.iter().take(NUMBERS_SHOWN).map(ToString::to_string).collect();
    let more = if vector.len() > NUMBERS_SHOWN { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use engine::Record;
    use serde_json::json;

    use super::*;

    #[test]
    fn vectors_have_a_column_where_there_are_some() {
        let record = |id: u64, vector| RecordAnswer::from(Record::new(id, vector).payload(json!({"a": 1})));
        assert_eq!(records(&[record(1, vec![])]), "id  entity  payload\n1           {\"a\":1}");
        let with = [record(1, vec![0.5, 1.0]), record(2, vec![0.25; 5])];
        let expected = "id  entity  vector                       payload\n\
                        1           [0.5, 1]                     {\"a\":1}\n\
                        2           [0.25, 0.25, 0.25, 0.25, …]  {\"a\":1}";
        assert_eq!(records(&with), expected);
    }
}
