//! Jobs: only forward, and after any crash what was last made durable.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::keyring::Grade;
use crate::secret::KeyId;

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

fn at(time_ms: u64, sequence: u64) -> Stamp {
    Stamp { time_ms, sequence }
}

fn shredding() -> Shredding {
    let anchors = vec![Grade::External, Grade::SameVolume, Grade::OtherVolume];
    Shredding { epoch: 7, destroyed: vec![KeyId([3; 16]), KeyId([4; 16])], anchors }
}

/// Six segments, of which nothing is known yet.
fn segments() -> Segments {
    Segments::of(1..=6)
}

/// Notes the fate of all but two of them, and purges all but one.
fn purged(job: &mut Job, at: Stamp) -> Result<(), JobError> {
    for (segment, fate) in [(1, Fate::Rebuilt), (2, Fate::Rebuilt), (3, Fate::Repaired), (4, Fate::Emptied)] {
        // What was begun anew after a crash replaces what was noted before it.
        job.note(segment, Fate::Repaired);
        job.note(segment, fate);
    }
    job.purge(at, |segment| segment == 6)
}

const PURGING: Purging = Purging { purged: 5, rebuilt: 2, repaired: 1, quarantined: 1 };

fn begun() -> Job {
    Job::begin(9, at(1000, 50), [[2; 32], [1; 32], [2; 32]].map(Subject::from_bytes))
}

fn expiring() -> Job {
    Job::begin_expiry(9, at(1000, 50), shredding()).unwrap()
}

const EXPIRED: [Expired; 2] =
    [Expired { collection: [1; 16], records: 8 }, Expired { collection: [2; 16], records: 3 }];

/// Asks for a stage as the engine would.
fn ask(job: &mut Job, stage: Stage, at: Stamp) -> Result<(), JobError> {
    match stage {
        Stage::Hidden if job.expired().is_some() => job.hide_expired(at, vec![EXPIRED[1], EXPIRED[0]]),
        Stage::Hidden => job.hide(at, |subject| u64::from(subject.as_bytes()[0])),
        Stage::Shredded => {
            let mut next = job.clone();
            next.intend(shredding(), segments())?;
            next.shred(at)?;
            *job = next;
            Ok(())
        }
        Stage::Purged => {
            let mut next = job.clone();
            purged(&mut next, at)?;
            *job = next;
            Ok(())
        }
        Stage::Rebuilt => job.rebuild(at),
    }
}

const STAGES: [Stage; 4] = [Stage::Hidden, Stage::Shredded, Stage::Purged, Stage::Rebuilt];

#[test]
fn a_job_tells_what_was_done() {
    let mut job = begun();
    for (count, stage) in STAGES.into_iter().enumerate() {
        assert_eq!((job.due(), job.reached(stage)), (Some(stage), None));
        ask(&mut job, stage, at(2000 + count as u64, 60)).unwrap();
        assert_eq!(job.reached(stage), Some(at(2000 + count as u64, 60)));
    }
    assert_eq!((job.due(), job.number(), job.begun()), (None, 9, at(1000, 50)));
    let erased = |byte: u8| Erased { subject: Subject::from_bytes([byte; 32]), records: u64::from(byte) };
    assert_eq!(job.erased(), [erased(1), erased(2)], "in order of subjects, each once");
    let grades = [Grade::SameVolume, Grade::OtherVolume, Grade::External];
    assert_eq!(job.shredding().unwrap().anchors, grades);
    assert_eq!(job.purging(), Some(PURGING));
}

#[test]
fn keys_out_of_order_are_refused() {
    let mut job = begun();
    job.hide(at(1000, 50), |_| 0).unwrap();
    for destroyed in [vec![KeyId([4; 16]), KeyId([3; 16])], vec![KeyId([3; 16]); 2]] {
        let before = job.clone();
        assert_eq!(job.intend(Shredding { destroyed, ..shredding() }, segments()), Err(JobError::Keys));
        assert_eq!(job, before);
    }
}

