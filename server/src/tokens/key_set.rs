//! A JSON Web Key Set (RFC 7517): the public keys that tokens are signed with, by their ids.
//!
//! Invariant: a key is for one algorithm, which its type says and nobody else; keys without an id, for encryption, or of a kind
//! that is not taken are left out; a set with a private or a shared key is refused whole, since whoever can see it can sign.

use std::collections::BTreeMap;

use engine::TokenAlgorithm;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use thiserror::Error;

/// How many keys a set has at most.
const KEYS_MAX: usize = 64;
/// The longest id of a key, in bytes.
const ID_BYTES_MAX: usize = 256;

/// The keys of a set that can be used.
pub struct KeySet(BTreeMap<String, (TokenAlgorithm, DecodingKey)>);

/// Why a text is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// It is not the JSON of one.
    #[error("the key set is not the JSON of one (RFC 7517): {{\"keys\": […]}}")]
    Json,
    /// It has too many keys.
    #[error("a key set has at most {KEYS_MAX} keys")]
    TooMany,
    /// It holds what nobody but the issuer may know.
    #[error("the key set holds a private or a shared key; give the public ones alone, and replace that one")]
    Secret,
    /// Two keys have one id.
    #[error("two keys of the set have the same id")]
    Twice,
    /// Nothing in it can be used.
    #[error("no key of the set can be used: one needs an id, and is of Ed25519, P-256, or RSA of 2048 to 8192 bits")]
    Unusable,
}

#[derive(Deserialize)]
struct SetBody {
    keys: Vec<KeyBody>,
}

#[derive(Deserialize)]
struct KeyBody {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    // What makes a key a secret.
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(json: &[u8]) -> Result<KeySet, KeySetError> {
        let SetBody { keys } = serde_json::from_slice(json).map_err(|_| KeySetError::Json)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        if keys.iter().any(|key| key.d.is_some() || key.k.is_some() || key.kty == "oct") {
            return Err(KeySetError::Secret);
        }
        let mut set = BTreeMap::new();
        for key in keys {
            let Some((id, algorithm, read)) = usable(key) else { continue };
            if set.insert(id, (algorithm, read)).is_some() {
                return Err(KeySetError::Twice);
            }
        }
        if set.is_empty() { Err(KeySetError::Unusable) } else { Ok(KeySet(set)) }
    }

    /// The key of this id, if it is for this algorithm.
    pub fn key(&self, id: &str, algorithm: TokenAlgorithm) -> Option<&DecodingKey> {
        self.0.get(id).filter(|(of, _)| *of == algorithm).map(|(_, key)| key)
    }
}

/// Checks a set that an administrator gives.
///
/// # Errors
/// [`KeySetError`].
pub fn check_inline(json: &str) -> Result<(), KeySetError> {
    KeySet::parse(json.as_bytes()).map(drop)
}

fn usable(key: KeyBody) -> Option<(String, TokenAlgorithm, DecodingKey)> {
    let id = key.kid.filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()))?;
    if key.purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let (algorithm, read) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => (TokenAlgorithm::EdDsa, DecodingKey::from_ed_components(&key.x?)),
        ("EC", Some("P-256")) => (TokenAlgorithm::Es256, DecodingKey::from_ec_components(&key.x?, &key.y?)),
        ("RSA", None) => (TokenAlgorithm::Rs256, DecodingKey::from_rsa_components(&key.n?, &key.e?)),
        _ => return None,
    };
    if key.alg.is_some_and(|name| name != algorithm.as_str()) {
        return None;
    }
    Some((id, algorithm, read.ok()?))
}
