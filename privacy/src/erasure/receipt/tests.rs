//! Receipts: one that was issued verifies, and nothing near it does.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::facts::{Fate, Segments};
use super::*;
use crate::audit::{Actor, Entry, Log, Source};
use crate::secret::KeyId;

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

fn key() -> SigningKey {
    SigningKey::from_bytes([5; 32])
}

fn salt(byte: u8) -> Salt {
    Salt::from_bytes([byte; 32])
}

fn id(id: &str) -> EntityId {
    EntityId::new(id).unwrap()
}

fn stamp(time_ms: u64) -> Stamp {
    Stamp { time_ms, sequence: time_ms + 7 }
}

fn job() -> Job {
    let subjects = [("user-42", 1), ("user-43", 2)].map(|(entity, byte)| Subject::of(&salt(byte), &id(entity)));
    let mut job = Job::begin(9, stamp(10), subjects);
    job.hide(stamp(11), |subject| if *subject == subjects[0] { 3 } else { 4 }).unwrap();
    let (destroyed, anchors) = (vec![KeyId([3; 16]), KeyId([4; 16])], vec![Grade::External, Grade::OtherVolume]);
    job.intend(Shredding { epoch: 6, destroyed, anchors }, Segments::of(0..6)).unwrap();
    job.shred(stamp(12)).unwrap();
    for (segment, fate) in [(0, Fate::Rebuilt), (1, Fate::Rebuilt), (2, Fate::Rebuilt), (3, Fate::Repaired)] {
        assert!(job.note(segment, fate));
    }
    job.purge(stamp(13), |segment| segment == 5).unwrap();
    job
}

fn entry(act: Act) -> Entry {
    Entry {
        time_ms: 99,
        actor: Actor::Host,
        source: Source::Library,
        outcome: Outcome::Done,
        request: None,
        act,
        detail: None,
    }
}

/// A log that tells `acts`, with the leaves that proofs are made of.
fn told(acts: impl IntoIterator<Item = Entry>) -> (Log, Vec<Vec<u8>>) {
    let (mut log, mut events) = (Log::start(SCOPE), Vec::new());
    for entry in acts {
        let appended = log.append(entry);
        log = appended.next;
        events.push(appended.event);
    }
    (log, events)
}

fn proof(events: &[Vec<u8>], index: u64) -> InclusionProof {
    let mut perfect = |start: u64, height: u32| {
        let mut nodes: Vec<Hash> =
            events[start as usize..][..1 << height].iter().map(|event| leaf_hash(event)).collect();
        while nodes.len() > 1 {
            let pair = |pair: &[Hash]| Sha256::digest([&[1][..], &pair[0], &pair[1]].concat()).into();
            nodes = nodes.chunks(2).map(pair).collect();
        }
        Ok::<_, ()>(nodes[0])
    };
    InclusionProof::make(index, events.len() as u64, &mut perfect).unwrap().unwrap()
}

/// A receipt whose event stands at `index` among `count` others.
fn issued(job: &Job, index: u64, count: u64) -> Receipt {
    let signed = Statement::of(job, SCOPE).unwrap().sign(&key());
    let others = |n: u64| if n == index { signed.act() } else { Act::KeysRotated { epoch: n } };
    let (log, events) = told((0..=count).map(|n| entry(others(n))));
    let note = log.checkpoint().sign(&Origin::of(SCOPE), &key());
    signed.prove(events[index as usize].clone(), proof(&events, index), note)
}

#[test]
fn a_receipt_verifies_anywhere_in_the_log() {
    for count in 0..12 {
        for index in 0..=count {
            let receipt = issued(&job(), index, count);
            assert_eq!(receipt.verify(&key().verifying_key()), Ok(()));
            assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt));
        }
    }
}

