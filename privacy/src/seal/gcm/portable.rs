//! The cipher in Rust alone: `aes-gcm`, for builds without a C compiler, and the reference of the other.
//!
//! Invariant: the tag is checked before a byte is decrypted; the key schedule is wiped on drop.

use aes::Aes256Enc;
use aes::cipher::KeyInit;
use aes::cipher::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, AesGcm};

/// Only the encrypting half of the AES key schedule is computed: counter mode needs no other.
pub(super) struct Cipher(AesGcm<Aes256Enc, U12>);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// Encrypts `buffer` in place and returns its tag; `None` if it is too long.
    pub(super) fn encrypt(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; 16]> {
        self.0.encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(buffer)).ok().map(Into::into)
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
        let buffer = InOutBuf::new(ciphertext, out).ok()?;
        self.0.decrypt_inout_detached(nonce.into(), aad, buffer, tag.into()).ok()
    }
}