#[test]
fn a_job_about_keys_knows_them_from_the_start() {
    let (rng, key) = (&mut StdRng::seed_from_u64(1), SectionKey::from_bytes([1; 32]));
    let found = |job: &Job, rng: &mut StdRng| Job::open(&key, SCOPE, 9, &job.seal(&key, SCOPE, rng)).unwrap();
    let mut job = expiring();
    let early = found(&job, rng);
    assert_eq!((early.expired(), early.due()), (Some(&[][..]), Some(Stage::Hidden)));
    assert_eq!(early.intended().unwrap().destroyed, shredding().destroyed);
    for (count, stage) in STAGES.into_iter().enumerate() {
        ask(&mut job, stage, at(2000 + count as u64, 60)).unwrap();
        assert_eq!(found(&job, rng), job);
    }
    assert_eq!((job.expired(), job.erased()), (Some(&EXPIRED[..]), &[][..]));
    assert_eq!(begun().expired(), None);
    let unordered = Shredding { destroyed: vec![KeyId([3; 16]); 2], ..shredding() };
    assert_eq!(Job::begin_expiry(9, at(1, 1), unordered), Err(JobError::Keys));
}

/// After a crash between the two, the keys are gone and what they were is known.
#[test]
fn what_is_destroyed_is_noted_before() {
    let mut job = begun().with_reason(Some("request 882".into()));
    assert!(matches!(job.intend(shredding(), segments()), Err(JobError::OutOfTurn { .. })));
    job.hide(at(1000, 50), |_| 0).unwrap();
    assert_eq!(job.shred(at(1001, 50)), Err(JobError::Unintended));
    job.intend(Shredding { epoch: 6, ..shredding() }, segments()).unwrap();
    job.intend(shredding(), segments()).unwrap();
    assert!(job.note(3, Fate::Rebuilt) && !job.note(7, Fate::Rebuilt));
    assert_eq!((job.shredding(), job.due()), (None, Some(Stage::Shredded)));
    let (rng, key) = (&mut StdRng::seed_from_u64(1), SectionKey::from_bytes([1; 32]));
    let mut found = Job::open(&key, SCOPE, 9, &job.seal(&key, SCOPE, rng)).unwrap();
    assert_eq!((found.intended().unwrap().epoch, found.reason()), (7, Some("request 882")));
    found.shred(at(1002, 50)).unwrap();
    assert_eq!(found, {
        job.shred(at(1002, 50)).unwrap();
        job
    });
    assert_eq!(found.shredding().unwrap().destroyed, shredding().destroyed);
}

#[test]
fn ids_open_only_for_their_job_and_key() {
    let rng = &mut StdRng::seed_from_u64(1);
    let (key, other) = (SectionKey::generate(rng), SectionKey::generate(rng));
    let entities = ["user-42", "Zoë"].map(|id| EntityId::new(id).unwrap());
    let sealed = seal_entities(&key, SCOPE, 9, &entities, rng);
    assert_eq!(open_entities(&key, SCOPE, 9, &sealed), Ok(entities.to_vec()));
    assert_eq!(open_entities(&other, SCOPE, 9, &sealed), Err(OpenJobError::WrongKey));
    assert_eq!(open_entities(&key, SCOPE, 8, &sealed), Err(OpenJobError::WrongKey));
    assert_eq!(open_entities(&key, SCOPE, 9, &sealed[1..]), Err(OpenJobError::WrongKey));
    assert_eq!(open_entities(&key, SCOPE, 9, &sealed[..sealed.len() - 1]), Err(OpenJobError::Damaged));
    assert!(!sealed.windows(7).any(|window| window == b"user-42"));
    // Ids are no progress, whatever their key.
    assert_eq!(Job::open(&key, SCOPE, 9, &sealed), Err(OpenJobError::WrongKey));
    // A list of something else than ids.
    let forged = seal_section(&key, &context(SCOPE, 9, ENTITIES), &[0x81, 0x61, 0x07], rng);
    assert_eq!(open_entities(&key, SCOPE, 9, &forged), Err(OpenJobError::Damaged));
}

