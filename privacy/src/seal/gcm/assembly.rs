//! The cipher in assembly: `ring`, which enciphers and authenticates in one pass with the widest instructions that the
//! processor turns out to have, down to none of its own for AES.
//!
//! Invariant: the same bytes as `portable`. Deciphering comes before the tag is known, so what a wrong tag leaves behind
//! must be wiped: `ring` does it, and so does the caller.
//!
//! `ring` wipes no key. Here it is done for it: a schedule that is dropped is overwritten by that of a key of zeros, and
//! then the stack below, where making and using it left copies. On x86-64, optimised, no copy of the key of a row is
//! left on the stack after opening it; no compiler promises that, and registers are not wiped.

use std::sync::LazyLock;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::{optimization_barrier, zeroize_stack};

/// Bytes copied at a time. Longer copies become one string instruction in the C library, which some processors (Zen 3)
/// carry out several times slower where source and destination lie unluckily within their pages.
const COPY: usize = 1024;

/// Bytes of stack that making a key and using it write to: copies of it were found within the first 4300 below.
const STACK: usize = 5120;

static ZEROS: LazyLock<Option<LessSafeKey>> = LazyLock::new(|| expand(&[0; 32]));

/// `None` for a key of a length that AES-256 does not have, and no other.
pub(super) struct Cipher(Option<LessSafeKey>);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(expand(key))
    }

    /// Encrypts `buffer` in place and returns its tag; `None` if it is too long.
    pub(super) fn encrypt(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; 16]> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = self.0.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(aad), buffer).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts `ciphertext` into `out`, as long; `None` if `tag` is not its tag.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; 16],
        out: &mut [u8],
    ) -> Option<()> {
        for (out, ciphertext) in out.chunks_mut(COPY).zip(ciphertext.chunks(COPY)) {
            out.copy_from_slice(ciphertext);
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.0.as_ref()?;
        key.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(*tag), out, 0..).ok().map(|_| ())
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.0.clone_from(&ZEROS);
        optimization_barrier(&self.0);
        zeroize_stack::<STACK>();
    }
}

#[inline(never)] // so that its frame lies where the stack is wiped
fn expand(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}
