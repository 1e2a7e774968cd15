//! Tokens that must not be believed, and requests that must not be sent: every attack, and how often it was asked for keys.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use engine::{Clock, TokenAlgorithm, TokenKeys, Trust};
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::cache::{FETCHES_MAX, FRESH_MS, GOOD_MS, Keys, PAUSE_MS, PLACES_MAX};
use super::fetch::{BYTES_MAX, Fetch, FetchError, Https, OutOfReach, Reach, is_worldwide, may_connect};
use super::key_set::{KeySet, KeySetError};
use super::{Refused, signature, verify};

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

#[test]
fn what_is_not_good_is_refused_and_nothing_is_fetched_for_it() {
    let issuer = Issuer::new();
    let fetched = Counted::new(&issuer.key_set());
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(Hand::new()));
    let (trust, good) = (by_url(), claims(json!({})));
    let ed = |more: Value| {
        let mut header = json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        header
    };
    let elsewhere = "https://evil.example/keys";
    let headers = [
        (ed(json!({"alg": "none"})), Refused::Form),
        (ed(json!({"alg": "HS256"})), Refused::Algorithm),
        (ed(json!({"alg": "RS512"})), Refused::Algorithm),
        (ed(json!({"jku": elsewhere})), Refused::Form),
        (ed(json!({"x5u": elsewhere})), Refused::Form),
        (ed(json!({"x5c": ["AA"]})), Refused::Form),
        (ed(json!({"jwk": issuer.key_set()["keys"][0]})), Refused::Form),
        (ed(json!({"crit": ["exp"]})), Refused::Form),
        (ed(json!({"zip": "DEF"})), Refused::Form),
        (ed(json!({"typ": "secevent+jwt"})), Refused::Form),
        (json!({"alg": "EdDSA"}), Refused::Key),
    ];
    let refused = |token: &str| verify(token, &trust, &keys).err();
    for (header, expected) in &headers {
        assert_eq!(refused(&issuer.token(header, &good)), Some(*expected), "{header}");
    }
    let header = ed(json!({}));
    for (more, expected) in [
        (json!({"iss": "https://evil.example"}), Refused::Party),
        (json!({"iss": null}), Refused::Party),
        (json!({"iss": ["https://id.example"]}), Refused::Party),
        (json!({"aud": "other"}), Refused::Party),
        (json!({"aud": ["other", "Docs"]}), Refused::Party),
        (json!({"aud": null}), Refused::Party),
        (json!({"exp": null}), Refused::Time),
        (json!({"exp": NOW_S - 31}), Refused::Time),
        (json!({"exp": "9999999999"}), Refused::Form),
        (json!({"nbf": NOW_S + 31}), Refused::Time),
    ] {
        assert_eq!(refused(&issuer.token(&header, &claims(more.clone()))), Some(expected), "{more}");
    }
    let large = claims(json!({"blob": "x".repeat(9000)}));
    for token in ["", "a.b", "a.b.c", "..", &issuer.token(&header, &large)] {
        assert_eq!(refused(token), Some(Refused::Form));
    }
    let twice = good.to_string().replacen('{', r#"{"org":"acme","org":"evil","#, 1);
    assert_eq!(refused(&issuer.sign(&header, &twice)), Some(Refused::Form), "which organisation is it?");
    assert_eq!(fetched.count(), 0, "a token that is refused without its signature causes no request");

    assert!(refused(&issuer.token(&header, &good)).is_none(), "and a good one is believed");
    assert!(
        refused(&issuer.token(&header, &claims(json!({"exp": NOW_S - 29, "nbf": NOW_S + 29})))).is_none(),
        "leeway"
    );
    assert!(refused(&issuer.token(&json!({"alg": "ES256", "kid": "ec"}), &good)).is_none());
    let (head, tail) =
        issuer.token(&header, &good).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let other = issuer.token(&header, &claims(json!({"sub": "user-2"})));
    let borrowed = format!("{head}.{}", other.rsplit_once('.').unwrap().1);
    assert_eq!(refused(&borrowed), Some(Refused::Signature), "a signature of another token");
    assert_eq!(refused(&format!("{head}.")), Some(Refused::Signature));
    assert_eq!(refused(&format!("{head}.{}", &tail[1..])), Some(Refused::Signature));
    // A key is for its own algorithm, and one for encryption for none.
    assert_eq!(refused(&issuer.token(&ed(json!({"kid": "ec"})), &good)), Some(Refused::Key));
    assert_eq!(refused(&issuer.token(&ed(json!({"kid": "enc"})), &good)), Some(Refused::Key));
    assert_eq!(fetched.count(), 1, "one request for all of these");
}

