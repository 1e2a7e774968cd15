//! Events: every kind reads back, one encoding each, the form is pinned, later versions are handed on.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn actors(seed: u8) -> [Actor; 5] {
    [
        Actor::Host,
        Actor::Engine,
        Actor::ApiKey { key: Name::example(seed), address: None },
        Actor::ApiKey { key: Name::example(seed), address: Some(IpAddr::example(seed)) },
        Actor::EndUser(Pseudonym::example(seed)),
    ]
}

/// Entries that depend on `seed` alone, one for every kind of act.
pub(in super::super) fn entries(seed: u8) -> Vec<Entry> {
    let sources = [Source::Library, Source::Rest, Source::Grpc, Source::CommandLine, Source::Worker];
    let outcomes = [Outcome::Done, Outcome::Denied, Outcome::Failed];
    let entry = |(at, act): (usize, Act)| {
        let seed = seed.wrapping_add(at as u8);
        Entry {
            time_ms: u64::example(seed),
            actor: actors(seed).into_iter().nth(at % 5).unwrap(),
            source: sources[at % 5],
            outcome: outcomes[at % 3],
            request: Field::example(seed),
            act,
            detail: Field::example(seed.wrapping_add(1)),
        }
    };
    Act::every(seed).into_iter().enumerate().map(entry).collect()
}

fn events(seed: u8) -> Vec<Event> {
    let place = |entry| Event { sequence: u64::example(seed), previous: [seed; 32], entry };
    entries(seed).into_iter().map(place).collect()
}

/// Old logs must stay readable: a change of this value is a new version or a new kind.
#[test]
fn the_form_of_every_kind_is_pinned() {
    let mut hash = Sha256::new();
    let some = events(3);
    // New kinds come after these.
    for event in &some[..39] {
        hash.update(event.encode());
    }
    assert_eq!(HEXLOWER.encode(&hash.finalize()), "dea4c460659dc3db0649e284d8a9c3559001c9d30c4cab421aefcfb10e406797");
    let one = Event {
        sequence: 5,
        previous: [0xaa; 32],
        entry: Entry {
            time_ms: 1_700_000_000_000,
            actor: Actor::Host,
            source: Source::CommandLine,
            outcome: Outcome::Done,
            request: None,
            act: Act::CollectionCreated { collection: [0xcc; 16] },
            detail: None,
        },
    };
    let hex = [
        // An array of 10: version 1, sequence 5, 32 bytes, 1.7e12.
        "8a0105",
        "5820",
        &"aa".repeat(32),
        "1b0000018bcfe56800",
        // The host, by the command line, done, no request, collection.created of 16 bytes, no detail.
        "8100",
        "03",
        "00",
        "80",
        "8202",
        "8150",
        &"cc".repeat(16),
        "80",
    ];
    assert_eq!(HEXLOWER.encode(&one.encode()), hex.concat());
}

#[test]
fn acts_have_names_of_their_own() {
    let acts = Act::every(0);
    let names: BTreeSet<&str> = acts.iter().map(Act::action).collect();
    assert_eq!(names.len(), acts.len());
    assert!(!names.contains("unknown"));
}

#[test]
fn every_kind_reads_back_and_only_whole() {
    for seed in 0..=255 {
        for event in events(seed) {
            let bytes = event.encode();
            assert_eq!(Event::decode(&bytes), Ok(event.clone()));
            let head =
                Head { version: 1, sequence: event.sequence, previous: [seed; 32], time_ms: event.entry.time_ms };
            assert_eq!(Head::decode(&bytes), Ok(head));
            assert_eq!(Event::decode(&[&bytes[..], &[0]].concat()), Err(EventError::Malformed));
            assert_eq!(Event::decode(&bytes[..bytes.len() - 1]), Err(EventError::Malformed));
        }
    }
}

fn with(act: &[u8]) -> Vec<u8> {
    let event = events(0).into_iter().find(|event| event.entry.act == Act::Unsealed {}).unwrap();
    let bytes = event.encode();
    let at = bytes.windows(3).rposition(|window| window == [0x82, 20, 0x80]).unwrap();
    [&bytes[..at], act, &bytes[at + 3..]].concat()
}

#[test]
fn acts_of_later_versions_are_handed_on_as_they_are() {
    assert_eq!(Event::decode(&with(&[0x82, 20, 0x80])).unwrap().entry.act, Act::Unsealed {});
    // Number 999 with nothing, a map, nested lists, a tag, a number with a fraction.
    let nested = [0x82, 0xa1, 0x01, 0x82, 0x81, 0xf6, 0x61, b'x', 0xc1, 0xf9, 0x3c, 0x00];
    for fields in [&[0x80][..], &[0x81, 0x01], &nested] {
        let bytes = with(&[&[0x82, 0x19, 0x03, 0xe7][..], fields].concat());
        let event = Event::decode(&bytes).unwrap();
        let Act::Unknown(later) = &event.entry.act else { panic!("{:?}", event.entry.act) };
        assert_eq!((later.code(), event.entry.act.action()), (999, "unknown"));
        assert_eq!(event.encode(), bytes);
    }
    // What is no list of definite things is no event either, nor is a known kind with other fields.
    for wrong in
        [&[0xff][..], &[0x01], &[0x81, 0xff], &[0x9f, 0xff], &[0x81, 0x5f, 0x41, 0x00, 0xff], &[0x81, 0x82, 0x00]]
    {
        let wrong = with(&[&[0x82, 0x19, 0x03, 0xe7][..], wrong].concat());
        assert_eq!(Event::decode(&wrong), Err(EventError::Malformed), "{wrong:x?}");
    }
    for wrong in [&[0x82, 20, 0x81, 0x00][..], &[0x82, 0x18, 20, 0x80], &[0x82, 2, 0x80]] {
        assert_eq!(Event::decode(&with(wrong)), Err(EventError::Malformed));
    }
}

#[test]
fn events_of_later_versions_show_their_head() {
    let mut bytes = events(9).remove(0).encode();
    bytes[1] = 2;
    bytes.extend_from_slice(&[0xf6; 3]);
    bytes[0] += 3;
    assert_eq!(Event::decode(&bytes), Err(EventError::Newer { found: 2, max: 1 }));
    assert_eq!(Head::decode(&bytes).unwrap().previous, [9; 32]);
    assert_eq!(Head::decode(&[0x83, 1, 1, 0x40]), Err(EventError::Malformed));
}

#[test]
fn names_hold_no_text() {
    for wrong in ["", "two words", "Zoë", "tab\t", &"x".repeat(65)] {
        assert!(Name::new(wrong).is_err());
    }
    assert_eq!(Name::new("lethe_sk_1").unwrap().as_str(), "lethe_sk_1");
}

proptest! {
    #[test]
    fn changed_events_are_refused_or_other_events(seed: u8, which: prop::sample::Index, at: prop::sample::Index, to: u8) {
        let events = events(seed);
        let mut bytes = which.get(&events).encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(event) = Event::decode(&bytes) {
            prop_assert_eq!(event.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes: Vec<u8>) {
        let _ = (Event::decode(&bytes), Head::decode(&bytes));
    }
}
