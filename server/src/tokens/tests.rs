//! Who signs, what is fetched and what time it is, for tests: of what a token must be ([`believed`]) and of how the keys are
//! had that say so ([`fetched`]).

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use engine::{Clock, TokenAlgorithm, TokenKeys, Trust};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::fetch::{Fetch, FetchError};

mod believed;
mod fetched;

const NOW_S: u64 = 1_800_000_000;
const URL: &str = "https://id.example/keys";

pub fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Who signs: with a key for each algorithm but RSA, which is tested by a published vector.
pub struct Issuer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    pub fn new() -> Self {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap(),
        }
    }

    pub fn key_set(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": base64(self.ed.public_key().as_ref())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "x": base64(&point[1..33]), "y": base64(&point[33..])},
            {"kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": base64(self.ed.public_key().as_ref())},
        ]})
    }

    /// A token with this header and claims, signed as the header says, or with nothing where that cannot be.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.sign(header, &claims.to_string())
    }

    fn sign(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.as_bytes()));
        let signature = match header["alg"].as_str() {
            Some("ES256") => self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
            Some("HS256") => {
                // The classic: the public key taken for a shared secret.
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.ed.public_key().as_ref());
                ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Some("none") => Vec::new(),
            _ => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", base64(&signature))
    }
}

pub fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": "https://id.example", "aud": "docs", "exp": NOW_S + 600, "sub": "user-1"});
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn trust(keys: TokenKeys) -> Trust {
    Trust::new("https://id.example", "docs", TokenAlgorithm::ALL, keys).unwrap()
}

fn by_url() -> Trust {
    trust(TokenKeys::Url(URL.to_owned()))
}

/// What is fetched, and how often that was asked for.
#[derive(Clone)]
struct Counted {
    answer: Arc<Mutex<Result<Vec<u8>, FetchError>>>,
    count: Arc<AtomicUsize>,
}

impl Counted {
    fn new(answer: &Value) -> Self {
        Self { answer: Arc::new(Mutex::new(Ok(answer.to_string().into_bytes()))), count: Arc::default() }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Fetch for Counted {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        assert_eq!(url, URL, "nothing but what an administrator set is fetched");
        self.count.fetch_add(1, Ordering::Relaxed);
        self.answer.lock().unwrap().clone()
    }
}

/// Nothing is fetched.
pub struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, _: &str) -> Result<Vec<u8>, FetchError> {
        Err(FetchError)
    }
}

/// A clock that tests turn, and set.
#[derive(Clone)]
pub struct Hand {
    wall: Arc<AtomicU64>,
    steady: Arc<AtomicU64>,
}

impl Hand {
    pub fn new() -> Self {
        Self { wall: Arc::new(AtomicU64::new(NOW_S * 1000)), steady: Arc::new(AtomicU64::new(7)) }
    }

    fn turn(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.steady.fetch_add(ms, Ordering::Relaxed);
    }

    /// Somebody sets the wall clock.
    fn set(&self, ms: u64) {
        self.wall.store(ms, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn steady_ms(&self) -> u64 {
        self.steady.load(Ordering::Relaxed)
    }
}