#[test]
fn only_what_is_allowed_verifies() {
    let issuer = Issuer::new();
    let inline = TokenKeys::Inline(issuer.key_set().to_string());
    let only_ec = Trust::new("https://id.example", "docs", [TokenAlgorithm::Es256], inline).unwrap();
    let keys = Keys::new(Box::new(Counted::new(&json!(null))), Arc::new(Hand::new()));
    let token = |alg: &str, kid: &str| issuer.token(&json!({"alg": alg, "kid": kid}), &claims(json!({})));
    assert!(verify(&token("ES256", "ec"), &only_ec, &keys).is_ok());
    assert_eq!(verify(&token("EdDSA", "ed"), &only_ec, &keys).err(), Some(Refused::Algorithm));
}

#[test]
fn claims_are_what_was_signed() {
    let issuer = Issuer::new();
    let keys = Keys::new(Box::new(Counted::new(&json!(null))), Arc::new(Hand::new()));
    let given =
        claims(json!({"org": "acme", "n": 7, "on": true, "teams": ["a", 2], "deep": {"a": 1}, "half": 0.5, "no": []}));
    let token = issuer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &given);
    let read = verify(&token, &trust(TokenKeys::Inline(issuer.key_set().to_string())), &keys).unwrap();
    let text = |value: &str| engine::Claim::Text(value.to_owned());
    assert!(read.values("org") == Some(&[text("acme")]));
    assert!(read.values("n") == Some(&[engine::Claim::Integer(7)]));
    assert!(read.values("on") == Some(&[engine::Claim::Flag(true)]));
    assert!(read.values("teams") == Some(&[text("a"), engine::Claim::Integer(2)]));
    for none in ["deep", "half", "no", "other"] {
        assert!(read.values(none).is_none(), "{none}");
    }
}

/// RFC 7515 appendix A.2: an RS256 signature that somebody else made.
#[test]
fn the_published_signature_verifies() {
    signature::install();
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signed = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let key = DecodingKey::from_rsa_components(n, "AQAB").unwrap();
    let check =
        |message: &str| jsonwebtoken::crypto::verify(signed, message.as_bytes(), &key, Algorithm::RS256).unwrap();
    assert!(check(message));
    assert!(!check(&message.replace("eyJpc3", "eyJpc4")));
    let hmac = jsonwebtoken::crypto::verify(signed, message.as_bytes(), &key, Algorithm::HS256);
    assert!(hmac.is_err(), "no key is a shared secret");
}

