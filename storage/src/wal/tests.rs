//! Group commit and replay: syncs counted by a watched backend, failures injected, crashes taken from what was really
//! synced.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test, and group commit needs threads to be one"
)]

use std::io::ErrorKind;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use privacy::{EntityId, Scope, SectionKey};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::*;
use crate::backend::watched::{Fault, Watched};
use crate::backend::{Dir, Memory};
use crate::codec::Malformed;
use crate::frame_log::{FRAME_HEADER_LEN, HEADER_LEN};
use crate::id::{CollectionId, RecordId};
use crate::record::Record;

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };
const FULL: WalError = WalError::Refused { kind: ErrorKind::StorageFull };
const COLLECTION: CollectionId = CollectionId([3; 16]);

fn key() -> SectionKey {
    SectionKey::from_bytes([9; 32])
}

/// A log whose first entry gets sequence 101.
fn writer(backend: &Watched) -> WalWriter {
    WalWriter::create(&backend.dir(), 5, Arc::new(key()), SCOPE, 101, 100).unwrap()
}

fn entries(dir: &Dir) -> Vec<(u64, Entry)> {
    let replayed = replay(dir, 5, &key(), SCOPE).unwrap();
    assert_eq!(replayed.base, 100);
    replayed.entries
}

fn sequences(dir: &Dir) -> Vec<u64> {
    entries(dir).into_iter().map(|(sequence, _)| sequence).collect()
}

fn delete(id: u64) -> Entry {
    Entry::Delete { collection: COLLECTION, ids: vec![RecordId::Num(id)] }
}

fn append(writer: &WalWriter, id: u64) -> u64 {
    writer.append(|_| delete(id), &mut StdRng::seed_from_u64(id)).unwrap().0
}

const THREADS: u64 = 4;
const ROUNDS: u64 = 8;

/// Many threads append, meet, and commit, so that every round is one group.
fn many_writers(backend: &Watched) {
    let (writer, meet) = (writer(backend), Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (writer, meet) = (&writer, &meet);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let sequence = append(writer, thread * ROUNDS + round);
                    meet.wait();
                    writer.commit(sequence).unwrap();
                    assert!(writer.synced() >= sequence);
                    meet.wait();
                }
            });
        }
    });
}

/// What the tests below demand of a disk: a sync for each group, no more, and every answered write after a power loss.
fn keeps_its_word(backend: &Watched) -> bool {
    many_writers(backend);
    let one_for_the_header = 1;
    let shared = backend.watch.lock().syncs == one_for_the_header + ROUNDS as usize;
    let replayed = replay(&backend.after_power_loss(), 5, &key(), SCOPE).map_or(0, |replayed| replayed.entries.len());
    shared && replayed as u64 == THREADS * ROUNDS
}

#[test]
fn writers_share_syncs_and_lose_nothing() {
    let backend = Watched::default();
    assert!(keeps_its_word(&backend));
    assert!(sequences(&backend.dir()).into_iter().eq(101..=100 + THREADS * ROUNDS));
}

#[test]
fn a_disk_that_lies_is_found_out() {
    assert!(!keeps_its_word(&Watched { keeps_no_contents: true, ..Watched::default() }));
    assert!(!keeps_its_word(&Watched { keeps_no_names: true, ..Watched::default() }));
}

#[test]
fn writers_go_on_while_a_leader_syncs() {
    let backend = Watched::default();
    let writer = writer(&backend);
    let ((begun, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
    backend.watch.lock().gate = Some((begun, may_go_on));
    thread::scope(|scope| {
        let (writer, first) = (&writer, append(&writer, 1));
        let leader = scope.spawn(move || writer.commit(first));
        has_begun.recv().unwrap();
        let second = append(writer, 2);
        assert_eq!((writer.synced(), second), (100, 102), "nothing is synced while the leader waits");
        let follower = scope.spawn(move || writer.commit(second));
        go_on.send(()).unwrap();
        leader.join().unwrap().unwrap();
        follower.join().unwrap().unwrap();
    });
    assert_eq!(sequences(&backend.after_power_loss()), [101, 102]);
}

#[test]
fn a_failed_sync_poisons_and_nobody_is_told_ok() {
    let backend = Watched::default();
    let writer = writer(&backend);
    let safe = append(&writer, 1);
    writer.commit(safe).unwrap();
    backend.watch.lock().failing_syncs = 1;
    let meet = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (writer, meet) = (&writer, &meet);
            scope.spawn(move || {
                let sequence = append(writer, thread);
                meet.wait();
                let unknown = Err(WalError::OutcomeUnknown { kind: ErrorKind::StorageFull });
                assert_eq!(writer.commit(sequence), unknown);
                assert_eq!(writer.commit(sequence), unknown, "also when asked again, though the next sync would work");
            });
        }
    });
    assert!(writer.is_poisoned());
    assert_eq!(writer.commit(safe), Ok(()), "what was safe stays safe");
    let refused = writer.append(|_| delete(9), &mut StdRng::seed_from_u64(9));
    assert_eq!(refused, Err(WalError::Poisoned { kind: ErrorKind::StorageFull }));
    assert_eq!(sequences(&backend.after_power_loss()), [safe]);
}

