//! Sections: Cobblestone-256, that is C2SP chunked encryption (<https://c2sp.org/chunked-encryption>) with
//! AES-256-GCM and SHA-512.
//!
//! Invariant: `salt (24) || commitment (32) || chunks`; every chunk but the last holds 16 KiB, the last holds less
//! (perhaps nothing), so every truncation, extension and reordering is seen. The commitment is compared before
//! anything is decrypted: no section opens under two keys, and a wrong key is told from damage.

use hkdf::HmacImpl;
use hkdf::hmac::Hmac;
use rand_core::CryptoRng;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::context::SectionContext;
use super::gcm::{Gcm, TAG};
use super::open_error::OpenError;
use crate::secret::SectionKey;

const SALT: usize = 24;
const COMMITMENT: usize = 32;
const HEADER: usize = SALT + COMMITMENT;
/// Bytes of plaintext in every chunk of a section but the last, which holds less.
pub const SECTION_CHUNK: usize = 16 * 1024;
const CHUNK: usize = SECTION_CHUNK;
const SEALED_CHUNK: usize = CHUNK + TAG;
const INFO: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// The length of the plaintext in a blob of `blob_len` bytes; `None` if no section has that length.
pub fn section_len(blob_len: usize) -> Option<usize> {
    let body = blob_len.checked_sub(HEADER)?;
    let last = (body % SEALED_CHUNK).checked_sub(TAG)?;
    Some(body / SEALED_CHUNK * CHUNK + last)
}

/// The length of the blob that seals `plaintext_len` bytes, saturating at the end of the address space.
pub fn sealed_section_len(plaintext_len: usize) -> usize {
    (plaintext_len / CHUNK).saturating_add(1).saturating_mul(TAG).saturating_add(plaintext_len).saturating_add(HEADER)
}

/// Seals `plaintext` for one place.
pub fn seal_section(
    key: &SectionKey,
    context: &SectionContext,
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    seal(key, &salt, &context.encode(), plaintext)
}

/// Opens a blob of [`seal_section`].
pub fn open_section(key: &SectionKey, context: &SectionContext, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut out = Zeroizing::new(vec![0; section_len(blob.len()).ok_or(OpenError::TooShort)?]);
    open_section_into(key, context, blob, &mut out)?;
    Ok(out)
}

/// Opens a blob of [`seal_section`] straight into `out`, whose length must be [`section_len`] of the blob's. On an
/// error `out` is all zero.
pub fn open_section_into(
    key: &SectionKey,
    context: &SectionContext,
    blob: &[u8],
    out: &mut [u8],
) -> Result<(), OpenError> {
    let opened = Message::check(key, &context.encode(), blob).and_then(|message| message.open_into(out));
    opened.inspect_err(|_| out.zeroize())
}

/// Access to one section chunk by chunk, from many threads if need be: who has started them opens with each what it can.
pub struct SectionReader<'a>(Message<'a>);

impl<'a> SectionReader<'a> {
    /// Checks the commitment, then the length by opening the last chunk: every length read from here on is
    /// authentic.
    pub fn open(key: &SectionKey, context: &SectionContext, blob: &'a [u8]) -> Result<Self, OpenError> {
        let message = Message::check(key, &context.encode(), blob)?;
        let mut last = Zeroizing::new([0; CHUNK]);
        message.chunk_into(message.length / CHUNK, &mut last[..message.length % CHUNK])?;
        Ok(Self(message))
    }

    /// Bytes of plaintext.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether the plaintext is empty.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// Opens chunk `index` straight into `out`: the bytes from `index` times [`SECTION_CHUNK`] on, as many as there are
    /// up to that length. Chunks cut a buffer of [`len`](Self::len) bytes as `chunks_mut(SECTION_CHUNK)` does; once
    /// each has opened, the whole is authentic.
    ///
    /// # Errors
    /// [`OpenError::TooShort`] if `out` is not as long as the chunk, or there is none: `out` is then as it was.
    /// [`OpenError::Damaged`]: it is all zero.
    pub fn chunk_into(&self, index: usize, out: &mut [u8]) -> Result<(), OpenError> {
        self.0.chunk_into(index, out)
    }
}

/// A section whose commitment has been checked.
struct Message<'a> {
    cipher: Gcm,
    nonce: [u8; 12],
    body: &'a [u8],
    length: usize,
}

