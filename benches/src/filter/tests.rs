//! Filters from end to end, on a store as small as a graph can be.

use datasets::synthetic::Mixture;
use datasets::{Distance, hdf5};

use super::*;

/// Enough for walks among half of them.
const ROWS: usize = 20_000;

fn options(folder: &Path, set: &Dataset) -> FilterOptions {
    let dataset = folder.join("set.hdf5");
    hdf5::write(&dataset, set).unwrap();
    let folder = folder.join("stores");
    std::fs::create_dir_all(&folder).unwrap();
    FilterOptions { dataset, k: 5, ef: vec![100, 80], queries: 40, rounds: 1, core: None, folder: Some(folder) }
}

#[test]
fn every_filter_is_measured_beside_all_rows_and_all_matches() {
    let folder = tempfile::tempdir().unwrap();
    let set = crate::clustered::mixture(32).dataset(Distance::L2, ROWS, 40, 5, 2);
    let options = options(folder.path(), &set);
    let mut stages = Vec::new();
    let filtering = filter(&options, &mut |stage, _, _| stages.push(stage)).unwrap();
    assert!([Stage::Import, Stage::Build, Stage::Search].iter().all(|stage| stages.contains(stage)));
    assert_eq!(std::fs::read_dir(options.folder.unwrap()).unwrap().count(), 0, "stores are removed");

    assert_eq!(filtering.filters.len(), 2 * Placement::ALL.len() * SHARES.len());
    assert!(filtering.filters[..18].iter().all(|filtered| filtered.ef == 100), "in the order asked for");
    for filtered in &filtering.filters {
        let Filtered { recall, flat_recall, matches, share, .. } = filtered;
        // Every store turns its vectors another way, and two hundred neighbours tell a share to a hundredth or two.
        assert!(*flat_recall >= 0.97 && *recall >= 0.94, "{filtered:?}");
        assert!((matches / ROWS as f64 - share).abs() < 0.3 * share + 0.002, "{filtered:?}");
        assert!(filtered.us > 0.0 && filtered.flat_us > 0.0 && filtered.unfiltered_us > 0.0, "{filtered:?}");
        assert!(filtered.compared > 0.0 && filtered.matching_us > 0.0, "{filtered:?}");
        assert!(filtering.to_string().contains(filtered.kind.as_str()));
    }
    let walks: Vec<f64> =
        filtering.filters.iter().filter(|filtered| filtered.walked > 0.5).map(|walk| walk.recall).collect();
    let mean = walks.iter().sum::<f64>() / walks.len() as f64;
    assert!(mean >= 0.97, "{mean} {filtering}");
    let few = |filtered: &&Filtered| filtered.share < 0.01;
    assert!(filtering.filters.iter().filter(few).all(|filtered| filtered.hops == 0.0 && filtered.walked == 0.0));
    assert!(filtering.filters.iter().any(|filtered| filtered.walked > 0.5), "{filtering}");
    let json = serde_json::to_value(&filtering).unwrap();
    assert_eq!((&json["queries"], &json["filters"][0]["kind"]), (&json!(40), &json!("random")));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = Mixture::new(4, 3, 0.5, 1).dataset(Distance::L2, 100, 5, 5, 2);
    let usual = options(folder.path(), &set);
    for refused in [
        FilterOptions { k: 6, ..usual.clone() },
        FilterOptions { rounds: 0, ..usual.clone() },
        FilterOptions { queries: 0, ..usual.clone() },
        FilterOptions { ef: Vec::new(), ..usual.clone() },
        FilterOptions { core: Some(usize::MAX), ..usual.clone() },
    ] {
        assert!(filter(&refused, &mut |stage, _, _| unreachable!("{stage:?}")).is_err(), "{refused:?}");
    }
}
