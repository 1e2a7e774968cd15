//! AES-256-GCM (NIST SP 800-38D) with a single-use key: the one cipher under both sealings.
//!
//! Invariant: what does not authenticate leaves no plaintext. The rest of the crate sees this type only, and here alone
//! is chosen what computes it: `assembly`, which falls back by itself on processors without AES instructions, or without
//! the feature `ring` `portable`. Their bytes are the same.

#[cfg(feature = "ring")]
mod assembly;
#[cfg(any(test, not(feature = "ring")))]
mod portable;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use zeroize::Zeroize;

#[cfg(feature = "ring")]
use self::assembly::Cipher;
#[cfg(not(feature = "ring"))]
use self::portable::Cipher;
use super::open_error::OpenError;

/// Bytes of an authentication tag.
pub(super) const TAG: usize = 16;

/// Bytes of the nonce that [`Gcm::extended`] takes.
pub(super) const EXTENDED_NONCE: usize = 24;

/// A cipher whose key seals one message.
pub(super) struct Gcm(Cipher);

impl Gcm {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Cipher::new(key))
    }

    /// The cipher of one message under a key of many, and its nonce: the key derivation of XAES-256-GCM, step by step.
    /// CMAC-AES-256 in counter mode over the first half of the long nonce gives the message key, the second half is
    /// the GCM nonce.
    pub(super) fn extended(key: &[u8; 32], nonce: &[u8; EXTENDED_NONCE]) -> (Self, [u8; 12]) {
        let aes = Aes256Enc::new(key.into());
        let mut block = Block::default();
        aes.encrypt_block(&mut block);
        let mut l = u128::from_be_bytes(block.into());
        let mut k1 = (l << 1) ^ (0b1000_0111 * (l >> 127));

        let mut message = [0; 16];
        message[2] = b'X';
        message[4..].copy_from_slice(&nonce[..12]);
        let context = u128::from_be_bytes(message) ^ k1;
        let mut blocks = [1u128, 2].map(|counter| Array((context ^ (counter << 112)).to_be_bytes()));
        aes.encrypt_blocks(&mut blocks);
        let mut message_key = [0; 32];
        message_key[..16].copy_from_slice(&blocks[0]);
        message_key[16..].copy_from_slice(&blocks[1]);
        let cipher = Self::new(&message_key);

        message_key.zeroize();
        blocks.iter_mut().for_each(|block| block.zeroize());
        block.zeroize();
        l.zeroize();
        k1.zeroize();
        let mut nonce_x = [0; 12];
        nonce_x.copy_from_slice(&nonce[12..]);
        (cipher, nonce_x)
    }

    /// Encrypts `buffer` in place and returns its tag. GCM ends at 64 GiB, far above any limit of this engine; a
    /// longer buffer is wiped and gets a tag that will not verify, so that no plaintext can pass for ciphertext.
    pub(super) fn encrypt(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.encrypt(nonce, aad, buffer);
        tag.unwrap_or_else(|| {
            buffer.zeroize();
            [0; TAG]
        })
    }

    /// Decrypts `sealed` but for the tag at its end, which must be that of the rest, into `out`, which must be [`TAG`]
    /// bytes shorter. On an error `out` is all zero.
    pub(super) fn decrypt(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        let opened = match sealed.split_last_chunk::<TAG>() {
            None => Err(OpenError::TooShort),
            Some((ciphertext, _)) if ciphertext.len() != out.len() => Err(OpenError::Damaged),
            Some((ciphertext, tag)) => self.0.decrypt(nonce, aad, ciphertext, tag, out).ok_or(OpenError::Damaged),
        };
        opened.inspect_err(|_| out.zeroize())
    }
}

#[cfg(test)]
mod tests;