#[test]
fn keys_are_asked_for_at_most_once_a_minute() {
    let issuer = Issuer::new();
    let (fetched, hand) = (Counted::new(&issuer.key_set()), Hand::new());
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let trust = by_url();
    let ask = |id: &str| {
        let claims = claims(json!({"exp": NOW_S * 2}));
        verify(&issuer.token(&json!({"alg": "EdDSA", "kid": id}), &claims), &trust, &keys).err()
    };
    assert_eq!((ask("ed"), fetched.count()), (None, 1));
    for at in 0..100 {
        assert_eq!(ask(&format!("unknown-{at}")), Some(Refused::Key));
    }
    assert_eq!(fetched.count(), 1, "unknown ids, again and again, within the pause");
    hand.turn(PAUSE_MS);
    assert_eq!((ask("new"), ask("newer"), fetched.count()), (Some(Refused::Key), Some(Refused::Key), 2));
    hand.turn(FRESH_MS - 1);
    assert_eq!((ask("ed"), fetched.count()), (None, 2), "still fresh");
    hand.turn(1);
    assert_eq!((ask("ed"), fetched.count()), (None, 3), "old, and asked for again");
    // A key that the issuer took away is not taken any more once the set is old.
    *fetched.answer.lock().unwrap() =
        Ok(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "next", "x": base64(&[9; 32])}]})
            .to_string()
            .into_bytes());
    hand.turn(FRESH_MS);
    assert_eq!((ask("ed"), fetched.count()), (Some(Refused::Key), 4));
    // Old keys are good for a while if new ones cannot be had, and not for ever.
    for broken in [Err(FetchError), Ok(b"{".to_vec()), Ok(json!({"keys": []}).to_string().into_bytes())] {
        *fetched.answer.lock().unwrap() = Ok(issuer.key_set().to_string().into_bytes());
        hand.turn(GOOD_MS);
        assert_eq!(ask("ed"), None);
        *fetched.answer.lock().unwrap() = broken;
        let before = fetched.count();
        hand.turn(GOOD_MS - 1);
        assert_eq!((ask("ed"), ask("ed"), fetched.count()), (None, None, before + 1));
        hand.turn(1);
        let gone = Some(Refused::Unavailable);
        assert_eq!((ask("ed"), ask("ed"), fetched.count()), (gone, gone, before + 1), "and asked once a minute still");
    }
}

#[test]
fn whoever_sets_the_clock_has_nobody_asked_more_often() {
    let issuer = Issuer::new();
    let (fetched, hand) = (Counted::new(&issuer.key_set()), Hand::new());
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let claims = claims(json!({"exp": NOW_S * 4}));
    let ask = |id: &str| verify(&issuer.token(&json!({"alg": "EdDSA", "kid": id}), &claims), &by_url(), &keys).err();
    assert_eq!((ask("ed"), fetched.count()), (None, 1));
    for set in [NOW_S * 2000, NOW_S * 1000, NOW_S * 3000, 0] {
        hand.set(set);
        assert_eq!((ask("ed"), ask("unknown"), fetched.count()), (None, Some(Refused::Key), 1), "set to {set}");
    }
    hand.turn(PAUSE_MS);
    assert_eq!((ask("unknown"), fetched.count()), (Some(Refused::Key), 2), "a clock that runs back stops nothing");
}

#[test]
fn many_places_make_nobody_be_asked_again() {
    let issuer = Issuer::new();
    #[derive(Clone)]
    struct Anywhere(Arc<Mutex<Vec<String>>>, Vec<u8>);
    impl Fetch for Anywhere {
        fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
            self.0.lock().unwrap().push(url.to_owned());
            Ok(self.1.clone())
        }
    }
    let (hand, fetched) = (Hand::new(), Anywhere(Arc::default(), issuer.key_set().to_string().into_bytes()));
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let ask = |at: usize| {
        let trust = trust(TokenKeys::Url(format!("https://id.example/{at}")));
        keys.key(&trust, "ed", TokenAlgorithm::EdDsa).err()
    };
    let asked = |at: usize| fetched.0.lock().unwrap().iter().filter(|url| url.ends_with(&format!("/{at}"))).count();
    for at in 0..PLACES_MAX {
        assert_eq!(ask(at), None);
    }
    assert_eq!(ask(PLACES_MAX), Some(super::cache::NoKey::Asked), "there is no room before a minute is over");
    assert_eq!((ask(0), asked(0)), (None, 1));
    hand.turn(PAUSE_MS);
    assert_eq!(ask(0), None, "needed since");
    assert_eq!((ask(PLACES_MAX), asked(PLACES_MAX)), (None, 1));
    assert_eq!((ask(0), asked(0)), (None, 1), "it was not the one that made room");
}

/// Hangs until it is let go, one call at a time.
#[derive(Clone)]
struct Hanging {
    begun: Sender<String>,
    go: Arc<Mutex<Receiver<()>>>,
    answer: Vec<u8>,
}

impl Fetch for Hanging {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.begun.send(url.to_owned()).unwrap();
        self.go.lock().unwrap().recv().map_err(|_| FetchError)?;
        Ok(self.answer.clone())
    }
}