#[test]
fn entries_behind_a_failed_group_were_surely_not_written() {
    let backend = Watched::default();
    let writer = writer(&backend);
    let ((begun, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
    backend.watch.lock().gate = Some((begun, may_go_on));
    backend.watch.lock().failing_syncs = 1;
    thread::scope(|scope| {
        let (writer, first) = (&writer, append(&writer, 1));
        let leader = scope.spawn(move || writer.commit(first));
        has_begun.recv().unwrap();
        let second = append(writer, 2);
        go_on.send(()).unwrap();
        let kind = ErrorKind::StorageFull;
        assert_eq!(leader.join().unwrap(), Err(WalError::OutcomeUnknown { kind }));
        assert_eq!(writer.commit(second), Err(WalError::Poisoned { kind }));
    });
    assert_eq!(sequences(&backend.dir()), [101], "read back though in doubt: hence unknown, not failed");
}

#[test]
fn a_full_disk_refuses_one_group_and_the_log_goes_on() {
    let backend = Watched::default();
    let writer = writer(&backend);
    let before = append(&writer, 1);
    writer.commit(before).unwrap();
    let full = || -> Fault { Box::new(|_, _| Err(ErrorKind::StorageFull.into())) };
    backend.watch.lock().append_faults = vec![full(), full()];
    let (a, b) = (append(&writer, 2), append(&writer, 3));
    assert_eq!(writer.commit(a), Err(FULL));
    let c = append(&writer, 4);
    assert_eq!(writer.commit(c), Err(FULL));
    let after = [append(&writer, 5), append(&writer, 6)];
    assert_eq!(after, [105, 106], "refused sequences are not handed out again");
    writer.commit(after[1]).unwrap();
    assert_eq!(writer.commit(b), Err(FULL), "a late caller does not take another's success for its own");
    assert_eq!((writer.commit(a), writer.commit(c)), (Err(FULL), Err(FULL)));
    assert_eq!(writer.commit(107), Err(WalError::NotAppended { sequence: 107 }));
    assert_eq!(sequences(&backend.after_power_loss()), [before, after[0], after[1]]);
    let bytes = backend.dir().len(&wal_name(5)).unwrap();
    assert_eq!(writer.bytes(), bytes);
    assert!(!writer.is_poisoned());
}

#[test]
fn a_group_kept_in_part_poisons() {
    let backend = Watched::default();
    let writer = writer(&backend);
    let short: Fault = Box::new(|file, bytes| {
        file.append(&bytes[..40])?;
        Err(ErrorKind::StorageFull.into())
    });
    backend.watch.lock().append_faults = vec![short];
    let sequence = append(&writer, 1);
    assert_eq!(writer.commit(sequence), Err(WalError::OutcomeUnknown { kind: ErrorKind::StorageFull }));
    assert!(writer.is_poisoned());
    let replayed = replay(&backend.dir(), 5, &key(), SCOPE).unwrap();
    assert_eq!((replayed.entries.len(), replayed.torn_bytes), (0, 40));
}

#[test]
fn a_log_is_never_continued() {
    let backend = Watched::default();
    drop(writer(&backend));
    let again = WalWriter::create(&backend.dir(), 5, Arc::new(key()), SCOPE, 101, 100);
    assert_eq!(again.err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert!(entries(&backend.dir()).is_empty());
}

/// A log of three synced entries and its bytes.
fn three() -> (Watched, Vec<u8>) {
    let backend = Watched::default();
    let writer = writer(&backend);
    (1..=3).for_each(|id| writer.commit(append(&writer, id)).unwrap());
    let bytes = backend.dir().read(&wal_name(5)).unwrap();
    (backend, bytes)
}

fn replay_bytes(number: u64, bytes: &[u8]) -> Result<Replay, ReplayError> {
    let dir = Dir::root(Arc::new(Memory::new()));
    dir.create(&wal_name(number)).unwrap().append(bytes).unwrap();
    replay(&dir, number, &key(), SCOPE)
}

#[test]
fn each_failure_of_replay_has_its_own_name() {
    let (backend, bytes) = three();
    let dir = backend.dir();
    assert!(matches!(replay(&dir, 6, &key(), SCOPE), Err(ReplayError::Missing { number: 6 })));
    let other = SectionKey::from_bytes([8; 32]);
    assert!(matches!(replay(&dir, 5, &other, SCOPE), Err(ReplayError::WrongKey { number: 5 })));
    let elsewhere = Scope { database: [7; 16], ..SCOPE };
    assert!(replay(&dir, 5, &key(), elsewhere).is_err(), "a log opens only where it was written");
    assert!(matches!(replay_bytes(6, &bytes), Err(ReplayError::Damaged { offset: 0, .. })), "renamed");
    let mut newer = bytes.clone();
    newer[8] = 2;
    let checksum = crc32c::crc32c(&newer[..28]).to_le_bytes();
    newer[28..32].copy_from_slice(&checksum);
    assert!(matches!(replay_bytes(5, &newer), Err(ReplayError::NewerFormat { found: 2, max: 1 })));
    let mut bad = bytes.clone();
    bad[HEADER_LEN + FRAME_HEADER_LEN] ^= 1;
    let Err(ReplayError::Damaged { file, offset }) = replay_bytes(5, &bad) else { panic!("damage unseen") };
    assert_eq!((file, offset), (wal_name(5), HEADER_LEN as u64));
}

#[test]
fn frames_cannot_trade_places_even_with_right_checksums() {
    let (_, bytes) = three();
    let length = (bytes.len() - HEADER_LEN) / 3;
    let frame = |n: usize| HEADER_LEN + n * length + FRAME_HEADER_LEN..HEADER_LEN + (n + 1) * length;
    let mut forged = bytes[..HEADER_LEN].to_vec();
    for (number, from) in [(0, 1), (1, 0), (2, 2)] {
        crate::frame_log::put_frame(&mut forged, number, number, &bytes[frame(from)]).unwrap();
    }
    assert_eq!(forged.len(), bytes.len());
    assert!(replay_bytes(5, &bytes).is_ok());
    assert!(replay_bytes(5, &forged).is_err());
}

#[test]
fn a_log_cut_anywhere_replays_a_prefix_and_a_flipped_byte_never_hides_an_answered_write() {
    let (_, bytes) = three();
    assert!(
        (0..HEADER_LEN).all(|length| replay_bytes(5, &bytes[..length]).is_err()),
        "a header is durable from the start"
    );
    for length in HEADER_LEN..bytes.len() {
        let replayed = replay_bytes(5, &bytes[..length]).unwrap();
        assert!(replayed.entries.iter().map(|entry| entry.0).eq((101..).take(replayed.entries.len())));
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        // Only the last frame has no later witness: damage there looks like a tear.
        match replay_bytes(5, &bad) {
            Ok(replayed) => assert_eq!((replayed.entries.len(), replayed.torn_bytes > 0), (2, true)),
            Err(error) => assert!(matches!(error, ReplayError::Damaged { .. }), "{error}"),
        }
    }
}

#[test]
fn names_of_logs_are_exact() {
    assert_eq!(wal_name(0x1f), "000000000000001f.wal");
    assert_eq!(wal_number("000000000000001f.wal"), Some(31));
    for other in ["1f.wal", "000000000000001F.wal", "+00000000000001f.wal", "000000000000001f.wal.tmp", ""] {
        assert_eq!(wal_number(other), None);
    }
}

fn record_id() -> impl Strategy<Value = RecordId> {
    prop_oneof![any::<u64>().prop_map(RecordId::Num), any::<u128>().prop_map(|n| RecordId::Uuid(Uuid::from_u128(n)))]
}

fn record() -> impl Strategy<Value = Record> {
    let entity = prop::option::of("[a-zü]{1,20}").prop_map(|id| id.map(|id| EntityId::new(id).unwrap()));
    let vector = prop::collection::vec(-1e9..1e9f32, 0..20);
    (record_id(), any::<u64>(), entity, vector, any::<Option<Vec<u8>>>())
        .prop_map(|(id, sequence, entity, vector, payload)| Record { id, sequence, entity, vector, payload })
}

fn entry() -> impl Strategy<Value = Entry> {
    let collection = any::<[u8; 16]>().prop_map(CollectionId);
    let put = prop::collection::vec(record(), 0..4);
    let ids = prop::collection::vec(record_id(), 0..8);
    prop_oneof![
        (collection.clone(), any::<u64>(), put).prop_map(|(collection, written_ms, records)| Entry::Put {
            collection,
            written_ms,
            records
        }),
        (collection, ids).prop_map(|(collection, ids)| Entry::Delete { collection, ids }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn entries_replay_as_they_were_appended(wanted in prop::collection::vec(entry(), 0..5), seed: u64) {
        let backend = Watched::default();
        let (writer, rng) = (writer(&backend), &mut StdRng::seed_from_u64(seed));
        for entry in &wanted {
            let (sequence, _) = writer.append(|_| entry.clone(), rng).unwrap();
            writer.commit(sequence).unwrap();
        }
        prop_assert_eq!(entries(&backend.after_power_loss()), (101..).zip(wanted).collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_has_one_encoding_and_room_for_it(entry in entry(), sequence: u64, cut: prop::sample::Index, extra: u8) {
        let bytes = entry.encode(sequence);
        prop_assert_eq!(Entry::decode(&bytes), Ok((sequence, entry)));
        prop_assert!(Entry::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let mut longer = bytes.to_vec();
        longer.push(extra);
        prop_assert_eq!(Entry::decode(&longer), Err(Malformed("trailing bytes")));
    }

    #[test]
    fn any_bytes_are_an_entry_or_malformed(mut bytes: Vec<u8>, entry in entry(), at: prop::sample::Index, to: u8) {
        let _ = Entry::decode(&bytes);
        bytes.clear();
        bytes.extend_from_slice(&entry.encode(1));
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok((sequence, entry)) = Entry::decode(&bytes) {
            prop_assert_eq!(&*entry.encode(sequence), &bytes);
        }
    }
}
