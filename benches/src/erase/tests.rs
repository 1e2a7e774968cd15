//! Erasures from end to end, in stores that are as small as a graph that is repaired can be.

#![allow(clippy::disallowed_methods, reason = "looks whether files are left behind")]

use tempfile::TempDir;

use super::*;

fn options(folder: &TempDir) -> EraseOptions {
    EraseOptions {
        parts: Part::ALL.to_vec(),
        records: 2100,
        dimension: 16,
        held: vec![1, 40],
        together: vec![1, 3],
        epochs: vec![10, 600],
        flush_records: 300,
        flush_entities: 100,
        rounds: 1,
        idle_ms: 20,
        folder: Some(folder.path().to_owned()),
    }
}

#[test]
fn every_part_is_measured_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut stages = Vec::new();
    let erasing = erase(&options(&folder), &mut |stage, _, _| stages.push(stage)).unwrap();
    assert!([Stage::Synth, Stage::Import, Stage::Build, Stage::Erase].iter().all(|stage| stages.contains(stage)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "stores are removed");

    assert_eq!(erasing.stages.iter().map(|staged| staged.records).collect::<Vec<_>>(), [1, 40]);
    for staged in &erasing.stages {
        let Staged { hidden_ms, shredded_ms, purged_ms, answered_ms, rebuilt_ms, searches, .. } = *staged;
        assert!(hidden_ms <= shredded_ms && shredded_ms <= purged_ms && purged_ms <= rebuilt_ms, "{staged:?}");
        assert!(purged_ms <= answered_ms && answered_ms > 0.0, "{staged:?}");
        assert!(rebuilt_ms > purged_ms, "a graph that is repaired is built anew later: {staged:?}");
        assert!(searches.idle_qps.is_some() && searches.rebuilding_qps.is_some(), "{staged:?}");
    }
    assert_eq!(erasing.together.iter().map(|together| together.entities).collect::<Vec<_>>(), [1, 3]);
    assert!(erasing.together.iter().all(|together| together.answered_ms >= together.shredded_ms));
    let [few, many] = &erasing.epochs[..] else { unreachable!() };
    assert!((few.entities, many.entities) == (10, 600) && few.rotated_ms > 0.0 && few.shredding_bytes > 0.0);
    assert!(many.rotated_bytes > 0.0 && many.shredding_bytes > few.shredding_bytes, "more entities have more buckets");
    let [new, known] = &erasing.flushes[..] else { unreachable!() };
    assert_eq!((new.new_entities, known.new_entities), (100, 0));
    assert!(new.keyring_bytes > 100.0 * 48.0, "an id and a key for each entity: {new:?}");
    assert!(known.keyring_bytes < new.keyring_bytes / 4.0 && known.segment_bytes > 300.0 * 16.0 * 4.0, "{known:?}");

    let text = erasing.to_string();
    assert!(["hidden ms", "ms each", "keyring", "new entities"].iter().all(|head| text.contains(head)), "{text}");
    let json = serde_json::to_value(&erasing).unwrap();
    assert_eq!((&json["stages"][1]["records"], &json["epochs"][1]["entities"]), (&40.into(), &600.into()));
    assert!(json["stages"][0]["searches"]["idle_qps"].is_number());
}

#[test]
fn a_part_is_measured_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options = EraseOptions { parts: vec![Part::Together], ..options(&folder) };
    let erasing = erase(&options, &mut |_, _, _| {}).unwrap();
    assert!(erasing.stages.is_empty() && erasing.epochs.is_empty() && erasing.flushes.is_empty());
    assert!(!erasing.together.is_empty() && !erasing.to_string().contains("hidden"));
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_built() {
    let folder = tempfile::tempdir().unwrap();
    for refused in [
        EraseOptions { rounds: 0, ..options(&folder) },
        EraseOptions { held: vec![1, 0], ..options(&folder) },
        EraseOptions { epochs: vec![0], ..options(&folder) },
        EraseOptions { dimension: index::MAX_DIMENSION + 1, ..options(&folder) },
        EraseOptions { flush_entities: 301, ..options(&folder) },
    ] {
        let told = erase(&refused, &mut |stage, _, _| unreachable!("{stage:?}"));
        assert!(matches!(told, Err(RunError::Erasures { .. })), "{refused:?}");
    }
}
