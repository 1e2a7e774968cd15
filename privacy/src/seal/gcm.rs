//! AES-256-GCM (NIST SP 800-38D) with a single-use key: the one cipher under both sealings.
//!
//! Invariant: the tag is checked before a byte is decrypted, so a failed opening writes no plaintext. The rest of
//! the crate sees this type only; a faster backend would replace this file.

use aes::Aes256Enc;
use aes::cipher::KeyInit;
use aes::cipher::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, AesGcm};
use thiserror::Error;
use zeroize::Zeroize;

/// Bytes of an authentication tag.
pub(super) const TAG: usize = 16;

/// Why a blob does not open. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The section's commitment names another key or another context (or was itself altered).
    #[error("sealed under another key or for another place")]
    WrongKey,
    /// Authentication failed: the bytes were changed, cut or moved, or (for rows) the key is another.
    #[error("authentication failed")]
    Damaged,
    /// Too short, or of a length no sealing produces.
    #[error("no sealed blob has this length")]
    TooShort,
}

/// A cipher whose key seals one message. Only the encrypting half of the AES key schedule is computed: counter mode
/// needs no other.
pub(super) struct Gcm(AesGcm<Aes256Enc, U12>);

impl Gcm {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// Encrypts `buffer` in place and returns its tag. GCM ends at 64 GiB, far above any limit of this engine; a
    /// longer buffer is wiped and gets a tag that will not verify, so that no plaintext can pass for ciphertext.
    pub(super) fn encrypt(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG] {
        match self.0.encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(&mut *buffer)) {
            Ok(tag) => tag.into(),
            Err(_) => {
                buffer.zeroize();
                [0; TAG]
            }
        }
    }

    /// Checks the tag at the end of `sealed`, then decrypts into `out`, which must be [`TAG`] bytes shorter. On an
    /// error `out` is untouched.
    pub(super) fn decrypt(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(OpenError::TooShort)?;
        let buffer = InOutBuf::new(ciphertext, out).map_err(|_| OpenError::Damaged)?;
        self.0.decrypt_inout_detached(nonce.into(), aad, buffer, tag.into()).map_err(|_| OpenError::Damaged)
    }
}
