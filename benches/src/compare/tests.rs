//! The whole comparison against peers that are a few lines of shell, so that no Python is needed: who is right, who is
//! wrong, who refuses, who crashes, who is silent.

use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use datasets::synthetic::Mixture;
use datasets::{Distance, hdf5};

use super::*;
use crate::comparison::Engine;
use crate::peer::PeerError;

const QUERIES: usize = 50;
const K: usize = 10;

/// Speaks the protocol: arguments are the script, the peer, the folder of the data, a home of its own, and the core.
const FAKE: &str = r#"#!/bin/sh
while read -r line; do
  ids=$(printf '%s' "$line" | sed 's/.*"ids":"\([^"]*\)".*/\1/')
  case "$2 $line" in
    *'"describe"'*) echo '{"version": "9.9", "batched": true, "builds": [
        {"engine": "'"$2"' a", "label": "M=8", "setting": {"make": "good"}, "searches": [
          {"label": "ef=9", "setting": {"find": "all"}}, {"label": "ef=1", "setting": {"find": "nothing"}}]},
        {"engine": "'"$2"' a", "label": "M=0", "setting": {"make": "none"}, "searches": []},
        {"engine": "'"$2"' b", "label": "M=1", "setting": {"make": "trouble"}, "searches": []}]}' | tr -d '\n'; echo ;;
    *'"make":"none"'*) echo '{"error": "M must not be 0"}' ;;
    'usearch '*'"make":"trouble"'*) echo 'out of luck' >&2; kill -6 $$ ;;
    'scann '*'"make":"trouble"'*) exec sleep 600 ;;
    *'"make"'*) mkdir "$4/0" && echo '{"index": 7, "seconds": 1.5, "rss_before": 1000, "disk_bytes": 300}' ;;
    *'"find":"all"'*) cp "$(dirname "$0")/exact.ids" "$ids"; echo '{"seconds": 0.25, "rss": 5000}' ;;
    *'"find":"nothing"'*) : > "$ids"; echo '{"seconds": 0.125, "rss": 5000}' ;;
    *) echo '{}' ;;
  esac
done
"#;

/// A folder with the fake and a data set; made before any test starts a process, which could inherit an open file.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = || {
        let folder = tempfile::tempdir().unwrap();
        let set = Mixture::new(8, 5, 0.5, 1).dataset(Distance::L2, 1_200, QUERIES, K, 2);
        let neighbors = set.neighbors.as_ref().unwrap();
        let ids: Vec<u8> = neighbors.iter().flatten().flat_map(|id| i64::from(*id).to_le_bytes()).collect();
        std::fs::write(folder.path().join("exact.ids"), ids).unwrap();
        hdf5::write(folder.path().join("set.hdf5"), &set).unwrap();
        let fake = folder.path().join("fake");
        std::fs::write(&fake, FAKE).unwrap();
        std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).unwrap();
        folder
    };
    FOLDER.get_or_init(made).path()
}

fn options(peers: &[&str]) -> CompareOptions {
    CompareOptions {
        dataset: folder().join("set.hdf5"),
        peers: peers.iter().map(|name| name.parse().unwrap()).collect(),
        python: folder().join("fake"),
        k: K,
        entities: None,
        ef: vec![10, 64, 400],
        core: None,
        rounds: 3,
        grid: Grid::Small,
        build_threads: 1,
        timeout: Duration::from_secs(120),
        data: None,
    }
}

fn run(options: &CompareOptions) -> Result<Comparison, RunError> {
    compare(options, &mut |_, _, _| {})
}

#[test]
fn all_are_judged_by_one_scorer_and_who_fails_is_told() {
    let comparison = run(&options(&["hnswlib", "usearch"])).unwrap();
    let rows: Vec<&str> = comparison.engines.iter().map(|engine| engine.engine.as_str()).collect();
    assert_eq!(rows, ["lethedb", "hnswlib a", "hnswlib b", "usearch a", "usearch b"]);
    let [ours, good, _, lucky, crashed] = <[Engine; 5]>::try_from(comparison.engines.clone()).unwrap();

    assert_eq!(comparison.entities, 400);
    assert!(ours.at.iter().all(|speed| speed.qps.is_some()), "{ours:?}");
    assert!(ours.points.iter().any(|point| point.rounds == 3 && point.latency.is_some()));
    assert!(ours.builds[0].memory_bytes > 0 && ours.builds[0].disk_bytes > 0);

    let found: Vec<_> = good.points.iter().map(|point| (point.recall, point.qps, point.rounds)).collect();
    assert_eq!(found, [(1.0, 200.0, 3), (0.0, 400.0, 3)], "{QUERIES} queries in a quarter and an eighth of a second");
    assert!(good.at.iter().all(|speed| speed.qps.is_some_and(|qps| (200.0..=400.0).contains(&qps))));
    assert_eq!((good.builds[0].memory_bytes, good.builds[0].disk_bytes), (4000, 300));
    assert_eq!(good.did_not_run, ["M=0: M must not be 0"]);

    assert_eq!(lucky.did_not_run, good.did_not_run, "a crash takes no other row with it");
    assert!(lucky.at.iter().all(|speed| speed.qps.is_some()));
    assert!(crashed.points.is_empty() && crashed.did_not_run[0].ends_with("out of luck"), "{crashed:?}");
    assert!(crashed.did_not_run[0].contains("signal: 6"), "{crashed:?}");
    let text = comparison.to_string();
    assert!(text.contains("usearch b         did not run: its process ended with signal: 6"), "{text}");
}

#[test]
fn who_is_silent_is_given_up() {
    let name = "scann".parse().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let start = |timeout| Peer::start(&folder().join("fake"), &name, scratch.path(), 0, timeout).unwrap();
    let mut peer = start(Duration::from_millis(50));
    let error = peer.build(&serde_json::json!({ "make": "trouble" }), 1).unwrap_err();
    assert!(matches!(error, PeerError::Silent(_)), "{error}");
    let error = peer.forget(7).unwrap_err();
    assert!(matches!(error, PeerError::Ended { .. }), "{error}");
    assert!(start(Duration::from_secs(120)).forget(7).is_ok());
}

#[test]
fn what_cannot_be_measured_is_refused_at_once() {
    let refused = |options: CompareOptions| run(&options).unwrap_err();
    let base = || options(&["hnswlib"]);
    assert!(matches!(refused(CompareOptions { k: K + 1, ..base() }), RunError::Options(K)));
    assert!(matches!(refused(CompareOptions { rounds: 0, ..base() }), RunError::Options(_)));
    assert!(matches!(refused(CompareOptions { ef: Vec::new(), ..base() }), RunError::Options(_)));
    assert!(matches!(refused(CompareOptions { core: Some(usize::MAX), ..base() }), RunError::Core { .. }));
    let error = refused(CompareOptions { python: folder().join("none"), ..base() });
    assert!(matches!(&error, RunError::Python { .. }), "{error}");
    assert!(error.to_string().contains("--python"), "{error}");
}
