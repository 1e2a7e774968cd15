//! API keys as their holders have them.
//!
//! ```text
//! lethe_sk_k3Jd02LmPq_<43 base62 digits of a 256-bit secret>_<6 base62 digits of a CRC-32>
//!       class    id
//! ```
//!
//! Invariant: a key has one text, and the secret in it is nowhere else: what is kept is its HMAC-SHA-256 under a pepper,
//! bound to class and id. No slow hash: 256 random bits cannot be guessed, and slowness would be a lever for whoever
//! wants to keep the server busy (NIST SP 800-63B asks for that of secrets people choose). The checksum says at once that
//! a text was mistyped or cut off, and lets scanners of repositories find keys without asking anybody.

use std::fmt;

use hkdf::HmacImpl;
use hkdf::hmac::Hmac;
use rand_core::CryptoRng;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::permission::{Permission, Permissions};
use crate::secret::{ApiSecret, Pepper};

const PREFIX: &str = "lethe";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_DIGITS: usize = 10;
/// 62^43 > 2^256.
const SECRET_DIGITS: usize = 43;
/// 62^6 > 2^32.
const SUM_DIGITS: usize = 6;

/// For whom a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `sk`: a program that works with data.
    Secret,
    /// `pk`: a page or an app in the hands of end users; it needs rules.
    Public,
    /// `ik`: whatever only delivers records.
    Ingest,
    /// `ak`: whoever administers.
    Admin,
}

/// The public part of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId([u8; ID_DIGITS]);

/// A key. It cannot be printed; [`ApiKey::text`] is for the one moment in which its maker is shown it.
pub struct ApiKey {
    class: Class,
    id: ApiKeyId,
    secret: ApiSecret,
}

/// The hash of a key, as it is kept.
#[derive(Clone, Copy)]
pub(super) struct Digest(pub(super) [u8; 32]);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ApiKeyError {
    /// It does not look like one.
    #[error("this is no API key: one reads lethe_sk_… and has 70 characters")]
    Malformed,
    /// It does, but a character is wrong.
    #[error("the checksum of the API key is wrong: a character was changed, or some are missing")]
    Checksum,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 4] = [Class::Secret, Class::Public, Class::Ingest, Class::Admin];

    /// As keys have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Secret => "sk",
            Class::Public => "pk",
            Class::Ingest => "ik",
            Class::Admin => "ak",
        }
    }

    /// The class that keys have as `text`.
    pub fn parse(text: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// What a key of this class may do at most, whatever roles it has.
    pub fn ceiling(self) -> Permissions {
        use Permission::*;
        let searches: Permissions = [SearchQuery, SearchSimilar, SearchScan].into_iter().collect();
        match self {
            Class::Public => searches,
            Class::Ingest => RecordWrite.into(),
            Class::Secret => {
                let administers =
                    ["apikey.", "role.", "rule.", "token.", "key.", "approval.", "egress.", "system.", "metrics."];
                let is_admin = |name: &str| administers.iter().any(|room| name.starts_with(room));
                let beyond: Permissions = [EnvCreate, EnvDelete, DpGrant].into_iter().collect();
                let all = Permission::ALL.iter().copied().filter(|permission| !is_admin(permission.as_str()));
                all.collect::<Permissions>().but_not(beyond)
            }
            Class::Admin => Permissions::all(),
        }
    }
}

