//! The log: what was appended replays, and nothing else does.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;

use super::super::event::tests::entries;
use super::super::proof::{ConsistencyProof, InclusionProof};
use super::super::tree::reference;
use super::*;

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

fn told(count: usize) -> (Vec<Vec<u8>>, Log) {
    let mut log = Log::start(SCOPE);
    let mut events = Vec::new();
    for entry in entries(7).into_iter().cycle().take(count) {
        let appended = log.append(entry);
        log = appended.next;
        events.push(appended.event);
    }
    (events, log)
}

fn replayed(events: &[Vec<u8>]) -> Result<Log, ReplayError> {
    let mut log = Log::start(SCOPE);
    events.iter().try_for_each(|event| log.replay(event).map(drop))?;
    Ok(log)
}

#[test]
fn what_was_told_replays_to_the_same_log() {
    let (events, log) = told(100);
    assert_eq!(replayed(&events), Ok(log.clone()));
    let leaves: Vec<Hash> = events.iter().map(|event| leaf_hash(event)).collect();
    assert_eq!(log.checkpoint(), Checkpoint { size: 100, root: reference::root(&leaves) });
    let mut again = Log::start(SCOPE);
    for (entry, event) in entries(7).iter().cycle().zip(&events) {
        let told = again.replay(event).unwrap().unwrap();
        assert_eq!((&told.entry, told.sequence), (entry, again.size() - 1));
    }
    // One append changes nothing until its next log is taken.
    let _ = log.append(entries(1).remove(0));
    assert_eq!(log.size(), 100);
}

#[test]
fn logs_of_other_environments_do_not_mix() {
    let (events, _) = told(2);
    let other = Scope { environment: [3; 16], ..SCOPE };
    assert_eq!(Log::start(other).replay(&events[0]), Err(ReplayError::Unlinked { sequence: 0 }));
    let other = Scope { database: [3; 16], ..SCOPE };
    assert_ne!(Log::start(other), Log::start(SCOPE));
}

#[test]
fn every_sabotage_is_told() {
    let (events, log) = told(20);
    let without = |at: usize| [&events[..at], &events[at + 1..]].concat();
    for at in 0..19 {
        let gap = ReplayError::OutOfOrder { expected: at as u64, found: at as u64 + 1 };
        assert_eq!(replayed(&without(at)), Err(gap));
        let mut swapped = events.clone();
        swapped.swap(at, at + 1);
        assert_eq!(replayed(&swapped), Err(gap));
        let twice = [&events[..=at], &events[at..]].concat();
        assert_eq!(replayed(&twice), Err(ReplayError::OutOfOrder { expected: at as u64 + 1, found: at as u64 }));
    }
    // Only the end can go unseen by the chain; that is what checkpoints elsewhere are for.
    assert!(replayed(&without(19)).is_ok());
    let mut edited = events.clone();
    let mut event = Event::decode(&edited[5]).unwrap();
    event.entry.time_ms += 1;
    edited[5] = event.encode();
    assert_eq!(replayed(&edited), Err(ReplayError::Unlinked { sequence: 6 }));
    // Whoever writes all later events anew has a sound chain, and another root.
    let mut forged = replayed(&edited[..6]).unwrap();
    for event in &events[6..] {
        forged = forged.append(Event::decode(event).unwrap().entry).next;
    }
    assert_ne!(forged.checkpoint().root, log.checkpoint().root);
    let standing = log.checkpoint().standing(20, |_| Ok::<_, ()>(forged.checkpoint().root));
    assert_eq!(standing, Ok(super::super::checkpoint::Standing::Rewritten));
}

#[test]
fn events_of_later_versions_keep_their_place() {
    let (mut events, _) = told(3);
    let mut later = Event::decode(&events[2]).unwrap().encode();
    later[1] = 2;
    events[2] = later.clone();
    let mut log = replayed(&events[..2]).unwrap();
    assert_eq!(log.replay(&later), Ok(None));
    let next = log.append(entries(0).remove(0)).event;
    assert!(log.replay(&next).unwrap().is_some());
}

proptest! {
    #[test]
    fn one_changed_byte_is_told(count in 2..12_usize, which: prop::sample::Index, at: prop::sample::Index, to: u8) {
        let (mut events, log) = told(count);
        let which = which.index(count);
        let at = at.index(events[which].len());
        prop_assume!(events[which][at] != to);
        events[which][at] = to;
        // In the last event the chain has nothing to hold against; the root has.
        prop_assert!(replayed(&events).is_ok_and(|found| which + 1 == count && found.checkpoint() != log.checkpoint())
            || replayed(&events).is_err());
    }

    #[test]
    fn checking_goes_on_from_a_watermark(count in 1..60_usize, cut: prop::sample::Index) {
        let (events, log) = told(count);
        let cut = cut.index(count + 1);
        let before = replayed(&events[..cut]).unwrap();
        let mut resumed = Log::resume(&before.watermark(), &before.checkpoint()).unwrap();
        prop_assert_eq!(&resumed, &before);
        for event in &events[cut..] {
            resumed.replay(event).unwrap();
        }
        prop_assert_eq!(&resumed, &log);
        let other = Checkpoint { root: [0; 32], ..before.checkpoint() };
        prop_assert_eq!(Log::resume(&before.watermark(), &other), Err(ResumeError::Checkpoint));
        let longer = Checkpoint { size: before.size() + 1, ..before.checkpoint() };
        prop_assert_eq!(Log::resume(&before.watermark(), &longer), Err(ResumeError::Checkpoint));
    }

    #[test]
    fn a_changed_watermark_opens_no_other_tree(count in 1..60_usize, at: prop::sample::Index, to: u8) {
        let (_, log) = told(count);
        let mut bytes = log.watermark();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(resumed) = Log::resume(&bytes, &log.checkpoint()) {
            prop_assert_eq!(resumed.tree, log.tree);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
        let _ = Log::resume(&bytes, &Log::start(SCOPE).checkpoint());
        let _ = Log::start(SCOPE).replay(&bytes);
    }

    /// A receipt holds a proof made later than its event: both kinds of proof speak of a log's own checkpoints.
    #[test]
    fn proofs_hold_for_a_logs_checkpoints(count in 1..60_usize, index: prop::sample::Index) {
        let (events, log) = told(count);
        let index = index.index(count);
        let leaves: Vec<Hash> = events.iter().map(|event| leaf_hash(event)).collect();
        let mut perfect = |start: u64, height: u32| {
            Ok::<_, ()>(reference::root(&leaves[start as usize..][..1 << height]))
        };
        let Checkpoint { size, root } = log.checkpoint();
        let proof = InclusionProof::make(index as u64, size, &mut perfect).unwrap().unwrap();
        prop_assert_eq!(proof.verify(&leaf_hash(&events[index]), &root), Ok(()));
        let then = replayed(&events[..index]).unwrap().checkpoint();
        let proof = ConsistencyProof::make(then.size, size, &mut perfect).unwrap().unwrap();
        prop_assert_eq!(proof.verify(&then.root, &root), Ok(()));
    }
}