#[test]
fn only_who_has_id_and_salt_can_tell() {
    let receipt = issued(&job(), 1, 4);
    assert_eq!(receipt.about(&id("user-42"), &salt(1)).map(|erased| erased.records), Some(3));
    assert_eq!(receipt.about(&id("user-43"), &salt(2)).map(|erased| erased.records), Some(4));
    assert_eq!(receipt.about(&id("user-42"), &salt(2)), None);
    assert_eq!(receipt.about(&id("user-44"), &salt(1)), None);
    let bytes = receipt.encode();
    let shown = format!("{receipt:?}{}", serde_json::to_string(&receipt.view()).unwrap());
    assert!(!bytes.windows(7).any(|window| window == b"user-42") && !shown.contains("user-42"));
}

#[test]
fn nothing_is_said_before_it_is_done() {
    let job = Job::begin(1, stamp(1), []);
    assert_eq!(Statement::of(&job, SCOPE), None);
    let mut job = self::job();
    assert_eq!(Statement::of(&job, SCOPE).unwrap().rebuilt, None);
    job.rebuild(stamp(20)).unwrap();
    assert_eq!(Statement::of(&job, SCOPE).unwrap().rebuilt, Some(stamp(20)));
    let (before, after) = (issued(&self::job(), 0, 0), issued(&job, 0, 0));
    assert_ne!(before.event(), after.event(), "the later statement is told anew");
}

#[test]
fn each_check_is_told_apart() {
    let public = key().verifying_key();
    let receipt = issued(&job(), 2, 6);
    let forged = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = receipt.clone();
        change(&mut receipt);
        receipt.verify(&public)
    };
    let wrong_signature = Err(UnverifiedReceipt::Signature(SignatureError));
    let other = SigningKey::from_bytes([6; 32]);
    assert_eq!(receipt.verify(&other.verifying_key()), wrong_signature);
    assert_eq!(forged(&|receipt| receipt.bytes[9] ^= 1), wrong_signature);
    // A bare signature of the bytes, as the key would never give.
    assert_eq!(forged(&|receipt| receipt.signature = key().sign(&receipt.bytes)), wrong_signature);
    // The checkpoint of another log of the same key, or signed by another.
    let elsewhere = Origin::of(Scope { environment: [3; 16], ..SCOPE });
    let checkpoint = Checkpoint::open(&receipt.checkpoint, &Origin::of(SCOPE), &public).unwrap();
    for note in [checkpoint.sign(&elsewhere, &key()), checkpoint.sign(&Origin::of(SCOPE), &other)] {
        let found = forged(&|receipt| receipt.checkpoint = note.clone());
        assert!(matches!(found, Err(UnverifiedReceipt::Checkpoint(_))), "{found:?}");
    }
    // The event of another erasure, proven in the same log, and one that failed.
    let mut twin = job();
    twin.rebuild(stamp(20)).unwrap();
    let other = issued(&twin, 2, 6);
    let swapped = forged(&|receipt| (receipt.event, receipt.path) = (other.event.clone(), other.path.clone()));
    assert_eq!(swapped, Err(UnverifiedReceipt::Event));
    let failed = Entry { outcome: Outcome::Failed, ..entry(finished(&receipt.statement, &receipt.bytes)) };
    let (log, events) = told([failed]);
    let found = forged(&|receipt| {
        receipt.event.clone_from(&events[0]);
        receipt.path.clear();
        receipt.checkpoint = log.checkpoint().sign(&Origin::of(SCOPE), &key());
    });
    assert_eq!(found, Err(UnverifiedReceipt::Event));
    // A true event that is not in this log.
    let found = forged(&|receipt| receipt.checkpoint = log.checkpoint().sign(&Origin::of(SCOPE), &key()));
    assert_eq!(found, Err(UnverifiedReceipt::Inclusion(ProofError::Position)));
    let found = forged(&|receipt| receipt.path[0][0] ^= 1);
    assert_eq!(found, Err(UnverifiedReceipt::Inclusion(ProofError::Root)));
    assert_eq!(forged(&|receipt| receipt.path.truncate(1)), Err(UnverifiedReceipt::Inclusion(ProofError::Length)));
}

