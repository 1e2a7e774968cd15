//! Changes from end to end, of a store as small as a graph can be.

use datasets::synthetic::Mixture;
use datasets::{Distance, hdf5};

use super::*;

fn options(folder: &Path) -> ChurnOptions {
    let dataset = folder.join("set.hdf5");
    hdf5::write(&dataset, &Mixture::new(16, 10, 0.5, 1).dataset(Distance::L2, 3450, 20, 5, 2)).unwrap();
    let folder = folder.join("stores");
    std::fs::create_dir_all(&folder).unwrap();
    ChurnOptions { dataset, share: 0.3, k: 5, ef: vec![20, 60], rounds: 1, core: None, folder: Some(folder) }
}

#[test]
fn a_compacted_store_is_measured_beside_a_fresh_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let mut stages = Vec::new();
    let churn = churn(&options, &mut |stage, _, _| stages.push(stage)).unwrap();
    assert!([Stage::Import, Stage::Build, Stage::Change, Stage::Search].iter().all(|stage| stages.contains(stage)));
    assert_eq!(std::fs::read_dir(options.folder.unwrap()).unwrap().count(), 0, "stores are removed");

    assert_eq!((churn.records, churn.deleted, churn.updated, churn.left), (3000, 450, 450, 2550));
    let names: Vec<&str> = churn.stores.iter().map(|store| store.store).collect();
    assert_eq!(names, ["changed", "compacted", "fresh"]);
    for store in &churn.stores {
        assert_eq!(store.found.iter().map(|found| found.ef).collect::<Vec<_>>(), [20, 60]);
        assert!(store.found.iter().all(|found| found.recall >= 0.95 && found.us > 0.0), "{store:?}");
        assert!(churn.to_string().contains(store.store));
    }
    let [changed, compacted, fresh] = &churn.stores[..] else { unreachable!() };
    assert!(changed.segments == 2 && changed.disk_bytes > compacted.disk_bytes, "{churn}");
    assert!(compacted.segments == 1 && fresh.segments == 1);
    assert!((compacted.disk_bytes as f64) < 1.1 * fresh.disk_bytes as f64, "{churn}");
    assert!((compacted.resident_bytes as f64) < 1.1 * fresh.resident_bytes as f64, "{churn}");
    assert_eq!(serde_json::to_value(&churn).unwrap()["stores"][2]["store"], "fresh");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let usual = options(folder.path());
    for refused in [
        ChurnOptions { share: 1.1, ..usual.clone() },
        ChurnOptions { share: f64::NAN, ..usual.clone() },
        ChurnOptions { k: 6, ..usual.clone() },
        ChurnOptions { rounds: 0, ..usual.clone() },
        ChurnOptions { core: Some(usize::MAX), ..usual.clone() },
    ] {
        assert!(churn(&refused, &mut |stage, _, _| unreachable!("{stage:?}")).is_err(), "{refused:?}");
    }
}
