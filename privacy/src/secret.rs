//! Keys: 32 random bytes each, one type per purpose, and the public names derived from or given to them.
//!
//! Invariant: a key is wiped when dropped and can be neither printed, cloned, compared nor serialised; its bytes
//! leave only through `expose`. One macro writes all of them, so that none can forget a rule.

use std::fmt;

use hkdf::HmacImpl;
use hkdf::hmac::Hmac;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// A fresh key from `rng`.
            pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                let mut key = Self([0; 32]);
                rng.fill_bytes(&mut key.0);
                key
            }

            /// The key with these bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, for a cipher or a sealed page only.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }
    )*};
}

keys! {
    /// The root key of a database: needs secrecy, not forgettability. Never stored by this engine in the clear.
    RootKey;
    /// The anchor of one epoch of one environment: needs forgettability, not secrecy. Alone it reveals nothing;
    /// destroying it kills every older copy of the keyring.
    Anchor;
    /// Seals sections with Cobblestone-256: pages, tables, logs, index files.
    SectionKey;
    /// The key of one entity (or of a collection's records without one) in one collection; seals rows.
    Dek;
    /// Turns entity ids into tags.
    TagKey;
    /// Orders rows canonically, unpredictably to whoever chooses row ids.
    OrderKey;
    /// The seed of a secret rotation.
    RotationSeed;
    /// The random bytes that make an entity's audit pseudonym; they die with its entry.
    Blind;
    /// Signs audit checkpoints and receipts: the seed of an Ed25519 key (RFC 8032 §5.1.5). Durable.
    SigningKey;
    /// What an entity's id is hashed with in a receipt: given to the caller once, and stored nowhere.
    Salt;
    /// Chains the rows of the ledger of privacy budgets, and hashes the queries in it.
    LedgerKey;
    /// The secret of an API key: given to the caller once, and stored nowhere.
    ApiSecret;
    /// What secrets of API keys are hashed under, so that hashes alone prove nothing.
    Pepper;
}

impl RootKey {
    /// A public name of this key, to tell a wrong key from a damaged page. It reveals nothing usable about 32
    /// random bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::new().chain_update(b"lethedb root key v1\0").chain_update(self.0).finalize();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&digest[..8]);
        Fingerprint(fingerprint)
    }
}

impl OrderKey {
    /// The place of a name in the canonical order: the first 8 bytes, big-endian, of HMAC-SHA-256 over it.
    pub fn order_hash(&self, row: &[u8]) -> u64 {
        let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(&self.0);
        HmacImpl::update(&mut mac, row);
        let mut hash = [0; 8];
        hash.copy_from_slice(&HmacImpl::finalize(mac)[..8]);
        u64::from_be_bytes(hash)
    }
}

impl TagKey {
    /// What secrets of API keys are hashed under where this is the key of tags: HMAC-SHA-512 of a label, first 32 bytes.
    pub fn pepper(&self) -> Pepper {
        let mut mac = <Hmac<Sha512> as HmacImpl>::new_from_slice(&self.0);
        HmacImpl::update(&mut mac, b"lethedb api key pepper v1\0");
        let mut pepper = Pepper([0; 32]);
        pepper.0.copy_from_slice(&HmacImpl::finalize(mac)[..32]);
        pepper
    }
}

impl RotationSeed {
    /// The seed of one collection: HMAC-SHA-512 under this seed, first 32 bytes.
    pub fn of_collection(&self, collection: &[u8; 16]) -> RotationSeed {
        let mut mac = <Hmac<Sha512> as HmacImpl>::new_from_slice(&self.0);
        HmacImpl::update(&mut mac, b"lethedb rotation v1\0");
        HmacImpl::update(&mut mac, collection);
        let mut seed = RotationSeed([0; 32]);
        seed.0.copy_from_slice(&HmacImpl::finalize(mac)[..32]);
        seed
    }
}

impl LedgerKey {
    /// The key of an environment's ledger: HMAC-SHA-512 under the durable key of its tables, first 32 bytes.
    pub fn of(table: &SectionKey) -> LedgerKey {
        let mut mac = <Hmac<Sha512> as HmacImpl>::new_from_slice(&table.0);
        HmacImpl::update(&mut mac, b"lethedb ledger v1\0");
        let mut key = LedgerKey([0; 32]);
        key.0.copy_from_slice(&HmacImpl::finalize(mac)[..32]);
        key
    }

    /// HMAC-SHA-256 over `parts`, each after its length, for one purpose.
    pub fn mac(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(&self.0);
        for part in [&[purpose][..], parts].concat() {
            HmacImpl::update(&mut mac, &(part.len() as u64).to_be_bytes());
            HmacImpl::update(&mut mac, part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&HmacImpl::finalize(mac)[..32]);
        hash
    }
}

/// The public name of a root key: 8 bytes of a labelled SHA-256. Displayed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 8]);

/// The random public name of a [`Dek`]. It is stored beside the rows it seals and, after an erasure, for ever in
/// the graveyard; it says nothing about whose key it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// A fresh id from `rng`.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut id = Self([0; 16]);
        rng.fill_bytes(&mut id.0);
        id
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! shown_as_hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }
    )*};
}

shown_as_hex!(Fingerprint KeyId);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn fingerprints_name_keys() {
        let (a, b) = (RootKey::from_bytes([1; 32]), RootKey::from_bytes([2; 32]));
        assert_eq!(a.fingerprint(), RootKey::from_bytes([1; 32]).fingerprint());
        assert_ne!(a.fingerprint(), b.fingerprint());
        let plain = Sha256::digest([1; 32]);
        assert_ne!(a.fingerprint().0, plain[..8], "the label must separate it from a bare hash of the key");
        assert_eq!(a.fingerprint().to_string().len(), 16);
    }

    #[test]
    fn generated_keys_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        let (a, b) = (Dek::generate(&mut rng), Dek::generate(&mut rng));
        assert_ne!(a.expose(), b.expose());
        assert_ne!(KeyId::generate(&mut rng), KeyId::generate(&mut rng));
    }

    #[test]
    fn derived_values_depend_on_key_and_input() {
        let (k, l) = (OrderKey::from_bytes([1; 32]), OrderKey::from_bytes([2; 32]));
        assert_eq!(k.order_hash(&[7; 16]), k.order_hash(&[7; 16]));
        assert_ne!(k.order_hash(&[7; 16]), k.order_hash(&[8; 16]));
        assert_ne!(k.order_hash(&[7; 16]), l.order_hash(&[7; 16]));
        let seed = RotationSeed::from_bytes([3; 32]);
        assert_ne!(seed.of_collection(&[1; 16]).expose(), seed.of_collection(&[2; 16]).expose());
    }

    #[test]
    fn zeroize_wipes() {
        let mut key = RootKey::from_bytes([9; 32]);
        key.zeroize();
        assert_eq!(key.expose(), &[0; 32]);
    }
}
