//! Three writers share one log on a disk that fails in the middle. The oracle is the log itself, replayed: what a power
//! loss would leave and what the process leaves must both hold what was acknowledged and nothing that was refused.

use std::sync::Arc;

use privacy::{Scope, SectionKey};
use rand::SeedableRng;
use rand::rngs::StdRng;
use storage::backend::Dir;
use storage::id::{CollectionId, RecordId, Sequence};
use storage::sync::thread;
use storage::wal::{Entry, WalError, WalWriter, replay, wal_name};

use crate::explorer::draw;
use crate::flaky::{Fault, Flaky};

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };
const NUMBER: u64 = 1;
const WRITERS: u64 = 3;
const WRITES: u64 = 3;

fn key() -> SectionKey {
    SectionKey::from_bytes([9; 32])
}

fn sequences(dir: &Dir) -> Vec<Sequence> {
    let replayed = replay(dir, NUMBER, &key(), SCOPE).unwrap();
    replayed.entries.into_iter().map(|(sequence, _)| sequence).collect()
}

fn append(log: &WalWriter) -> Result<Sequence, WalError> {
    let delete = |sequence| Entry::Delete { collection: CollectionId([3; 16]), ids: vec![RecordId::Num(sequence)] };
    log.append(delete, &mut StdRng::seed_from_u64(1)).map(|(sequence, _)| sequence)
}

/// How a writer waits for its entry; a sabotage waits for something else.
type Commit = fn(&WalWriter, Sequence) -> Result<(), WalError>;

/// What became of each sequence.
type Fates = Vec<(Sequence, Result<(), WalError>)>;

/// Runs the writers; `honest` is whether the disk syncs when it says so.
pub fn writers(commit: Commit, honest: bool) {
    let disk = Flaky::new(honest);
    let log = WalWriter::create(&disk.dir(), NUMBER, Arc::new(key()), SCOPE, 1, 0).unwrap();
    let fault = [Fault::Full, Fault::FullAfterPart, Fault::Broken][draw(3) as usize];
    disk.arm(Some((draw(2 * WRITERS * WRITES), fault)));
    let mut fates: Fates = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| write(&log, &disk, commit))).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    fates.sort_unstable_by_key(|(sequence, _)| *sequence);
    for (sequence, fate) in &fates {
        assert_eq!(log.commit(*sequence), *fate, "a fate is final");
    }
    if log.is_poisoned() {
        assert!(matches!(append(&log), Err(WalError::Poisoned { .. })), "poison is final");
        assert!(!disk.trusted_in_doubt(), "a file in doubt was written");
    } else {
        disk.arm(None);
        let last = append(&log).unwrap();
        fates.push((last, log.commit(last)));
        assert_eq!(fates.last(), Some(&(last, Ok(()))), "the disk has room again");
    }
    let of = |wanted: fn(&WalError) -> bool, or_acknowledged: bool| -> Vec<Sequence> {
        let fits = |fate: &Result<(), WalError>| fate.as_ref().map_or_else(wanted, |()| or_acknowledged);
        fates.iter().filter(|(_, fate)| fits(fate)).map(|(sequence, _)| *sequence).collect()
    };
    let acknowledged = of(|_| false, true);
    let possible = of(|error| matches!(error, WalError::OutcomeUnknown { .. }), true);
    for found in [sequences(&disk.dir()), sequences(&disk.after_power_loss(&wal_name(NUMBER)))] {
        assert!(found.starts_with(&acknowledged), "{found:?} lacks one of {acknowledged:?}");
        assert!(possible.starts_with(&found), "{found:?} holds more than {possible:?}");
    }
}

fn write(log: &WalWriter, disk: &Flaky, commit: Commit) -> Fates {
    let mut fates = Fates::new();
    for _ in 0..WRITES {
        let sequence = match append(log) {
            Ok(sequence) => sequence,
            Err(error) => {
                assert!(matches!(error, WalError::Poisoned { .. }), "{error}");
                continue;
            }
        };
        let fate = commit(log, sequence);
        if fate.is_ok() {
            let durable = sequences(&disk.after_power_loss(&wal_name(NUMBER)));
            assert!(durable.contains(&sequence), "{sequence} was acknowledged before its sync: {durable:?}");
        }
        fates.push((sequence, fate));
    }
    fates
}
