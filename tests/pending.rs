//! Erasures that wait or are interrupted: what is answered while an anchor store is away, and that a receipt counts the same
//! whether or not a crash came between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "takes a directory away and brings it back")]

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use engine::{Clock, ErrorKind, RetentionRun, Step, StoredReceipt, Window};
use lethedb_tests::vaults::{ENVIRONMENT, VAULTS, record, records};
use lethedb_tests::workload::{Action, Store, Workload, start};
use lethedb_tests::world::{TickingClock, on_disk};
use privacy::erasure::Purging;
use storage::backend::Faulty;
use storage::backend::faulty::Crash;

const HOUR: u64 = 60 * 60 * 1000;

/// The volume of one of two anchor stores is away while somebody is erased, and comes back.
#[test]
fn an_erasure_is_pending_while_an_anchor_store_is_away_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let clock = Arc::new(TickingClock::default());
    let open = on_disk(&path("data")).anchor_dir(path(VAULTS[0])).anchor_dir(path(VAULTS[1]));
    let db = open.clock(Arc::clone(&clock) as Arc<dyn Clock>).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    docs.upsert((0..20).map(|id| record(id, 1))).unwrap();
    env.flush().unwrap();
    docs.upsert((15..24).map(|id| record(id, 2))).unwrap();
    let before = records(&db).unwrap();
    docs.set_retention(Window::from_ms(2 * HOUR).ok()).unwrap();
    let is_away = |is_away: bool| {
        let (home, away) = (path(VAULTS[1]), path("away"));
        let (from, to) = if is_away { (home, away) } else { (away, home) };
        fs::rename(from, to).unwrap();
    };
    is_away(true);

    let erasure = env.erase("owner-2").reason("request 7").run().unwrap();
    let pending = erasure.pending.clone().unwrap();
    assert!(pending.contains("anchor store"), "{pending}");
    assert!(erasure.shredded_at.is_none() && erasure.purged_at.is_none() && erasure.receipt.is_none());
    assert!(erasure.hidden_at > 0 && erasure.records_deleted > 0);
    let others = before.iter().filter(|(id, _)| *id % 5 != 2).map(|(id, version)| (*id, *version)).collect();
    assert_eq!(records(&db).unwrap(), others, "no read returns what is pending");
    let error = env.receipt(erasure.job).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("not destroyed yet"), "{error}");
    assert!(env.step().is_err(), "upkeep says why it cannot go on");

    is_away(false);
    while env.step().unwrap() != Step::Idle {}
    let stored = env.receipt(erasure.job).unwrap();
    stored.receipt.verify(&env.receipt_key()).unwrap();
    assert_eq!(stored.reason.as_deref(), Some("request 7"));
    assert!(stored.receipt.statement().purging.purged > 0);
    let anchors = |vault: &str| {
        let names = fs::read_dir(path(vault).join(ENVIRONMENT)).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| !name.to_str().unwrap().contains('-')).collect::<Vec<_>>()
    };
    assert!(anchors(VAULTS[0]).len() == 1 && anchors(VAULTS[0]) == anchors(VAULTS[1]));
    assert_eq!(records(&db).unwrap(), others);

    // Retention says the same in its own words.
    docs.upsert((40..45).map(|id| record(id, 3))).unwrap();
    clock.pass(4 * HOUR);
    is_away(true);
    let ran = env.retain().run().unwrap();
    assert!(ran.pending.is_some_and(|pending| pending.contains("anchor store")) && ran.shredded_at.is_none());
    assert!(ran.records_removed > 0 && records(&db).unwrap().is_empty());
    is_away(false);
    while env.step().unwrap() != Step::Idle {}
    assert_eq!(env.retain().run().unwrap(), RetentionRun::default());
    assert_eq!(env.verify_deep().unwrap().problems, []);
}

/// Every crash of an erasure, after which its receipt counts the segments that it counts without one.
#[test]
fn a_receipt_counts_the_same_whatever_crash_came_between() {
    for owner in 0..3 {
        let actions = vec![Action::Put(50..75, 7), Action::Flush, Action::Erase(owner)];
        let workload = Workload { name: "counts".into(), bare: false, actions, shared: 0 };
        let (medium, _) = start(&workload, 1).unwrap();
        let disk = Faulty::on(medium).recording();
        let mut store = Store::open(Arc::new(disk.clone()), 2).unwrap();
        let env = store.environment().unwrap();
        // The one that the furnished store has behind it.
        let known = (0..64).filter(|job| env.receipt(*job).is_ok()).count();
        drop(env);
        workload.actions.iter().for_each(|action| store.act(action).unwrap());
        let counts = |store: &Store| {
            let env = store.environment().unwrap();
            let stored: Vec<_> = (0..64).filter_map(|job| env.receipt(job).ok()).collect();
            // After a crash there is no graph in memory to repair: what was not repaired by then is built anew.
            let counted = |stored: &StoredReceipt| {
                let said = stored.receipt.statement();
                let Purging { purged, rebuilt, repaired, quarantined } = said.purging;
                [purged, rebuilt + repaired, quarantined, said.records()]
            };
            stored.get(known).map(counted)
        };
        let undisturbed = counts(&store).unwrap();
        assert!(undisturbed[0] > 1 && undisturbed[1] > 1 && undisturbed[3] > 0, "{undisturbed:?}");
        drop(store);
        let (mut seen, mut met) = (HashSet::new(), [0, 0]);
        for (at, (_, medium)) in (0..).zip(disk.history()) {
            for crash in [Crash::Process, Crash::DropAll, Crash::Subset(at)] {
                let image = medium.crashed(crash);
                if !seen.insert(image.fingerprint()) {
                    continue;
                }
                let store = Store::open(Arc::new(Faulty::on(image)), 100 + at).unwrap();
                let found = counts(&store);
                met[usize::from(found.is_some())] += 1;
                assert!(found.is_none_or(|found| found == undisturbed), "{owner}: {at}, {crash:?}: {found:?}");
            }
        }
        assert!(met[0] > 3 && met[1] > 20, "{met:?} of {undisturbed:?}");
    }
}