/// The bytes of a job's progress hold no id, whichever it is: subjects are all they are made from.
#[test]
fn progress_holds_no_id() {
    let (salt, entity) = (crate::secret::Salt::from_bytes([5; 32]), EntityId::new("user-42").unwrap());
    let mut job = Job::begin(9, at(1, 1), [Subject::of(&salt, &entity)]);
    for stage in STAGES {
        ask(&mut job, stage, at(2, 2)).unwrap();
    }
    let bytes = encode(&job);
    assert!(!bytes.windows(7).any(|window| window == b"user-42"));
    assert!(!bytes.windows(32).any(|window| window == [5; 32]), "the salt is stored nowhere");
}

#[derive(Debug, Clone)]
enum Step {
    Ask(usize, u64, u64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, 0..20_u64, 0..20_u64).prop_map(|(stage, time, sequence)| Step::Ask(stage, time, sequence)),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    /// Against a list of stamps: what is out of turn or goes back changes nothing, time never goes back, and a crash
    /// after sealing finds the same job.
    #[test]
    fn jobs_only_go_forward(steps in prop::collection::vec(step(), 0..30), seed: u64) {
        let rng = &mut StdRng::seed_from_u64(seed);
        let key = SectionKey::generate(rng);
        let mut job = Job::begin(3, at(5, 5), [Subject::from_bytes([1; 32])]);
        let mut model = vec![at(5, 5)];
        for step in steps {
            match step {
                Step::Crash => {
                    let sealed = job.seal(&key, SCOPE, rng);
                    prop_assert_eq!(Job::open(&key, SCOPE, 3, &sealed), Ok(job.clone()));
                    prop_assert_eq!(Job::open(&key, SCOPE, 4, &sealed), Err(OpenJobError::WrongKey));
                }
                Step::Ask(stage, time, sequence) => {
                    let (before, last, due) = (job.clone(), model[model.len() - 1], STAGES.get(model.len() - 1));
                    let found = ask(&mut job, STAGES[stage], at(time, sequence));
                    if due != Some(&STAGES[stage]) {
                        prop_assert_eq!(found, Err(JobError::OutOfTurn { asked: STAGES[stage], due: due.copied() }));
                        prop_assert_eq!(&job, &before);
                    } else if sequence < last.sequence {
                        prop_assert_eq!(found, Err(JobError::Sequence { before: last.sequence, found: sequence }));
                        prop_assert_eq!(&job, &before);
                    } else {
                        prop_assert_eq!(found, Ok(()));
                        model.push(at(time.max(last.time_ms), sequence));
                    }
                }
            }
            for (stage, stamp) in STAGES.iter().zip(model[1..].iter().copied().map(Some).chain([None; 4])) {
                prop_assert_eq!(job.reached(*stage), stamp);
            }
        }
    }

    #[test]
    fn changed_progress_is_refused_or_another_job(stages in 0..=4_usize, at_byte: prop::sample::Index, to: u8, is_expiry: bool) {
        let mut job = if is_expiry { expiring() } else { begun() };
        for stage in &STAGES[..stages] {
            ask(&mut job, *stage, at(2000, 60)).unwrap();
        }
        let mut bytes = encode(&job);
        let read = |bytes: &[u8]| decoded(bytes, encode, |d| decode(9, d));
        for cut in 0..bytes.len() {
            prop_assert!(read(&bytes[..cut]).is_err());
        }
        let index = at_byte.index(bytes.len());
        bytes[index] = to;
        if let Ok(job) = read(&bytes) {
            prop_assert_eq!(encode(&job), bytes);
        }
    }
}