#[test]
fn later_formats_are_told_from_damage() {
    let mut bytes = issued(&job(), 0, 0).encode();
    bytes[1] = 2;
    assert_eq!(Receipt::decode(&bytes), Err(ReceiptError::Newer { found: 2, max: 1 }));
    bytes[1] = 0;
    assert_eq!(Receipt::decode(&bytes), Err(ReceiptError::Malformed));
    assert_eq!(Receipt::decode(&[]), Err(ReceiptError::Malformed));
    assert_eq!(Receipt::decode(&[0x86, 0x01]), Err(ReceiptError::Malformed));
}

#[test]
fn a_statement_that_goes_back_in_time_is_none() {
    let statement = Statement { hidden: stamp(1), ..Statement::of(&job(), SCOPE).unwrap() };
    assert!(decode(&encode(&statement)).is_err());
}

#[test]
fn the_weakest_store_decides_how_far_it_reached() {
    let with = |anchors: &[Grade]| {
        let mut statement = Statement::of(&job(), SCOPE).unwrap();
        statement.shredding.anchors = anchors.to_vec();
        statement.grade()
    };
    assert_eq!(with(&[]), None);
    assert_eq!(with(&[Grade::SameVolume, Grade::External]), Some(Grade::SameVolume));
    assert_eq!(with(&[Grade::OtherVolume, Grade::External]), Some(Grade::OtherVolume));
}

#[test]
fn the_view_says_what_the_receipt_says() {
    let receipt = issued(&job(), 0, 0);
    let Value::Object(mut view) = serde_json::to_value(receipt.view()).unwrap() else { panic!("no object") };
    let subjects: Vec<Value> = receipt
        .statement()
        .erased
        .iter()
        .map(|erased| json!({"subject": erased.subject.to_string(), "records": erased.records}))
        .collect();
    let proof = ["signature", "audit_event", "audit_path", "audit_checkpoint"].map(|name| view.remove(name).unwrap());
    assert!(proof[3].as_str().unwrap().starts_with("lethedb/01010101"));
    assert_eq!(proof[2], json!([]));
    assert_eq!(
        Value::Object(view),
        json!({
            "database": "01".repeat(16),
            "environment": "02".repeat(16),
            "job": 9,
            "begun": {"time_ms": 10, "sequence": 17},
            "hidden": {"time_ms": 11, "sequence": 18},
            "shredded": {"time_ms": 12, "sequence": 19},
            "purged": {"time_ms": 13, "sequence": 20},
            "subjects": subjects,
            "records_deleted": 7,
            "destroyed_keys": ["03".repeat(16), "04".repeat(16)],
            "epoch": 6,
            "anchor_grade": "other_volume",
            "covers_copies": true,
            "segments_purged": 5,
            "indexes_rebuilt": 3,
            "indexes_repaired": 1,
            "segments_quarantined": 1,
        })
    );
}

/// Every single bit, not a sample: a receipt is the one thing that is handed to people who must be able to trust it.
#[test]
fn every_changed_bit_is_seen() {
    let (bytes, public) = (issued(&job(), 2, 6).encode(), key().verifying_key());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let found = Receipt::decode(&changed).map(|receipt| receipt.verify(&public));
        assert!(!matches!(found, Ok(Ok(()))), "bit {bit} can be changed unseen");
    }
    for cut in 0..bytes.len() {
        assert_eq!(Receipt::decode(&bytes[..cut]), Err(ReceiptError::Malformed));
    }
}

proptest! {
    #[test]
    fn changed_bytes_verify_never(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let original = issued(&job(), 2, 6).encode();
        let mut bytes = original.clone();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        prop_assume!(bytes != original);
        if let Ok(receipt) = Receipt::decode(&bytes) {
            prop_assert!(receipt.verify(&key().verifying_key()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_receipt_or_an_error(bytes: Vec<u8>) {
        let _ = Receipt::decode(&bytes);
        let _ = Receipt::decode(&[&[0x86, 0x01][..], &bytes].concat());
    }
}