impl<'a> Message<'a> {
    fn check(key: &SectionKey, context: &[u8], blob: &'a [u8]) -> Result<Self, OpenError> {
        let length = section_len(blob.len()).ok_or(OpenError::TooShort)?;
        let (salt, rest) = blob.split_first_chunk().ok_or(OpenError::TooShort)?;
        let (commitment, body) = rest.split_first_chunk::<COMMITMENT>().ok_or(OpenError::TooShort)?;
        let derived = derive(key, salt, context);
        if !bool::from(derived.commitment.ct_eq(commitment)) {
            return Err(OpenError::WrongKey);
        }
        Ok(Self { cipher: derived.cipher, nonce: derived.nonce, body, length })
    }

    fn chunk_into(&self, index: usize, out: &mut [u8]) -> Result<(), OpenError> {
        let sealed = self.body.chunks(SEALED_CHUNK).nth(index).ok_or(OpenError::TooShort)?;
        if sealed.len() != out.len() + TAG {
            return Err(OpenError::TooShort);
        }
        self.cipher.decrypt(&chunk_nonce(&self.nonce, index), &[], sealed, out)
    }

    fn open_into(&self, out: &mut [u8]) -> Result<(), OpenError> {
        if out.len() != self.length {
            return Err(OpenError::TooShort);
        }
        // A last chunk without plaintext has no slice of `out`, yet must be authenticated too.
        let (full, last) = out.split_at_mut(self.length / CHUNK * CHUNK);
        let parts = full.chunks_exact_mut(CHUNK).chain([last]);
        for (index, (sealed, out)) in self.body.chunks(SEALED_CHUNK).zip(parts).enumerate() {
            self.cipher.decrypt(&chunk_nonce(&self.nonce, index), &[], sealed, out)?;
        }
        Ok(())
    }
}

fn seal(key: &SectionKey, salt: &[u8; SALT], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let derived = derive(key, salt, context);
    let mut blob = Vec::with_capacity(sealed_section_len(plaintext.len()));
    blob.extend_from_slice(salt);
    blob.extend_from_slice(&derived.commitment);
    let (full, last) = plaintext.split_at(plaintext.len() / CHUNK * CHUNK);
    for (index, chunk) in full.chunks_exact(CHUNK).chain([last]).enumerate() {
        let start = blob.len();
        blob.extend_from_slice(chunk);
        let tag = derived.cipher.encrypt(&chunk_nonce(&derived.nonce, index), &[], &mut blob[start..]);
        blob.extend_from_slice(&tag);
    }
    blob
}

struct Derived {
    cipher: Gcm,
    nonce: [u8; 12],
    commitment: [u8; COMMITMENT],
}

/// `key (32) || base nonce (12) || commitment (32) = HKDF-Expand-SHA-512(key, info || salt || context)`, RFC 5869
/// §2.3 written out for its two blocks, because the input key is shorter than the hash and `hkdf` refuses that.
fn derive(key: &SectionKey, salt: &[u8; SALT], context: &[u8]) -> Derived {
    let hmac = <Hmac<Sha512> as HmacImpl>::new_from_slice(key.expose());
    let block = |previous: &[u8], counter: u8| {
        let mut hmac = hmac.clone();
        for part in [previous, INFO, salt, context, &[counter]] {
            HmacImpl::update(&mut hmac, part);
        }
        HmacImpl::finalize(hmac)
    };
    let first = Zeroizing::new(<[u8; 64]>::from(block(&[], 1)));
    let second = block(&first[..], 2);

    let mut message_key = Zeroizing::new([0; 32]);
    message_key.copy_from_slice(&first[..32]);
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&first[32..44]);
    let mut commitment = [0; COMMITMENT];
    commitment[..20].copy_from_slice(&first[44..]);
    commitment[20..].copy_from_slice(&second[..12]);
    Derived { cipher: Gcm::new(&message_key), nonce, commitment }
}

fn chunk_nonce(base: &[u8; 12], index: usize) -> [u8; 12] {
    let mut nonce = *base;
    for (byte, counter) in nonce[4..].iter_mut().zip((index as u64).to_be_bytes()) {
        *byte ^= counter;
    }
    nonce
}

#[cfg(test)]
mod tests;
