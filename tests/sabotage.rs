//! Each rule that durability rests on, broken by a disk or a caller that lies: the suites of crashes and of errors must
//! notice every one of them, or they prove nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use lethedb_tests::autopsy::autopsy;
use lethedb_tests::crash::{Depth, Recorded};
use lethedb_tests::errors::Rehearsed;
use lethedb_tests::lies::{Lie, Lying};
use lethedb_tests::oracle::Nonces;
use lethedb_tests::workload::{OWNERS, Store, named, owner_name, start};
use storage::backend::Faulty;
use storage::backend::faulty::{FaultKind, OperationKind};

const DEPTH: Depth = Depth { subsets: 8, torn: 6, ahead: 3, prefixes: 4 };

/// What the crash suite says of `workload` on a disk that tells `lie`.
fn crashed(workload: &str, lie: Lie) -> String {
    let recorded = Recorded::new(named(workload).unwrap(), 1, |disk| Arc::new(Lying::new(disk, lie)));
    match recorded.and_then(|recorded| {
        let everywhere = recorded.crash_everywhere(DEPTH, 0..recorded.len());
        everywhere.map_err(|violation| violation.what)
    }) {
        Ok(counts) => panic!("{lie:?} went unnoticed: {counts:?}"),
        Err(what) => what,
    }
}

macro_rules! noticed {
    ($($test:ident: $workload:literal, $lie:expr;)*) => {
        $(#[test]
        fn $test() {
            println!("{}", crashed($workload, $lie));
        })*
    };
}

noticed! {
    a_dropped_sync_of_the_log: "put", Lie::SkipsSync("/wal/");
    an_acknowledgement_before_the_sync: "put", Lie::SyncsLate("/wal/");
    a_dropped_sync_of_the_manifest: "flush", Lie::SkipsSync("MANIFEST");
    a_dropped_sync_of_rows: "flush", Lie::SkipsSync(".rec");
    a_dropped_sync_of_the_root_page: "epoch", Lie::SkipsSync("/pending-");
    a_dropped_sync_of_bucket_pages: "epoch", Lie::SkipsSync("/buckets-");
    a_key_used_before_its_extension_is_synced: "put", Lie::SkipsSync("/keyring/new-");
    a_rename_before_the_sync: "compact", Lie::RenamesFirst;
    a_dropped_sync_of_the_manifests_directory: "put", Lie::SkipsSyncDir("/acme");
    a_dropped_sync_of_the_segments_directory: "flush", Lie::SkipsSyncDir("/seg");
    a_dropped_sync_of_the_logs_directory: "put", Lie::SkipsSyncDir("/wal");
    a_dropped_sync_of_the_keyring_directory: "epoch", Lie::SkipsSyncDir("/keyring");
    a_dropped_sync_of_new_directories: "create", Lie::SkipsNewDirs;
    an_anchor_destroyed_too_early: "epoch", Lie::DestroysAnchorsEarly;
    an_anchor_destroyed_too_late: "erase", Lie::KeepsAnchors;
    old_files_removed_before_the_manifest_is_synced: "compact", Lie::SyncsManifestsLast;
}

/// A process that draws the same randomness as the one before it: its nonces come again over other plaintexts.
#[test]
fn nonces_that_come_again() {
    let recorded = Recorded::new(named("put").unwrap(), 1, |disk| Arc::new(disk)).unwrap().with_stale_entropy();
    let what = recorded.crash_everywhere(DEPTH, 0..recorded.len()).unwrap_err().what;
    assert!(what.contains("nonce"), "{what}");
}

/// A failed sync taken for a good one.
#[test]
fn a_failed_sync_that_is_swallowed() {
    let rehearsed = Rehearsed::new(named("put").unwrap(), 1).unwrap();
    let syncs = |kind| matches!(kind, OperationKind::Sync | OperationKind::SyncDir);
    let faults = rehearsed.faults().into_iter().filter(|fault| {
        fault.kind == FaultKind::Io && rehearsed.operation(fault.at).is_some_and(|operation| syncs(operation.kind))
    });
    let wrap = |disk: Faulty| -> Arc<dyn storage::backend::StorageBackend> {
        Arc::new(Lying::new(disk, Lie::SwallowsFailures))
    };
    let mut nonces = Nonces::new();
    let violations = faults.filter_map(|fault| rehearsed.inject(fault, wrap, &mut nonces).err()).count();
    assert!(violations > 0);
}

/// The judge must know a graph that was repaired from one that was built, and the workload that rebuilds must have both.
#[test]
fn a_repaired_graph_that_passes_for_a_built_one() {
    let workload = named("rebuild").unwrap();
    let disk = Faulty::on(start(&workload, 1).unwrap().0);
    let mut store = Store::open(Arc::new(disk.clone()), 2).unwrap();
    let waits = workload.actions.iter().map(|action| {
        store.act(action).unwrap();
        let found = autopsy(&disk.medium()).unwrap().indexes;
        assert!(found.iter().all(|index| index.waits != index.is_canonical));
        found.iter().any(|index| index.waits)
    });
    assert_eq!(waits.collect::<Vec<_>>(), [true, false, false, false, true, true, false]);
}

/// The judge looks for the names of erased people in every plaintext: it must see them where they are.
#[test]
fn an_autopsy_sees_who_is_there() {
    let (medium, state) = start(&named("put").unwrap(), 1).unwrap();
    let found = autopsy(&medium).unwrap();
    for number in 0..OWNERS {
        assert!(found.knows(&owner_name(number)), "owner {number}");
    }
    assert!(state["docs"].keys().all(|id| found.ids.contains(id)));
    assert!(!found.knows("nobody was ever called so"));
}
