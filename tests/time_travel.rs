//! Erasure against somebody who kept everything: the root key, the live anchors, and every byte that was ever written to
//! any file of the store and to its backups, interrupted erasures and crashes included.
//!
//! What is left is what the log tells of somebody: that the same unknown person was exported and erased. What lists keep by
//! tag is left as well, the consent latch on purpose and old versions of the holds with it: whoever guesses a name learns
//! whether that person revoked consent or was held, and which events of the log said so; no other event.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::{Collection, Environment, ErrorKind, Filter, Record, Step};
use lethedb_tests::known::{Known, Person};
use lethedb_tests::time_travel::Archive;
use lethedb_tests::workload::ENVIRONMENT;
use lethedb_tests::world::over;
use privacy::audit::{Act, Event};
use serde_json::json;
use storage::backend::Faulty;
use storage::backend::faulty::{Crash, Fault, FaultKind};

/// The salt of the receipt: with it and a guess of the name, the receipt tells who it is about.
const SALT: &[u8; 32] = b"the salt of somebody who is gone";
const GONE: &str = "person-who-left";
const STAYS: &str = "person-who-stays";
const DIMENSION: u64 = 8;
/// Ids that occur nowhere by chance.
const GONE_IDS: u64 = 0xDEAD_0000_0000;
const STAYING_IDS: u64 = 0xA11E_0000_0000;

fn vector(id: u64) -> Vec<f32> {
    (0..DIMENSION).map(|i| ((id % 97 * 31 + i * 17) % 101) as f32 - 50.5 + (id >> 40) as f32 / 7.0).collect()
}

fn record(id: u64, owner: &str) -> Record {
    Record::new(id, vector(id)).entity(owner).payload(json!({ "note": format!("canary-{id:x}") }))
}

