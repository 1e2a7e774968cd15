//! Rows: XAES-256-GCM (<https://c2sp.org/XAES-256-GCM>) under an entity's DEK.
//!
//! Invariant: every blob has its own 24 random bytes of nonce, which derive its own AES key; nothing is counted or
//! remembered. A blob opens only under its DEK and only for its row. This is the inner loop of re-ranking: an
//! opening expands two AES keys, enciphers four blocks and allocates nothing.

use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::context::RowContext;
use super::gcm::{EXTENDED_NONCE as NONCE, Gcm, TAG};
use super::open_error::OpenError;
use crate::secret::Dek;

/// Bytes a sealed row is longer than its plaintext: nonce and tag.
pub const ROW_OVERHEAD: usize = NONCE + TAG;

/// Seals `plaintext` for one row: `nonce (24) || ciphertext || tag (16)`.
pub fn seal_row(dek: &Dek, context: &RowContext, plaintext: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    seal(dek, &nonce, &context.encode(), plaintext)
}

/// Opens a blob of [`seal_row`].
pub fn open_row(dek: &Dek, context: &RowContext, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut out = Zeroizing::new(Vec::new());
    open_row_into(dek, context, blob, &mut out)?;
    Ok(out)
}

/// Opens a blob of [`seal_row`] into `out`, replacing its content. Allocates only if the capacity of `out` does not
/// suffice; the old buffer is then wiped first. On an error `out` is empty.
pub fn open_row_into(dek: &Dek, context: &RowContext, blob: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
    open(dek, &context.encode(), blob, out)
}

fn seal(dek: &Dek, nonce: &[u8; NONCE], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let message = Gcm::extended(dek.expose(), nonce);
    let mut blob = Vec::with_capacity(plaintext.len() + ROW_OVERHEAD);
    blob.extend_from_slice(nonce);
    blob.extend_from_slice(plaintext);
    let tag = message.0.encrypt(&message.1, aad, &mut blob[NONCE..]);
    blob.extend_from_slice(&tag);
    blob
}

fn open(dek: &Dek, aad: &[u8], blob: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
    out.clear();
    let (nonce, sealed) = blob.split_first_chunk::<NONCE>().ok_or(OpenError::TooShort)?;
    let length = sealed.len().checked_sub(TAG).ok_or(OpenError::TooShort)?;
    if out.capacity() < length {
        // Growing in place would free the old buffer with its plaintext.
        out.zeroize();
        out.reserve_exact(length);
    }
    out.resize(length, 0);
    // Not taken apart, here and above: moving the cipher would leave a copy of its key that nothing wipes.
    let message = Gcm::extended(dek.expose(), nonce);
    message.0.decrypt(&message.1, aad, sealed, out).inspect_err(|_| out.clear())
}

#[cfg(test)]
mod tests;