impl ApiKeyId {
    /// A fresh id.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> ApiKeyId {
        let mut id = [0; ID_DIGITS];
        let mut bytes = [0; 1];
        for digit in &mut id {
            // Below 248 every digit is equally likely.
            loop {
                rng.fill_bytes(&mut bytes);
                if bytes[0] < 248 {
                    break;
                }
            }
            *digit = digit_of(bytes[0] % 62);
        }
        ApiKeyId(id)
    }

    /// The id of this text.
    pub fn parse(text: &str) -> Option<ApiKeyId> {
        let id: [u8; ID_DIGITS] = text.as_bytes().try_into().ok()?;
        id.iter().all(u8::is_ascii_alphanumeric).then_some(ApiKeyId(id))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        // Digits alone are in it.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ApiKey {
    /// A fresh key.
    pub fn generate(class: Class, rng: &mut (impl CryptoRng + ?Sized)) -> ApiKey {
        let id = ApiKeyId::generate(rng);
        ApiKey::renewed(class, id, rng)
    }

    /// A key with another secret and the same id: a rotation.
    pub fn renewed(class: Class, id: ApiKeyId, rng: &mut (impl CryptoRng + ?Sized)) -> ApiKey {
        ApiKey { class, id, secret: ApiSecret::generate(rng) }
    }

    /// The key of this text.
    ///
    /// # Errors
    /// [`ApiKeyError`]. Whether such a key exists is not asked here.
    pub fn parse(text: &str) -> Result<ApiKey, ApiKeyError> {
        let malformed = ApiKeyError::Malformed;
        let (body, sum) = text.rsplit_once('_').ok_or(malformed)?;
        let mut parts = body.split('_');
        let mut part = || parts.next().ok_or(malformed);
        if part()? != PREFIX {
            return Err(malformed);
        }
        let class = Class::parse(part()?).ok_or(malformed)?;
        let id = ApiKeyId::parse(part()?).ok_or(malformed)?;
        let secret = part()?;
        let is_whole = parts.next().is_none() && secret.len() == SECRET_DIGITS && sum.len() == SUM_DIGITS;
        if !is_whole || !secret.bytes().chain(sum.bytes()).all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed);
        }
        if checksum(body) != sum.as_bytes() {
            return Err(ApiKeyError::Checksum);
        }
        Ok(ApiKey { class, id, secret: secret_of(secret).ok_or(malformed)? })
    }

    /// Its text, for the one who is given it.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(80));
        for part in [PREFIX, "_", self.class.as_str(), "_", self.id.as_str(), "_"] {
            text.push_str(part);
        }
        digits(&self.secret).iter().for_each(|digit| text.push(char::from(*digit)));
        let sum = checksum(&text);
        text.push('_');
        sum.iter().for_each(|digit| text.push(char::from(*digit)));
        text
    }

    /// For whom it is.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its public part.
    pub fn id(&self) -> ApiKeyId {
        self.id
    }

    /// What is kept of it.
    pub(super) fn digest(&self, pepper: &Pepper) -> Digest {
        let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(pepper.expose());
        // Of fixed lengths, all of them: no two keys are hashed as the same bytes.
        for part in [b"lethedb api key v1\0", self.class.as_str().as_bytes(), &self.id.0, self.secret.expose()] {
            HmacImpl::update(&mut mac, part);
        }
        Digest(HmacImpl::finalize(mac).into())
    }
}

/// The secret as base62 digits, the most significant first.
fn digits(secret: &ApiSecret) -> Zeroizing<[u8; SECRET_DIGITS]> {
    let mut number = Zeroizing::new(*secret.expose());
    let mut digits = Zeroizing::new([0; SECRET_DIGITS]);
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in number.iter_mut() {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = digit_of(rest as u8);
    }
    digits
}

