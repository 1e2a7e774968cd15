//! The twin of `gcm` that enciphers nothing: what a measurement compares with to learn what encryption costs.
//!
//! Invariant: compiled only with `--cfg lethedb_plaintext`, which the one who builds must give and no dependency can; the
//! server refuses to be built with it. Lengths, layout and every other step are those of `gcm`; tags are zeros.

use super::open_error::OpenError;

/// Bytes of an authentication tag.
pub(super) const TAG: usize = 16;

/// Bytes of the nonce that [`Gcm::extended`] takes.
pub(super) const EXTENDED_NONCE: usize = 24;

/// No cipher.
pub(super) struct Gcm;

impl Gcm {
    pub(super) fn new(_key: &[u8; 32]) -> Self {
        Self
    }

    pub(super) fn extended(_key: &[u8; 32], _nonce: &[u8; EXTENDED_NONCE]) -> (Self, [u8; 12]) {
        (Self, [0; 12])
    }

    /// Leaves `buffer` as it is.
    pub(super) fn encrypt(&self, _nonce: &[u8; 12], _aad: &[u8], _buffer: &mut [u8]) -> [u8; TAG] {
        [0; TAG]
    }

    /// Copies `sealed` to `out`, but for its tag, which must be what [`Gcm::encrypt`] gave.
    pub(super) fn decrypt(
        &self,
        _nonce: &[u8; 12],
        _aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), OpenError> {
        let (bytes, tag) = sealed.split_last_chunk::<TAG>().ok_or(OpenError::TooShort)?;
        if *tag != [0; TAG] || bytes.len() != out.len() {
            out.fill(0);
            return Err(OpenError::Damaged);
        }
        out.copy_from_slice(bytes);
        Ok(())
    }
}