/// One waits for an issuer that hangs; all others are answered at once, of this issuer and of every other one.
#[test]
#[allow(clippy::disallowed_methods, reason = "many who ask at once")]
fn an_issuer_that_hangs_holds_up_one_request() {
    let issuer = Arc::new(Issuer::new());
    let ((begun, begins), (goes, go)) = (channel(), channel());
    let answer = issuer.key_set().to_string().into_bytes();
    let hanging = Hanging { begun, go: Arc::new(Mutex::new(go)), answer };
    let hand = Hand::new();
    let keys = Arc::new(Keys::new(Box::new(hanging), Arc::new(hand.clone())));
    let ask = {
        let (issuer, keys) = (Arc::clone(&issuer), Arc::clone(&keys));
        move |place: usize| {
            let token = issuer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(json!({"exp": NOW_S * 2})));
            let trust = trust(TokenKeys::Url(format!("https://id-{place}.example/keys")));
            verify(&token, &trust, &keys).err()
        }
    };
    // Whoever is held up says nothing: a minute is a failure, not a measure.
    let soon = |place: usize| {
        let (told, tells) = channel();
        let ask = ask.clone();
        std::thread::spawn(move || told.send(ask(place)));
        tells.recv_timeout(Duration::from_secs(60)).expect("whoever asks is answered while an issuer hangs")
    };
    let waits = |place: usize| {
        let ask = ask.clone();
        let waiting = std::thread::spawn(move || ask(place));
        assert_eq!(begins.recv_timeout(Duration::from_secs(60)).unwrap(), format!("https://id-{place}.example/keys"));
        waiting
    };
    let first = waits(0);
    assert_eq!((soon(0), soon(0)), (Some(Refused::Asked), Some(Refused::Asked)), "nothing is known of it yet");
    let others: Vec<_> = (1..FETCHES_MAX).map(waits).collect();
    assert_eq!(soon(FETCHES_MAX), Some(Refused::Asked), "so many wait and no more");
    assert!(begins.try_recv().is_err(), "nobody was asked twice, nor one too many");
    (0..FETCHES_MAX).for_each(|_| goes.send(()).unwrap());
    assert_eq!(first.join().unwrap(), None);
    assert!(others.into_iter().all(|other| other.join().unwrap().is_none()));
    // Once there is a set, it serves all others while a newer one is awaited.
    hand.turn(FRESH_MS);
    let again = waits(0);
    assert_eq!((soon(0), soon(0), soon(0)), (None, None, None));
    drop(goes);
    assert_eq!(again.join().unwrap(), None, "nor does it matter that there is no newer one yet");
    assert_eq!(soon(0), None);
}

