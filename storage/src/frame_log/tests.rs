//! Logs cut at every length and flipped at every byte: reading gives a prefix or says where the damage is, and never
//! silently loses what a later frame calls synced.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::Memory;
use crate::backend::watched::{Fault, Watched};

const HEADER: Header = Header { kind: LogKind::Audit, number: 7, base: 3 };

/// A payload to append, or none to sync.
type Step = Option<Vec<u8>>;

/// Plays the steps, and gives the file's bytes.
fn log_of(steps: &[Step]) -> Vec<u8> {
    let dir = Dir::root(Arc::new(Memory::new()));
    let mut writer = FrameWriter::create(&dir, "log", &HEADER).unwrap();
    for step in steps {
        match step {
            Some(payload) => drop(writer.append(payload).unwrap()),
            None => writer.sync().unwrap(),
        }
    }
    let bytes = dir.read("log").unwrap();
    assert_eq!(bytes.len() as u64, writer.bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<Frames, FrameLogError> {
    read_frames(bytes, HEADER.kind, HEADER.number)
}

fn payloads(bytes: &[u8], frames: &Frames) -> Vec<Vec<u8>> {
    frames.payloads.iter().map(|range| bytes[range.clone()].to_vec()).collect()
}

fn written(steps: &[Step]) -> Vec<Vec<u8>> {
    steps.iter().flatten().cloned().collect()
}

/// How many frames were synced when the last one was appended, which is what the log itself can prove.
fn witnessed_frames(steps: &[Step]) -> usize {
    let last = steps.iter().rposition(Option::is_some).unwrap_or(0);
    let synced = steps[..last].iter().rposition(Option::is_none).unwrap_or(0);
    steps[..synced].iter().flatten().count()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let payload = prop::collection::vec(any::<u8>(), 0..12);
    prop::collection::vec(prop::option::weighted(0.7, payload), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_whole_log_reads_back(steps in steps()) {
        let bytes = log_of(&steps);
        let frames = read(&bytes).unwrap();
        prop_assert_eq!(payloads(&bytes, &frames), written(&steps));
        prop_assert_eq!((frames.base, frames.torn_bytes), (HEADER.base, 0));
    }

    #[test]
    fn a_log_cut_anywhere_is_a_prefix(steps in steps()) {
        let bytes = log_of(&steps);
        let whole = written(&steps);
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            let frames = read(cut).unwrap();
            let kept = payloads(cut, &frames);
            prop_assert!(whole.starts_with(&kept));
            let used = frames.payloads.last().map_or(HEADER_LEN.min(length), |range| range.end);
            let torn = if length < HEADER_LEN { length } else { length - used };
            prop_assert_eq!(frames.torn_bytes, torn as u64);
        }
    }

    #[test]
    fn a_flipped_byte_never_hides_what_was_synced(steps in steps(), bit in 0..8u8) {
        let bytes = log_of(&steps);
        let (whole, witnessed) = (written(&steps), witnessed_frames(&steps));
        let starts: Vec<usize> = read(&bytes).unwrap().payloads.iter().map(|p| p.start - FRAME_HEADER_LEN).collect();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let hit = starts.iter().rposition(|&start| start <= at);
            match (read(&bad), hit) {
                // A log without frames cannot tell a bad header from an unfinished creation.
                (Ok(frames), None) => prop_assert!(whole.is_empty() && frames.payloads.is_empty()),
                (Err(FrameLogError::Damaged { offset }), None) => prop_assert_eq!(offset, 0),
                (Ok(frames), Some(hit)) => {
                    prop_assert_eq!(&payloads(&bad, &frames)[..], &whole[..hit]);
                    prop_assert!(hit >= witnessed, "a synced frame was lost in silence");
                }
                (Err(FrameLogError::Damaged { offset }), Some(hit)) => {
                    prop_assert_eq!(offset, starts[hit] as u64);
                    prop_assert!(hit < witnessed, "a tear in what was never synced was called damage");
                }
                (Err(other), _) => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(noise: Vec<u8>, steps in steps(), at: prop::sample::Index) {
        let mut bytes = log_of(&steps);
        let at = at.index(bytes.len() + 1);
        bytes.splice(at..at, noise.iter().copied());
        if let Ok(frames) = read(&bytes) {
            prop_assert!(written(&steps).starts_with(&payloads(&bytes, &frames)));
        }
        let _ = read(&noise);
    }
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = log_of(&[]);
    bytes[8] = 2;
    assert_eq!(read(&bytes), Ok(Frames { torn_bytes: 32, ..Frames::default() }), "no checksum, hence no version");
    let newer = with_checksum(bytes[..28].to_vec());
    assert_eq!(read(&newer), Err(FrameLogError::NewerFormat { found: 2, max: 1 }));
    assert_eq!(read_frames(&newer, LogKind::Wal, 7), Err(FrameLogError::Damaged { offset: 0 }));
}

#[test]
fn another_log_under_this_name_is_damage() {
    let bytes = log_of(&[Some(b"event".to_vec())]);
    let damaged = Err(FrameLogError::Damaged { offset: 0 });
    assert_eq!(read_frames(&bytes, LogKind::Audit, 8), damaged);
    assert_eq!(read_frames(&bytes, LogKind::Budget, 7), damaged);
}

#[test]
fn a_frame_that_was_taken_out_is_missed() {
    let steps = [Some(vec![1]), None, Some(vec![2]), None, Some(vec![3])];
    let mut bytes = log_of(&steps);
    let frames = read(&bytes).unwrap().payloads;
    bytes.drain(frames[0].end..frames[1].end);
    assert_eq!(read(&bytes), Err(FrameLogError::Damaged { offset: frames[0].end as u64 }));
}

#[test]
fn a_frame_beyond_the_limit_is_refused_before_it_is_written() {
    let dir = Dir::root(Arc::new(Memory::new()));
    let mut writer = FrameWriter::create(&dir, "log", &HEADER).unwrap();
    let before = writer.bytes();
    assert_eq!(writer.append(&vec![0; MAX_PAYLOAD + 1]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!((writer.bytes(), writer.next_number(), writer.is_poisoned()), (before, 0, false));
    assert_eq!(FrameWriter::create(&dir, "log", &HEADER).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_frame_that_was_not_kept_leaves_no_gap() {
    let backend = Watched::default();
    let mut writer = FrameWriter::create(&backend.dir(), "log", &HEADER).unwrap();
    let full: Fault = Box::new(|_, _| Err(io::ErrorKind::StorageFull.into()));
    backend.watch.lock().append_faults = vec![full];
    assert_eq!(writer.append(b"lost").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(writer.append(b"kept").unwrap(), 0);
    writer.sync().unwrap();
    let bytes = backend.after_power_loss().read("log").unwrap();
    assert_eq!(payloads(&bytes, &read(&bytes).unwrap()), [b"kept"]);
}

#[test]
fn a_full_disk_is_no_obstacle_to_the_next_attempt() {
    let backend = Watched::default();
    let full: Fault = Box::new(|_, _| Err(io::ErrorKind::StorageFull.into()));
    backend.watch.lock().append_faults = vec![full];
    let refused = FrameWriter::create(&backend.dir(), "log", &HEADER).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    FrameWriter::create(&backend.dir(), "log", &HEADER).unwrap();
}

#[test]
fn a_writer_in_doubt_never_writes_again() {
    let backend = Watched::default();
    let mut torn = FrameWriter::create(&backend.dir(), "torn", &HEADER).unwrap();
    let short: Fault = Box::new(|file, bytes| file.append(&bytes[..9]).and(Err(io::ErrorKind::StorageFull.into())));
    backend.watch.lock().append_faults = vec![short];
    assert!(torn.append(b"x").is_err());
    let mut unsynced = FrameWriter::create(&backend.dir(), "unsynced", &HEADER).unwrap();
    unsynced.append(b"x").unwrap();
    backend.watch.lock().failing_syncs = 1;
    assert!(unsynced.sync().is_err());
    for mut writer in [torn, unsynced] {
        let before = writer.bytes();
        assert!(writer.is_poisoned() && writer.append(b"y").is_err() && writer.sync().is_err());
        assert_eq!(writer.bytes(), before);
    }
}
