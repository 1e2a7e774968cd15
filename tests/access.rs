//! The book of API keys, rules and approvers: what it says after every crash, at every moment of every change of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{
    ApiKeyClass, ApiKeyRequest, Approval, Credentials, Database, Error, ErrorKind, Operation, VoterKey, new_voter_key,
    quorum_of, rules_of,
};
use lethedb_tests::world::over;
use storage::backend::faulty::Crash;
use storage::backend::{Faulty, StorageBackend};

const ENVIRONMENT: &str = "acme";

/// What happened, and at which operation of the disk it was acknowledged.
struct Done {
    key: String,
    made: u64,
    rotated: (String, u64),
    revoked: u64,
    ruled: u64,
    dropped: u64,
    /// The votes for what was done once, and when that was.
    approval: Approval,
    spent: u64,
    ended: u64,
}

fn create(db: &Database) -> (String, String) {
    let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, ENVIRONMENT);
    request.roles = vec!["ReadOnly".to_owned()];
    let made = db.access().create(&request).unwrap();
    (made.text.to_string(), made.info.id)
}

fn is_let_in(db: &Database, key: &str) -> bool {
    match db.authorize(&Credentials::api_key(key)) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            false
        }
    }
}

fn shows_rules(db: &Database) -> bool {
    db.access().rules(ENVIRONMENT).unwrap().contains_key("docs")
}

/// The operation that a change of the approvers is refused for, with the votes of all.
fn voted(voters: &[VoterKey], refused: &Error) -> Approval {
    let needed = refused.approval_needed().unwrap();
    let operation: Operation = needed.operation.parse().unwrap();
    let votes = voters.iter().map(|key| key.vote(&operation, &needed.statement).unwrap()).collect();
    Approval { operation, votes }
}

/// Everything that changes the book, one after the other.
fn workload(disk: &Faulty) -> Done {
    let now = || disk.operations();
    let shared: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    let db = over(Arc::clone(&shared), 2).open().unwrap();
    let (key, id) = create(&db);
    let made = now();
    let other = db.access().rotate(ENVIRONMENT, &id, 0).unwrap().text.to_string();
    let rotated = (other, now());
    assert!(db.access().revoke(ENVIRONMENT, &id).unwrap());
    let revoked = now();
    let rules = rules_of([("search", "payload.org == claims.org")]).unwrap();
    db.access().set_rules(ENVIRONMENT, "docs", &rules).unwrap();
    let ruled = now();
    assert!(db.environment(ENVIRONMENT).unwrap().drop_collection("docs").unwrap());
    let dropped = now();
    db.environment(ENVIRONMENT).unwrap().collection("docs").dimension(2).create().unwrap();
    let voters: Vec<VoterKey> = (0..2).map(|_| new_voter_key().unwrap()).collect();
    let keys: Vec<String> = voters.iter().map(|key| key.public().to_string()).collect();
    let quorum = quorum_of(2, &keys).unwrap();
    db.access().set_approvers(ENVIRONMENT, Some(&quorum)).unwrap();
    let approval = voted(&voters, &db.access().set_approvers(ENVIRONMENT, Some(&quorum)).unwrap_err());
    db.access().approved_by(&approval).set_approvers(ENVIRONMENT, Some(&quorum)).unwrap();
    let spent = now();
    Done { key, made, rotated, revoked, ruled, dropped, approval, spent, ended: now() }
}

#[test]
fn no_crash_gives_a_key_back_or_an_approval_twice() {
    let disk = Faulty::new();
    let shared: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    let db = over(Arc::clone(&shared), 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    env.collection("docs").dimension(2).create().unwrap();
    let (earlier, _) = create(&db);
    drop(env);
    db.close().unwrap();
    let disk = Faulty::on(disk.medium().crashed(Crash::KeepAll)).recording();
    let done = workload(&disk);
    let mut seen = std::collections::HashSet::new();
    for (moment, medium) in &disk.history() {
        for crash in [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(*moment), Crash::Torn(*moment)] {
            let image = medium.crashed(crash);
            if !seen.insert(image.fingerprint()) {
                continue;
            }
            let image: Arc<dyn StorageBackend> = Arc::new(Faulty::on(image));
            let db = over(Arc::clone(&image), 1000 + moment).open().unwrap();
            let context = format!("operation {moment} of {}, {crash:?}", done.ended);
            let after = |acknowledged: u64| *moment >= acknowledged;
            assert!(is_let_in(&db, &earlier), "{context}: a key that was there is");
            let (first, second) = (is_let_in(&db, &done.key), is_let_in(&db, &done.rotated.0));
            assert!(!(first && second), "{context}: one secret at a time");
            assert!(
                first || second || !after(done.made) || after(done.rotated.1 + 1),
                "{context}: a key that was made"
            );
            assert!(!first || !after(done.rotated.1), "{context}: a secret that was replaced");
            assert!(!(first || second) || !after(done.revoked), "{context}: a key that was revoked");
            let is_ruled = shows_rules(&db);
            assert!(!is_ruled || !after(done.dropped), "{context}: rules of a collection that is gone");
            let is_there = !db.environment(ENVIRONMENT).unwrap().collections().is_empty();
            if after(done.ruled) && !after(done.dropped + 1) {
                assert_eq!(is_ruled, is_there, "{context}: rules end with their collection, and no sooner");
            }
            if after(done.spent) {
                let quorum = db.access().approvers(ENVIRONMENT).unwrap();
                let again = db.access().approved_by(&done.approval).set_approvers(ENVIRONMENT, quorum.as_ref());
                assert_eq!(again.unwrap_err().kind(), ErrorKind::Unapproved, "{context}: votes that were spent");
            }
        }
    }
    println!("{} crash images over {} operations", seen.len(), done.ended);
}
