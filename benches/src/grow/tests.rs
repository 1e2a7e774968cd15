//! Growth from end to end, of stores as small as a graph can be.

use super::*;

const BASE: Case = Case { n: 2400, dimension: 16, segments: 1, deleted: 0, k: 5, threads: 1 };

fn options(axes: Vec<(Growing, Vec<usize>)>, folder: &TempDir) -> GrowOptions {
    GrowOptions { base: BASE, axes, queries: 20, recall: 0.9, folder: Some(folder.path().to_owned()) }
}

#[test]
fn every_axis_is_measured_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let axes = vec![
        (Growing::Segments, vec![2, 1]),
        (Growing::Deleted, vec![0, 50, 50]),
        (Growing::K, vec![1, 9]),
        (Growing::Threads, vec![2]),
    ];
    let mut stages = Vec::new();
    let growth = grow(&options(axes, &folder), &mut |stage, _, _| stages.push(stage)).unwrap();
    assert!([Stage::Synth, Stage::Import, Stage::Build, Stage::Search].iter().all(|stage| stages.contains(stage)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "stores are removed");

    let values = |at: usize| -> Vec<usize> {
        let Along { axis, points } = &growth.axes[at];
        points.iter().map(|grown| grown.case.value(*axis)).collect()
    };
    assert_eq!(values(0), [1, 2], "values rise");
    assert_eq!(values(1), [0, 50], "no value is measured twice");
    let built = growth.axes.iter().map(|axis| axis.points.iter().filter(|grown| grown.build_seconds.is_some()).count());
    assert_eq!(built.collect::<Vec<_>>(), [2, 1, 1, 1], "a store is used as long as it serves");
    for grown in growth.axes.iter().flat_map(|axis| &axis.points) {
        let cost = grown.cost.unwrap();
        assert!(cost.recall >= 0.9 && cost.ef >= grown.case.k as f64, "{cost:?}");
        assert!(cost.hops > 0.0 && cost.compared > cost.hops && cost.us > 0.0, "{cost:?}");
        // At least a code of 64 bytes for each row compared, and a list of 48 neighbours for each hop.
        assert!(cost.bytes > 64.0 * cost.compared + 192.0 * cost.hops, "{cost:?}");
        assert!(grown.roof.unwrap() > 0.0 && grown.roof_of_rows.unwrap() > 0.0 && grown.qps.unwrap() > 0.0);
    }
    for axis in &growth.axes {
        let svg = axis.picture(&growth).svg().unwrap();
        assert!(svg.contains("microseconds") && svg.contains(axis.axis.label()));
        assert!(growth.to_string().contains(axis.axis.as_str()));
    }
    let json = serde_json::to_value(&growth).unwrap();
    assert_eq!(json["axes"][1]["points"][1]["case"]["deleted"], 50);
    assert_eq!(json["axes"][2]["axis"], "k");
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let axes = vec![(Growing::N, vec![2000]), (Growing::Deleted, vec![95])];
    let refused = grow(&options(axes, &folder), &mut |stage, _, _| unreachable!("{stage:?}")).unwrap_err();
    assert!(matches!(refused, RunError::Case { what: "deleted", value: 95, .. }), "{refused}");
}

#[test]
fn a_recall_that_no_width_reaches_has_no_figures() {
    let folder = tempfile::tempdir().unwrap();
    let options = GrowOptions { recall: 1.1, ..options(vec![(Growing::N, vec![100])], &folder) };
    let growth = grow(&options, &mut |_, _, _| {}).unwrap();
    assert_eq!(growth.axes[0].points[0].cost, None);
    assert!(growth.to_string().contains("not reached"));
    assert!(growth.axes[0].picture(&growth).svg().is_ok());
}

#[test]
fn widths_rise_from_k_to_the_widest() {
    assert_eq!(widths(1).take(6).collect::<Vec<_>>(), [1, 2, 3, 5, 8, 12]);
    assert!(widths(10).all(|ef| (10..=EF_MOST).contains(&ef)));
    assert_eq!(widths(EF_MOST + 1).collect::<Vec<_>>(), [EF_MOST + 1]);
}
