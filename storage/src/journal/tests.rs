//! Journals against a list in memory, over every restart, cut and flipped bit.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};

const SUBJECT: Subject = Subject::Consent;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    /// A log was begun that no manifest ever named.
    Stillborn,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Append),
        1 => Just(Step::Stillborn),
        2 => Just(Step::Restart),
    ]
}

fn all(plain: &[Zeroizing<Vec<u8>>]) -> Vec<u8> {
    plain.iter().flat_map(|plain| plain.iter().copied()).collect()
}

proptest! {
    /// The whole is all changes end to end, so that reading gives the same wherever a log begins.
    #[test]
    fn a_journal_holds_every_change_in_its_order(steps in prop::collection::vec(step(), 0..20)) {
        let (dir, key) = (dir(), key(1));
        let place = Place { dir: &dir, key: &key, scope: SCOPE };
        let (mut whole, mut mark, mut rng) = (Vec::new(), None, rng(1));
        let mut journal = Journal::resume(SUBJECT, None);
        for step in steps {
            match step {
                Step::Append(change) => {
                    whole.extend_from_slice(&change);
                    mark = Some(journal.append(place, &change, &whole, &mut rng).unwrap());
                    journal.remove_others(&dir).unwrap();
                }
                Step::Stillborn => {
                    let mut other = Journal::resume(SUBJECT, mark);
                    other.append(place, b"lost", b"lost", &mut rng).unwrap();
                    journal = Journal::resume(SUBJECT, mark);
                }
                Step::Restart => journal = Journal::resume(SUBJECT, mark),
            }
            if let Some(mark) = mark {
                prop_assert_eq!(&all(&read(place, SUBJECT, mark).unwrap()), &whole);
            }
        }
    }
}

/// The last frame has no later one to tell that it was synced; the mark does.
#[test]
fn no_damage_passes_for_a_shorter_journal() {
    let (dir, key) = (dir(), key(1));
    let place = Place { dir: &dir, key: &key, scope: SCOPE };
    let mut journal = Journal::resume(SUBJECT, None);
    journal.append(place, b"first", b"first", &mut rng(1)).unwrap();
    let mark = journal.append(place, b"second", b"firstsecond", &mut rng(2)).unwrap();
    let (file, sound) = (SUBJECT.file_name(mark.number), dir.read(&SUBJECT.file_name(mark.number)).unwrap());
    for bytes in damaged(&sound) {
        dir.remove(&file).unwrap();
        dir.write_new(&file, &bytes).unwrap();
        let found = read(place, SUBJECT, mark);
        assert!(matches!(found, Err(JournalError::Damaged { .. } | JournalError::NewerFormat { .. })), "{found:?}");
    }
    dir.remove(&file).unwrap();
    assert!(matches!(read(place, SUBJECT, mark), Err(JournalError::Io(_))));
}

#[test]
fn a_journal_opens_under_its_key_and_in_its_place_alone() {
    let (dir, own) = (dir(), key(1));
    let place = Place { dir: &dir, key: &own, scope: SCOPE };
    let mut journal = Journal::resume(SUBJECT, None);
    let mark = journal.append(place, b"", b"all", &mut rng(1)).unwrap();
    assert_eq!(all(&read(place, SUBJECT, mark).unwrap()), b"all");
    let other = Scope { environment: [9; 16], ..SCOPE };
    assert!(read(Place { key: &key(2), ..place }, SUBJECT, mark).is_err());
    assert!(read(Place { scope: other, ..place }, SUBJECT, mark).is_err());
    let bytes = dir.read(&SUBJECT.file_name(1)).unwrap();
    dir.write_new(&SUBJECT.file_name(2), &bytes).unwrap();
    assert!(read(place, SUBJECT, Mark { number: 2, ..mark }).is_err());
}

#[test]
fn a_log_without_a_frame_is_no_journal() {
    let (dir, key) = (dir(), key(1));
    let place = Place { dir: &dir, key: &key, scope: SCOPE };
    let header = Header { kind: LogKind::Consent, number: 1, base: 0 };
    drop(FrameWriter::create(&dir, &SUBJECT.file_name(1), &header).unwrap());
    assert!(matches!(read(place, SUBJECT, Mark { number: 1, frames: 0 }), Err(JournalError::Damaged { .. })));
}

#[test]
fn names_that_are_not_ours_are_no_journals() {
    assert_eq!(SUBJECT.file_number(&SUBJECT.file_name(7)), Some(7));
    for name in
        ["consent.log", "consent-7.log", "consent-00000000000000000007.log.tmp", "holds-00000000000000000007.log"]
    {
        assert_eq!(SUBJECT.file_number(name), None, "{name}");
    }
}