fn of(first: u64, owner: &'static str, count: u64) -> impl Iterator<Item = Record> {
    (first..first + count).map(move |id| record(id, owner))
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// What the adversary may know of the one who left: nothing; and of the one who stays: everything.
fn judge(known: &Known, archive: &Archive) -> Result<(), String> {
    let told = |what: &str| Err(format!("the adversary knows {what} of an erased person"));
    let person = archive.person(GONE);
    let secrets = || person.keys.iter().chain(&person.blinds);
    if secrets().any(|secret| known.keys.contains(secret) || known.blinds.contains(secret) || known.knows(secret)) {
        return told("a key or the blind");
    }
    let tag = person.tag.as_ref().ok_or("the store never had a keyring")?;
    let guessed = archive.pseudonyms(tag, known.blinds.iter().chain(&known.keys));
    if !guessed.is_disjoint(&person.pseudonyms) {
        return told("the pseudonym");
    }
    if !listed(known).is_disjoint(&person.pseudonyms) {
        return told("by the order of a list, the pseudonym");
    }
    if known.told.iter().any(|told| contains(told, tag.as_bytes())) {
        return told("what the log says by the tag");
    }
    if known.knows(GONE.as_bytes()) {
        return told("the name");
    }
    if known.ids.range(GONE_IDS..GONE_IDS + 0x1000).next().is_some() {
        return told("an id");
    }
    if known.knows(format!("canary-{:x}", GONE_IDS >> 16).as_bytes()) {
        return told("a payload");
    }
    if (0..60).any(|at| known.knows(&bytes(&vector(GONE_IDS + at)))) {
        return told("a vector");
    }
    Ok(())
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// The pseudonyms in events about lists that keep tags, of which the order and the time of the lists tell whose they are.
fn listed(known: &Known) -> BTreeSet<[u8; 32]> {
    let subject = |event: &Vec<u8>| match Event::decode(event).ok()?.entry.act {
        Act::HoldPlaced { subject } | Act::HoldLifted { subject } | Act::ConsentRevoked { subject } => {
            Some(*subject.as_bytes())
        }
        _ => None,
    };
    known.told.iter().filter_map(subject).collect()
}

/// How many of the events that the adversary reads are about somebody.
fn events_about(known: &Known, person: &Person) -> usize {
    let is_about = |event: &&Vec<u8>| person.pseudonyms.iter().any(|pseudonym| contains(event, pseudonym));
    known.told.iter().filter(is_about).count()
}

fn knows_who_stays(known: &Known) {
    assert!(known.keyrings > 0 && known.knows(STAYS.as_bytes()) && known.ids.contains(&STAYING_IDS));
    assert!(known.knows(&bytes(&vector(STAYING_IDS))), "the adversary does not even see what is there");
}

fn docs(env: &Environment, name: &str) -> Collection {
    env.collection(name).dimension(DIMENSION as usize).open_or_create().unwrap()
}

/// A life with segments, a memtable, replaced and deleted records, a merge, and two collections.
fn live(env: &Environment) {
    let (docs, notes) = (docs(env, "docs"), docs(env, "notes"));
    docs.upsert(of(GONE_IDS, GONE, 20).chain(of(STAYING_IDS, STAYS, 20))).unwrap();
    env.flush().unwrap();
    docs.upsert(of(GONE_IDS + 10, GONE, 20).chain(of(STAYING_IDS + 10, STAYS, 20))).unwrap();
    notes.upsert(of(GONE_IDS + 40, GONE, 5).chain(of(STAYING_IDS + 40, STAYS, 5))).unwrap();
    docs.delete([GONE_IDS + 1, STAYING_IDS + 1]).unwrap();
    env.flush().unwrap();
    while env.step().unwrap() != Step::Idle {}
    docs.update([GONE_IDS + 2]).set(json!({ "changed": true })).run().unwrap();
    docs.upsert(of(GONE_IDS + 50, GONE, 9).chain(of(STAYING_IDS + 50, STAYS, 9))).unwrap();
    for person in [GONE, STAYS] {
        assert!(env.export_entity(person).unwrap().count() > 0);
        assert!(env.hold(person, "case 7").unwrap());
        assert_eq!(env.erase(person).run().unwrap_err().kind(), ErrorKind::Held);
    }
    env.release_hold(GONE).unwrap();
    env.revoke_consent(GONE).unwrap();
}

fn after(env: &Environment) {
    docs(env, "docs").upsert(of(STAYING_IDS + 100, STAYS, 30)).unwrap();
    env.flush().unwrap();
    while env.step().unwrap() != Step::Idle {}
    assert_eq!(docs(env, "docs").count().filter(Filter::entity(GONE)).run().unwrap().count, 0);
}

/// A life, a backup, an erasure and a life after it; everything of it, kept.
fn erased() -> Archive {
    let (disk, backups) = (Faulty::new().recording(), Faulty::new().recording());
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    live(&env);
    let shelf = engine::Archive::on(Arc::new(backups.clone()));
    let kept = env.backup(&shelf).unrecoverable(true).run().unwrap();
    assert!(kept.backup.records > 50);
    env.erase(GONE).salt(*SALT).reason("request 882").run().unwrap();
    after(&env);
    db.close().unwrap();
    Archive::of(&[&disk], &[GONE, STAYS]).unwrap().with_backups(&backups)
}

#[test]
fn whoever_kept_everything_finds_nobody_who_was_erased() {
    let archive = erased();
    let person = archive.person(GONE);
    assert_eq!((person.blinds.len(), person.keys.len()), (1, 2), "a blind, and a key in each collection");
    let known = archive.known();
    knows_who_stays(&known);
    judge(&known, &archive).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(listed(&known).len(), 2, "two were held");
    assert!(known.knows(b"request 882") && !known.knows(SALT), "a salt is stored nowhere");
    // The log tells of them still, as of one and the same; and so of whoever stays, of whom it says who that is.
    assert!(events_about(&known, &person) >= 2, "the adversary does not even read the log");
    let stays = archive.person(STAYS);
    let guessed = archive.pseudonyms(&stays.tag.unwrap(), &known.blinds);
    assert!(!guessed.is_disjoint(&stays.pseudonyms) && events_about(&known, &stays) >= 1);
    // Not even the blind itself, unknown as such, stands anywhere in what is written down about people.
    let windows = known.told.iter().flat_map(|told| told.windows(32)).filter_map(|window| window.try_into().ok());
    let windows: BTreeSet<&[u8; 32]> = windows.collect();
    assert!(archive.pseudonyms(&person.tag.unwrap(), windows).is_disjoint(&person.pseudonyms));
}

/// The same code, given the anchors that were destroyed: it must find everything, or it proves nothing.
#[test]
fn with_the_destroyed_anchors_everything_is_found() {
    let archive = erased();
    let known = archive.known_to_a_thief_of_anchors();
    knows_who_stays(&known);
    assert!(judge(&known, &archive).is_err());
    let person = archive.person(GONE);
    assert!(person.keys.iter().any(|secret| known.keys.contains(secret)));
    assert!(known.knows(GONE.as_bytes()) && known.ids.contains(&GONE_IDS) && known.ids.contains(&(GONE_IDS + 50)));
    assert!((0..59).filter(|at| known.knows(&bytes(&vector(GONE_IDS + at)))).count() > 30);
    assert!(known.knows(format!("canary-{GONE_IDS:x}").as_bytes()));
    let guessed = archive.pseudonyms(&person.tag.unwrap(), &known.blinds);
    assert!(!guessed.is_disjoint(&person.pseudonyms), "the events of the log are not linked to the name");
}

/// Before the erasure the live anchors find them, too: it is the erasure that makes the difference.
#[test]
fn without_an_erasure_the_live_anchors_find_everybody() {
    let disk = Faulty::new().recording();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    live(&db.environment(ENVIRONMENT).unwrap());
    db.close().unwrap();
    let archive = Archive::of(&[&disk], &[GONE, STAYS]).unwrap();
    assert!(judge(&archive.known(), &archive).is_err());
}

/// An erasure that a crash ends at any place, and that opening ends: the whole history of both processes is kept.
#[test]
fn a_crash_at_any_place_of_an_erasure_leaves_nothing_behind() {
    let disk = Faulty::new().recording();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    live(&env);
    let began = disk.operations();
    env.erase(GONE).run().unwrap();
    let ended = disk.operations();
    drop(env);
    db.close().unwrap();

    let history = disk.history();
    let moments: Vec<_> = history.iter().filter(|(at, _)| (began..=ended).contains(at)).collect();
    let (mut erased, mut not_begun) = (0, 0);
    for (nth, (moment, medium)) in moments.iter().enumerate() {
        let crash = [Crash::Process, Crash::DropAll, Crash::Subset(*moment), Crash::Torn(*moment)][nth % 4];
        let again = Faulty::on(medium.crashed(crash)).recording();
        let db = over(Arc::new(again.clone()), 50 + moment).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        let is_there = docs(&env, "docs").count().filter(Filter::entity(GONE)).run().unwrap().count > 0;
        if is_there {
            // The crash came before anybody was promised anything; a second attempt is another erasure.
            not_begun += 1;
            env.erase(GONE).run().unwrap();
        }
        after(&env);
        db.close().unwrap();
        erased += 1;
        let archive = Archive::of(&[&disk, &again], &[GONE, STAYS]).unwrap();
        let known = archive.known();
        knows_who_stays(&known);
        judge(&known, &archive).unwrap_or_else(|found| panic!("crash {crash:?} at operation {moment}: {found}"));
    }
    assert!(erased > 20 && not_begun < erased, "{erased} crashes, {not_begun} before the erasure began");
}

/// An erasure that fails half-way, its epoch aborted, and is asked for again.
#[test]
fn an_epoch_that_was_aborted_leaves_nothing_behind() {
    for after_operations in (0..160).step_by(13) {
        let disk = Faulty::new().recording();
        let db = over(Arc::new(disk.clone()), 1).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        live(&env);
        let at = disk.operations() + after_operations;
        disk.fail(Some(Fault { at, kind: FaultKind::Io, sticky: false }));
        let _failed_or_not = env.erase(GONE).run();
        disk.fail(None);
        drop(env);
        let _ = db.close();
        let db = over(Arc::new(disk.clone()), 2).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        env.erase(GONE).run().unwrap();
        after(&env);
        db.close().unwrap();
        let archive = Archive::of(&[&disk], &[GONE, STAYS]).unwrap();
        let known = archive.known();
        knows_who_stays(&known);
        judge(&known, &archive).unwrap_or_else(|found| panic!("a fault after {after_operations} operations: {found}"));
    }
}
