//! The index of payloads from end to end, on few records.

#![allow(clippy::disallowed_methods, reason = "looks whether files are left behind")]

use super::*;

#[test]
fn each_field_takes_something_and_all_take_as_much_as_each() {
    let folder = tempfile::tempdir().unwrap();
    let options = PayloadOptions { records: 3000, folder: Some(folder.path().to_owned()) };
    let mut stages = Vec::new();
    let indexes = payload(&options, &mut |stage, _, _| stages.push(stage)).unwrap();
    assert!(stages.contains(&Stage::Import) && stages.contains(&Stage::Build));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "stores are removed");

    assert_eq!(indexes.fields.len(), Typical::ALL.len());
    for Indexed { field, disk_bytes, memory_bytes, .. } in &indexes.fields {
        assert!(*memory_bytes > 0.1 && *disk_bytes > 0.01, "{field}: {memory_bytes} {disk_bytes}");
        assert!(indexes.to_string().contains(field));
    }
    // Fields are held one beside the other; on disk they are packed together.
    let memory: f64 = indexes.fields.iter().map(|field| field.memory_bytes).sum();
    assert!((indexes.all.memory_bytes - memory).abs() < 0.02 * memory, "{indexes}");
    let disk: f64 = indexes.fields.iter().map(|field| field.disk_bytes).sum();
    assert!((indexes.all.disk_bytes - disk).abs() < 0.2 * disk, "{indexes}");
    let taken = |name| indexes.fields.iter().find(|indexed| indexed.field == name).map(|field| field.memory_bytes);
    assert!(taken("product") > taken("city"), "more values take more");
    assert!(indexes.payload_bytes > 100.0 && serde_json::to_value(&indexes).unwrap()["all"].is_object());
}

#[test]
fn nothing_cannot_be_measured() {
    let options = PayloadOptions { records: 0, folder: None };
    assert!(matches!(payload(&options, &mut |_, _, _| {}), Err(RunError::NoRecords)));
}