/// The secret of these digits, if they are not of a larger number.
fn secret_of(digits: &str) -> Option<ApiSecret> {
    let mut number = Zeroizing::new([0u8; 32]);
    for digit in digits.bytes() {
        let mut carry = u32::from(value_of(digit)?);
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(ApiSecret::from_bytes(*number))
}

/// CRC-32 (ISO 3309) of what stands before it, as base62 digits.
fn checksum(body: &str) -> [u8; SUM_DIGITS] {
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut digits = [0; SUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of((sum % 62) as u8);
        sum /= 62;
    }
    digits
}

fn digit_of(value: u8) -> u8 {
    ALPHABET.get(usize::from(value)).copied().unwrap_or_default()
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn key(class: Class, seed: u64) -> ApiKey {
        ApiKey::generate(class, &mut StdRng::seed_from_u64(seed))
    }

    fn error(text: &str) -> Option<ApiKeyError> {
        ApiKey::parse(text).err()
    }

    /// The check value of CRC-32, and RFC 4231 test case 2 for the HMAC below the digest.
    #[test]
    fn published_vectors_hold() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(b"Jefe");
        HmacImpl::update(&mut mac, b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(data_encoding::HEXLOWER.encode(&HmacImpl::finalize(mac)), expected);
    }

    /// The bounds of the number, worked out by another program: 2^256 - 1 and 2^256 in base 62.
    #[test]
    fn the_largest_secret_is_the_last_one() {
        let largest = digits(&ApiSecret::from_bytes([0xff; 32]));
        assert_eq!(str::from_utf8(&*largest).unwrap(), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        let mut over = *largest;
        let last = over.last_mut().unwrap();
        *last = digit_of(value_of(*last).unwrap() + 1);
        assert!(secret_of(str::from_utf8(&over).unwrap()).is_none(), "one more than fits");
        assert!(secret_of(&"z".repeat(SECRET_DIGITS)).is_none());
        assert_eq!(&*digits(&ApiSecret::from_bytes([0; 32])), &[b'0'; SECRET_DIGITS]);
    }

    /// Long division by hand, digit by digit on a decimal string: slow, and of another shape.
    fn reference(bytes: &[u8; 32]) -> String {
        let mut number: Vec<u32> = vec![0];
        let times_plus = |number: &mut Vec<u32>, factor: u32, plus: u32| {
            let mut carry = plus;
            for digit in number.iter_mut() {
                let value = *digit * factor + carry;
                *digit = value % 10;
                carry = value / 10;
            }
            while carry > 0 {
                number.push(carry % 10);
                carry /= 10;
            }
        };
        bytes.iter().for_each(|byte| times_plus(&mut number, 256, u32::from(*byte)));
        let mut text = Vec::new();
        for _ in 0..SECRET_DIGITS {
            let mut rest = 0;
            for digit in number.iter_mut().rev() {
                let value = rest * 10 + *digit;
                *digit = value / 62;
                rest = value % 62;
            }
            text.push(ALPHABET[rest as usize]);
        }
        text.reverse();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_key_reads_as_it_should() {
        for class in Class::ALL {
            let text = key(class, 1).text();
            let parts: Vec<&str> = text.split('_').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            assert_eq!((parts[0], parts[1], &lengths[2..]), ("lethe", class.as_str(), &[10, 43, 6][..]));
            assert_eq!(text.len(), 70);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = key(Class::Secret, 2).text();
        for bad in ["", "_", "lethe_sk", "lethe_sk_a_b_c", "sk_live_1234", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(error(bad), Some(ApiKeyError::Malformed), "{bad}");
        }
        assert_eq!(error(&format!("{}_", &*text)), Some(ApiKeyError::Malformed));
        assert_eq!(error(&text.replace("_sk_", "_ak_")), Some(ApiKeyError::Checksum), "another class");
        assert_eq!(error(&text.replace("_sk_", "_xk_")), Some(ApiKeyError::Malformed));
    }

    #[test]
    fn ceilings_rise_from_class_to_class() {
        let [secret, public, ingest, admin] = Class::ALL.map(Class::ceiling);
        assert!(admin.covers(secret) && secret.covers(public) && secret.covers(ingest));
        assert!(public.and(ingest).is_empty());
        for name in ["apikey.create", "role.assign", "key.rotate", "rule.write", "system.config", "dp.grant"] {
            assert!(!secret.contains(Permission::parse(name).unwrap()), "{name}");
        }
        for name in ["entity.erase", "audit.read", "snapshot.create", "record.write", "collection.delete"] {
            assert!(secret.contains(Permission::parse(name).unwrap()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn text_leads_back(secret: [u8; 32], seed: u64, pepper: [u8; 32], class in prop::sample::select(&Class::ALL)) {
            let id = key(class, seed).id();
            let key = ApiKey { class, id, secret: ApiSecret::from_bytes(secret) };
            let text = key.text();
            prop_assert_eq!(&text[20..63], reference(&secret));
            let again = ApiKey::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!((again.class(), again.id(), again.secret.expose()), (class, id, &secret));
            let pepper = Pepper::from_bytes(pepper);
            prop_assert_eq!(again.digest(&pepper).0, key.digest(&pepper).0);
        }

        /// CRC-32 finds every change of one character, and of two that were exchanged.
        #[test]
        fn a_mistyped_key_is_told_at_once(seed: u64, at in 0usize..70, to in prop::sample::select(&ALPHABET[..])) {
            let text = key(Class::Secret, seed).text();
            let mut bytes = text.as_bytes().to_vec();
            let before = bytes[at];
            bytes[at] = to;
            prop_assert_eq!(before == to, ApiKey::parse(str::from_utf8(&bytes).unwrap()).is_ok());
            let mut bytes = text.as_bytes().to_vec();
            bytes.swap(at, (at + 1) % 70);
            prop_assert_eq!(bytes == text.as_bytes(), ApiKey::parse(str::from_utf8(&bytes).unwrap()).is_ok());
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text: String, tail in "lethe_(sk|pk)_[0-9A-Za-z]{9,11}_[0-9A-Za-z]{42,44}_[0-9A-Za-z]{5,7}") {
            let _ = ApiKey::parse(&text);
            prop_assert!(ApiKey::parse(&tail).is_err());
        }
    }

    #[test]
    fn every_part_goes_into_the_digest() {
        let pepper = Pepper::from_bytes([7; 32]);
        let of = |class, id: &str, secret: u8| {
            let secret = ApiSecret::from_bytes([secret; 32]);
            ApiKey { class, id: ApiKeyId::parse(id).unwrap(), secret }.digest(&pepper).0
        };
        let base = of(Class::Secret, "0123456789", 1);
        let others = [
            of(Class::Admin, "0123456789", 1),
            of(Class::Secret, "0123456780", 1),
            of(Class::Secret, "0123456789", 2),
            key(Class::Secret, 1).digest(&Pepper::from_bytes([8; 32])).0,
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
