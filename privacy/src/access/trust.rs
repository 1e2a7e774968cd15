//! Whose tokens an environment believes: the issuer, for whom tokens must be, the algorithms, and where the keys are.
//!
//! Invariant: an algorithm that takes a shared secret, or none, has no name here, so that none can be allowed (RFC 8725
//! §3.1); issuer, audience and the place of the keys are said by an administrator alone, never by a token. Nothing is
//! fetched or verified here.

use std::collections::BTreeSet;
use std::str::FromStr;

use minicbor::{Decoder, Encoder};
use thiserror::Error;

use super::grant::{names, set};
use crate::cbor::{Malformed, Sink, Written, fixed};

/// The longest issuer, audience or URL, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// The largest set of keys, in bytes.
pub const KEYS_BYTES_MAX: usize = 64 << 10;

/// A way to sign (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// Where the keys are that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Here: a JSON Web Key Set (RFC 7517) of public keys.
    Inline(String),
    /// There. Which places anything is fetched from is not for an environment to say, but for whoever runs the server.
    Url(String),
}

/// Whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    issuer: String,
    audience: String,
    algorithms: BTreeSet<Algorithm>,
    keys: KeySource,
    /// What environments once said about private addresses. It is written as it was read, and heeded by nobody.
    said_private: bool,
}

/// Why nobody's tokens can be believed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrustError {
    /// Issuer or audience is missing or too long.
    #[error("issuer and audience are needed, each of at most {TEXT_BYTES_MAX} bytes without control characters")]
    Text,
    /// No algorithm, or one that is not taken.
    #[error(
        "the algorithms of tokens are EdDSA, ES256 and RS256; at least one of them is needed, and no other is taken"
    )]
    Algorithm,
    /// The key set is too large.
    #[error("a set of keys has at most {KEYS_BYTES_MAX} bytes")]
    Keys,
    /// The URL is none that is fetched.
    #[error(
        "the URL of the keys must read https://host/path, or http://… where the server's settings allow it, without user, fragment or spaces"
    )]
    Url,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        }
    }
}

impl FromStr for Algorithm {
    type Err = TrustError;

    fn from_str(name: &str) -> Result<Algorithm, TrustError> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(TrustError::Algorithm)
    }
}

impl Trust {
    /// Tokens of `issuer` for `audience`, signed in one of these ways by one of these keys.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(
        issuer: &str,
        audience: &str,
        algorithms: impl IntoIterator<Item = Algorithm>,
        keys: KeySource,
    ) -> Result<Trust, TrustError> {
        let algorithms: BTreeSet<Algorithm> = algorithms.into_iter().collect();
        if ![issuer, audience].into_iter().all(is_text) {
            return Err(TrustError::Text);
        }
        if algorithms.is_empty() {
            return Err(TrustError::Algorithm);
        }
        match &keys {
            KeySource::Inline(set) if set.len() > KEYS_BYTES_MAX => return Err(TrustError::Keys),
            KeySource::Url(url) if !is_url(url) => return Err(TrustError::Url),
            _ => {}
        }
        Ok(Trust { issuer: issuer.to_owned(), audience: audience.to_owned(), algorithms, keys, said_private: false })
    }

    /// Who must have made a token: its claim `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For whom it must be: one of its claim `aud`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// How it may be signed.
    pub fn algorithms(&self) -> &BTreeSet<Algorithm> {
        &self.algorithms
    }

    /// Where the keys are.
    pub fn keys(&self) -> &KeySource {
        &self.keys
    }

    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(4)?.str(&self.issuer)?.str(&self.audience)?;
        names(e, self.algorithms.iter().map(|algorithm| algorithm.as_str()))?;
        match &self.keys {
            KeySource::Inline(set) => e.array(1)?.str(set)?,
            KeySource::Url(url) => e.array(2)?.str(url)?.bool(self.said_private)?,
        };
        Ok(())
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Trust, Malformed> {
        fixed(d, 4)?;
        let (issuer, audience) = (d.str()?.to_owned(), d.str()?.to_owned());
        let algorithms = set(d, |d| d.str()?.parse::<Algorithm>().map_err(|_| Malformed))?;
        let (keys, said_private) = match d.array()? {
            Some(1) => (KeySource::Inline(d.str()?.to_owned()), false),
            Some(2) => (KeySource::Url(d.str()?.to_owned()), d.bool()?),
            _ => return Err(Malformed),
        };
        let trust = Trust::new(&issuer, &audience, algorithms, keys).map_err(|_| Malformed)?;
        Ok(Trust { said_private, ..trust })
    }
}

fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = |rest: &str| !rest.split('/').next().unwrap_or_default().is_empty();
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['@', '#', '\\', '"', '<', '>']);
    url.len() <= TEXT_BYTES_MAX && is_plain && rest.is_some_and(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::written;

    fn trust(issuer: &str, keys: KeySource) -> Result<Trust, TrustError> {
        Trust::new(issuer, "lethedb", [Algorithm::EdDsa], keys)
    }

    /// What was written when environments chose their own places is read, written back as it was, and means nothing.
    #[test]
    fn what_environments_said_of_private_addresses_is_kept_and_not_heeded() {
        let trust = trust("https://id", KeySource::Url("https://10.0.0.1/keys".to_owned())).map_err(|_| Malformed);
        let mut bytes = trust.map(|trust| written(|e| trust.write(e)).to_vec()).unwrap_or_default();
        assert_eq!(bytes.last(), Some(&0xf4));
        bytes.iter_mut().rev().take(1).for_each(|last| *last = 0xf5);
        let read = Trust::read(&mut Decoder::new(&bytes));
        assert!(read.is_ok_and(|read| written(|e| read.write(e)).to_vec() == bytes));
    }

    #[test]
    fn only_what_can_be_believed_is_taken() {
        let url = |url: &str| KeySource::Url(url.to_owned());
        assert!(trust("https://id", KeySource::Inline("{}".to_owned())).is_ok());
        assert!(trust("https://id", url("https://id.example/keys?v=1")).is_ok());
        assert!(trust("https://id", url("http://127.0.0.1:8080/keys")).is_ok());
        for bad in
            ["HTTPS://id.example/keys", "https://", "https:///keys", "https://a@b/", "https://b/#k", "ftp://b/", ""]
        {
            assert_eq!(trust("https://id", url(bad)), Err(TrustError::Url), "{bad}");
        }
        let large = KeySource::Inline(" ".repeat(KEYS_BYTES_MAX + 1));
        assert_eq!(trust("https://id", large), Err(TrustError::Keys));
        assert_eq!(trust("", KeySource::Inline(String::new())), Err(TrustError::Text));
        let none = Trust::new("https://id", "a", [], KeySource::Inline(String::new()));
        assert_eq!(none, Err(TrustError::Algorithm));
        for name in ["none", "HS256", "HS512", "RS512", "eddsa", ""] {
            assert_eq!(name.parse::<Algorithm>(), Err(TrustError::Algorithm), "{name}");
        }
    }
}