#[test]
fn only_sets_of_public_keys_are_key_sets() {
    let error = |set: Value| KeySet::parse(set.to_string().as_bytes()).err();
    let key = |more: Value| {
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": base64(&[9; 32])});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    assert_eq!(error(json!({"keys": [key(json!({}))]})), None);
    assert_eq!(error(json!({"keys": [key(json!({"d": "AA"}))]})), Some(KeySetError::Secret));
    assert_eq!(
        error(json!({"keys": [key(json!({})), {"kty": "oct", "kid": "b", "k": "AA"}]})),
        Some(KeySetError::Secret)
    );
    assert_eq!(error(json!({"keys": [key(json!({})), key(json!({}))]})), Some(KeySetError::Twice));
    assert_eq!(error(json!({"keys": vec![key(json!({})); 65]})), Some(KeySetError::TooMany));
    for unusable in [json!({"kid": null}), json!({"use": "enc"}), json!({"alg": "RS256"}), json!({"crv": "X25519"})] {
        assert_eq!(error(json!({"keys": [key(unusable.clone())]})), Some(KeySetError::Unusable), "{unusable}");
    }
    assert_eq!(error(json!([])), Some(KeySetError::Json));
}

/// Answers each connection with this, and counts them.
#[allow(clippy::disallowed_methods, reason = "the other end of a fetch")]
fn listener(answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, Ordering::Relaxed);
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(&answer);
        }
    });
    (port, count)
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn a_fetch_is_bounded_goes_nowhere_else_and_not_home() {
    let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}/keys");
    let fetch = |port: u16| Https(Reach::new(&[format!("127.0.0.1:{port}")])).fetch(&at("http", port));
    let (port, _) = listener(response("200 OK", "", b"{}"));
    assert_eq!(fetch(port), Ok(b"{}".to_vec()), "allowed by whoever runs the server");

    let (target, reached) = listener(response("200 OK", "", b"{}"));
    let (redirecting, asked) = listener(response("302 Found", &format!("Location: {}\r\n", at("http", target)), b""));
    assert_eq!(fetch(redirecting), Err(FetchError));
    assert_eq!((asked.load(Ordering::Relaxed), reached.load(Ordering::Relaxed)), (1, 0), "a redirect is not followed");

    let (huge, _) = listener(response("200 OK", "", &vec![b' '; BYTES_MAX as usize + 1]));
    assert_eq!(fetch(huge), Err(FetchError));
    let (endless, _) = listener([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 1 << 20]].concat());
    assert_eq!(fetch(endless), Err(FetchError));
    let (absent, _) = listener(response("404 Not Found", "", b"{}"));
    assert_eq!(fetch(absent), Err(FetchError));

    let (home, reached) = listener(response("200 OK", "", b"{}"));
    let elsewhere = Https(Reach::new(&[format!("127.0.0.1:{port}"), format!("localhost:{}", home ^ 1)]));
    let urls =
        [at("http", home), at("https", home), format!("https://localhost:{home}/"), format!("https://[::1]:{home}/")];
    for url in &urls {
        assert_eq!(Https(Reach::default()).fetch(url), Err(FetchError), "{url}");
        assert_eq!(elsewhere.fetch(url), Err(FetchError), "{url}: the settings name others");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0, "no connection to a private address");
}

/// The text of a URL says nothing of where it leads: every address of the name does.
#[test]
fn a_name_that_leads_home_is_refused_by_its_addresses() {
    for (url, name) in [("https://localhost/keys", "localhost"), ("https://127.0.0.1/keys", "127.0.0.1")] {
        assert_eq!(Reach::default().check(url), Ok(false));
        let found: Vec<_> = (name, 443).to_socket_addrs().unwrap().collect();
        assert!(!may_connect(false, &found) && may_connect(true, &found), "{name}");
    }
    let [world, home] = ["8.8.8.8:443", "10.0.0.1:443"].map(|address| address.parse().unwrap());
    assert!(may_connect(false, &[world, world]));
    assert!(!may_connect(false, &[world, home]) && !may_connect(false, &[home, world]), "one is enough");
}

#[test]
fn only_the_settings_say_what_is_fetched_without_tls_or_from_other_ports() {
    let reach = Reach::new(&["id.internal:8443".to_owned(), "ID.Lan:80".to_owned(), "[::1]:9000".to_owned()]);
    for (url, expected) in [
        ("https://id.example/keys", Ok(false)),
        ("https://id.example:443/keys", Ok(false)),
        ("https://id.internal:8443/keys", Ok(true)),
        ("http://id.internal:8443/keys", Ok(true)),
        ("http://id.lan/keys", Ok(true)),
        ("https://[::1]:9000/keys", Ok(true)),
        ("https://id.internal/keys", Ok(false)),
        ("http://id.example/keys", Err(OutOfReach)),
        ("https://id.example:22/keys", Err(OutOfReach)),
        ("https://id.internal:8444/keys", Err(OutOfReach)),
        ("https://evil.id.internal:8443/keys", Err(OutOfReach)),
        ("http://id.internal/keys", Err(OutOfReach)),
        ("ftp://id.example/keys", Err(OutOfReach)),
        ("/keys", Err(OutOfReach)),
    ] {
        assert_eq!(reach.check(url), expected, "{url}");
    }
}

#[test]
fn networks_of_few_are_not_of_the_world() {
    for private in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
    ] {
        assert!(!is_worldwide(private.parse::<IpAddr>().unwrap()), "{private}");
    }
    for public in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"] {
        assert!(is_worldwide(public.parse::<IpAddr>().unwrap()), "{public}");
    }
}
