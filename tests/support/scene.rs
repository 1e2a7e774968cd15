//! A store with two backups and a past that must not be forgotten, everything on one disk and durable; and the judge of
//! an environment that is found on such a disk later.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Consent, Environment};
use storage::backend::Faulty;
use storage::backend::faulty::{Crash, Medium};

use crate::backups::{Held, held};
use crate::places::Places;
use crate::workload::{ENVIRONMENT, record};

/// Who was erased after the first backup.
const ERASED: &str = "data-subject-2";
/// Who revoked before the first backup, and who after it.
const REVOKED: [&str; 2] = ["revoked-early", "revoked-late"];
/// Who is held since the last backup, and who is no more.
const HELD: [&str; 2] = ["held-since", "held-once"];

/// The disk, and what is on it.
pub struct Scene {
    /// The disk, everything on it durable.
    pub medium: Medium,
    /// What the store holds.
    pub now: Held,
    /// What each backup opens to, by number.
    pub backups: BTreeMap<u64, Held>,
    outside: bool,
    events: u64,
    job: u64,
}

impl Scene {
    /// Such a disk; keys lie `outside` the data directory, too, or only in it.
    #[must_use]
    pub fn new(outside: bool) -> Self {
        let disk = Faulty::new();
        let places = Places::of(Arc::new(disk.clone()), outside);
        let db = places.builder("data", 1).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        let back_up = || {
            env.backup(&places.archive()).unrecoverable(!outside).run().unwrap();
            held(&env)
        };
        let docs = env.collection("docs").dimension(3).create().unwrap();
        docs.upsert((0..24).map(|id| record(id, 1))).unwrap();
        env.flush().unwrap();
        docs.upsert((20..30).map(|id| record(id, 2))).unwrap();
        env.revoke_consent(REVOKED[0]).unwrap();
        env.hold(HELD[1], "a case").unwrap();
        let first = back_up();
        docs.delete(0u64..9).unwrap();
        docs.upsert((60..70).map(|id| record(id, 3))).unwrap();
        let second = back_up();
        docs.delete(20u64..22).unwrap();
        env.revoke_consent(REVOKED[1]).unwrap();
        env.release_hold(HELD[1]).unwrap();
        env.hold(HELD[0], "another case").unwrap();
        let job = env.erase(ERASED).run().unwrap().job;
        let now = held(&env);
        let events = env.verify_audit(true).unwrap().through;
        let kept = |held: Held| held.into_iter().filter(|(_, seen)| !seen.contains(ERASED)).collect();
        let backups = BTreeMap::from([(1, kept(first)), (2, kept(second))]);
        drop((docs, env));
        db.close().unwrap();
        Self { medium: disk.medium().crashed(Crash::KeepAll), now, backups, outside, events, job }
    }

    /// The places on a disk that was this one once.
    #[must_use]
    pub fn on(&self, image: &Medium) -> Places {
        self.over(Faulty::on(image.clone()))
    }

    /// The same over a disk that may fail.
    #[must_use]
    pub fn over(&self, disk: Faulty) -> Places {
        Places::of(Arc::new(disk), self.outside)
    }

    /// The same on whatever tells of a disk.
    #[must_use]
    pub fn places(&self, whole: crate::places::Backend) -> Places {
        Places::of(whole, self.outside)
    }

    /// What is in the environment, in which whatever never rolls back is as it was last.
    #[must_use]
    pub fn look(&self, env: &Environment, label: &str) -> Held {
        let revoked = REVOKED.map(|who| env.consent(who).unwrap());
        assert_eq!(revoked, [Consent::Revoked; 2], "{label}: a revocation was forgotten");
        let are_held = HELD.map(|who| env.hold_of(who).unwrap().is_some());
        assert_eq!(are_held, [true, false], "{label}: a hold was forgotten, or a release");
        env.receipt(self.job).unwrap_or_else(|error| panic!("{label}: the receipt is gone: {error}"));
        let events = env.verify_audit(true).unwrap_or_else(|error| panic!("{label}: {error}")).through;
        assert!(events >= self.events, "{label}: the audit log has {events} of {} events", self.events);
        assert_eq!(env.verify_deep().unwrap().problems, vec![], "{label}");
        held(env)
    }
}
