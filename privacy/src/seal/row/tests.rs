//! Rows against the published vectors of XAES-256-GCM, and every way of tampering with one.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};

use super::*;
use crate::seal::{RowField, Scope};

const CONTEXT: RowContext = RowContext {
    scope: Scope { database: [1; 16], environment: [2; 16] },
    collection: [3; 16],
    row: [4; 16],
    field: RowField::Vector,
};

/// The two vectors of <https://c2sp.org/XAES-256-GCM>: one for each value of the first bit of L.
#[test]
fn published_vectors() {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    for (key, aad, want) in [
        ([1; 32], "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        ([3; 32], "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ] {
        let blob = seal(&Dek::from_bytes(key), nonce, aad.as_bytes(), b"XAES-256-GCM");
        assert_eq!(HEXLOWER.encode(&blob[NONCE..]), want);
        let mut out = Vec::new();
        open(&Dek::from_bytes(key), aad.as_bytes(), &blob, &mut out).unwrap();
        assert_eq!(out, b"XAES-256-GCM");
    }
}

fn accumulated(iterations: usize) -> String {
    let mut random = Shake128::default().finalize_xof();
    let mut hash = Shake128::default();
    let bytes = |random: &mut dyn XofReader| {
        let mut length = [0];
        random.read(&mut length);
        let mut bytes = vec![0; length[0].into()];
        random.read(&mut bytes);
        bytes
    };
    let mut opened = Vec::new();
    for _ in 0..iterations {
        let (mut key, mut nonce) = ([0; 32], [0; NONCE]);
        random.read(&mut key);
        random.read(&mut nonce);
        let (plaintext, aad) = (bytes(&mut random), bytes(&mut random));
        let dek = Dek::from_bytes(key);
        let blob = seal(&dek, &nonce, &aad, &plaintext);
        hash.update(&blob[NONCE..]);
        open(&dek, &aad, &blob, &mut opened).unwrap();
        assert_eq!(opened, plaintext);
    }
    let mut digest = [0; 32];
    hash.finalize_xof().read(&mut digest);
    HEXLOWER.encode(&digest)
}

/// The accumulated randomized test of the specification.
#[test]
fn accumulated_vectors() {
    assert_eq!(accumulated(10_000), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

proptest! {
    #[test]
    fn seals_and_opens(plaintext: Vec<u8>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let dek = Dek::generate(&mut rng);
        let blob = seal_row(&dek, &CONTEXT, &plaintext, &mut rng);
        prop_assert_eq!(blob.len(), plaintext.len() + ROW_OVERHEAD);
        let opened = open_row(&dek, &CONTEXT, &blob).unwrap();
        prop_assert_eq!(&*opened, &plaintext);
        prop_assert!(blob != seal_row(&dek, &CONTEXT, &plaintext, &mut rng), "nonces must be fresh");
    }

    #[test]
    fn any_bytes_are_refused(blob: Vec<u8>) {
        prop_assert!(open_row(&Dek::from_bytes([1; 32]), &CONTEXT, &blob).is_err());
    }
}

#[test]
fn every_change_is_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    let dek = Dek::generate(&mut rng);
    let blob = seal_row(&dek, &CONTEXT, b"a vector of a person", &mut rng);
    let mut out = b"plaintext of an earlier row, longer than this one".to_vec();
    for i in 0..blob.len() {
        let mut changed = blob.clone();
        changed[i] ^= 1;
        assert_eq!(open_row_into(&dek, &CONTEXT, &changed, &mut out), Err(OpenError::Damaged));
        assert!(out.is_empty(), "a failed opening leaves nothing");
        let want = if i < ROW_OVERHEAD { OpenError::TooShort } else { OpenError::Damaged };
        assert_eq!(open_row_into(&dek, &CONTEXT, &blob[..i], &mut out), Err(want));
    }
    let longer = [blob.as_slice(), &[0]].concat();
    assert_eq!(open_row(&dek, &CONTEXT, &longer), Err(OpenError::Damaged));
    assert_eq!(open_row(&Dek::generate(&mut rng), &CONTEXT, &blob), Err(OpenError::Damaged));
}

#[test]
fn every_other_place_is_refused() {
    let mut rng = StdRng::seed_from_u64(2);
    let dek = Dek::generate(&mut rng);
    let blob = seal_row(&dek, &CONTEXT, b"x", &mut rng);
    for context in [
        RowContext { scope: Scope { database: [9; 16], ..CONTEXT.scope }, ..CONTEXT },
        RowContext { scope: Scope { environment: [9; 16], ..CONTEXT.scope }, ..CONTEXT },
        RowContext { collection: [9; 16], ..CONTEXT },
        RowContext { row: [9; 16], ..CONTEXT },
        RowContext { field: RowField::Body, ..CONTEXT },
    ] {
        assert_eq!(open_row(&dek, &context, &blob), Err(OpenError::Damaged));
    }
    assert!(open_row(&dek, &CONTEXT, &blob).is_ok());
}

#[test]
fn scratch_is_reused() {
    let mut rng = StdRng::seed_from_u64(3);
    let dek = Dek::generate(&mut rng);
    let mut out = Vec::with_capacity(64);
    let address = out.as_ptr();
    for length in [64, 3, 0, 63] {
        let plaintext = vec![length as u8; length];
        let blob = seal_row(&dek, &CONTEXT, &plaintext, &mut rng);
        open_row_into(&dek, &CONTEXT, &blob, &mut out).unwrap();
        assert_eq!((&out, out.as_ptr()), (&plaintext, address));
    }
}
