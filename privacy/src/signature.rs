//! Ed25519 (RFC 8032): what lets others check a checkpoint or a receipt without any secret.
//!
//! Invariant: verification is strict, so no signature verifies in two forms or under a key of small order. It stands
//! beside the keys because audit and erasure both sign, with one key and under texts that cannot be confused: a note
//! is lines of text, everything else begins with a label that no text holds.

use std::fmt;

use ed25519_dalek::Signer;
use thiserror::Error;

use crate::secret::SigningKey;

/// Bytes of a signature.
pub const SIGNATURE: usize = 64;

/// The public half of a [`SigningKey`], as RFC 8032 §5.1.5 encodes it. Displayed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(pub [u8; 32]);

/// A signature that this key did not make over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature is not this key's, or the signed bytes were changed")]
pub struct SignatureError;

impl SigningKey {
    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(ed25519_dalek::SigningKey::from_bytes(self.expose()).verifying_key().to_bytes())
    }

    /// Signs `message`; the same message always gets the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        ed25519_dalek::SigningKey::from_bytes(self.expose()).sign(message).to_bytes()
    }
}

impl VerifyingKey {
    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE]) -> Result<(), SignatureError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| SignatureError)?;
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        key.verify_strict(message, &signature).map_err(|_| SignatureError)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// RFC 8032 §7.1, TEST 1 to 3.
    #[test]
    fn published_vectors_hold() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = SigningKey::from_bytes(bytes(seed));
            assert_eq!(key.verifying_key(), VerifyingKey(bytes(public)));
            let message = HEXLOWER.decode(message.as_bytes()).unwrap();
            assert_eq!(key.sign(&message), bytes(signature));
            assert_eq!(key.verifying_key().verify(&message, &bytes(signature)), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_seen(seed: [u8; 32], mut message: Vec<u8>, bit in 0..512_usize, at: prop::sample::Index) {
            let key = SigningKey::from_bytes(seed);
            let signature = key.sign(&message);
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key.verifying_key().verify(&message, &other), Err(SignatureError));
            let mut key_bytes = key.verifying_key();
            key_bytes.0[bit / 16] ^= 1 << (bit % 8);
            prop_assert_eq!(key_bytes.verify(&message, &signature), Err(SignatureError));
            message.push(0);
            let at = at.index(message.len());
            message[at] ^= 1;
            prop_assert_eq!(key.verifying_key().verify(&message, &signature), Err(SignatureError));
        }
    }

    /// The key of order one: under it, a lax check accepts one signature for every message.
    #[test]
    fn keys_of_small_order_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; SIGNATURE];
        signature[0] = 1;
        assert_eq!(VerifyingKey(identity).verify(b"anything", &signature), Err(SignatureError));
    }
}
