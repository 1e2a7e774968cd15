//! VERIFY: token → header → what it says of itself → key → signature → claims.
//!
//! Invariant: all that can be refused without a key is refused before one is looked for; what is believed is read after the
//! signature was verified. What is wrong with a token is for the log, whoever showed it learns only that it is not good.

use std::collections::BTreeMap;
use std::fmt;

use engine::{Claim, Claims, TokenAlgorithm, Trust};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::cache::{Keys, NoKey};
use super::signature;

/// The longest token, in bytes.
const BYTES_MAX: usize = 8 << 10;
/// How far clocks may differ, in seconds.
const LEEWAY_S: u64 = 30;
/// What a token may say it is (RFC 7519 §5.1, RFC 9068 §2.1).
const TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no token that is taken: its form, or what its header says.
    Form,
    /// It is signed in another way than is allowed.
    Algorithm,
    /// It is of another issuer, or for somebody else, or does not say.
    Party,
    /// It is not good yet, or not any more, or does not say.
    Time,
    /// No key of the issuer has its id.
    Key,
    /// The signature is not by that key.
    Signature,
    /// The keys of the issuer cannot be had now.
    Unavailable,
    /// They are being asked for.
    Asked,
}

/// What is checked of a token before its signature, and again after it.
#[derive(Deserialize)]
struct Said {
    iss: Option<Value>,
    aud: Option<Value>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// Every claim of a token, each named once: of two, readers take one or the other (RFC 7519 §4).
struct Signed(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Signed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims, each named once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Signed, A::Error> {
                let mut claims = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim is named twice"));
                    }
                }
                Ok(Signed(claims))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

/// What a token claims that somebody trusted has signed.
///
/// # Errors
/// [`Refused`].
pub fn verify(token: &str, trust: &Trust, keys: &Keys) -> Result<Claims, Refused> {
    signature::install();
    if token.len() > BYTES_MAX {
        return Err(Refused::Form);
    }
    let header = decode_header(token).map_err(|_| Refused::Form)?;
    let algorithm = algorithm(&header, trust)?;
    let id = header.kid.as_deref().ok_or(Refused::Key)?;
    insecure_decode_claims::<Signed>(token).map_err(|_| Refused::Form)?;
    check(&insecure_decode_claims(token).map_err(|_| Refused::Form)?, trust, keys.now_ms())?;
    let key = keys.key(trust, id, algorithm).map_err(|error| match error {
        NoKey::Unknown => Refused::Key,
        NoKey::Unavailable => Refused::Unavailable,
        NoKey::Asked => Refused::Asked,
    })?;
    claims(token, (header.alg, &key), trust, keys.now_ms())
}

/// How the token is signed, if that is allowed and its header says nothing that would have us look for a key elsewhere.
fn algorithm(header: &Header, trust: &Trust) -> Result<TokenAlgorithm, Refused> {
    let points_elsewhere = header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
    let is_unclear = header.crit.is_some() || header.zip.is_some() || header.enc.is_some() || header.cty.is_some();
    let is_odd = header.typ.as_deref().is_some_and(|typ| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ)));
    if points_elsewhere || is_unclear || is_odd {
        return Err(Refused::Form);
    }
    let algorithm = match header.alg {
        Algorithm::EdDSA => TokenAlgorithm::EdDsa,
        Algorithm::ES256 => TokenAlgorithm::Es256,
        Algorithm::RS256 => TokenAlgorithm::Rs256,
        _ => return Err(Refused::Algorithm),
    };
    if trust.algorithms().contains(&algorithm) { Ok(algorithm) } else { Err(Refused::Algorithm) }
}

fn check(said: &Said, trust: &Trust, now_ms: u64) -> Result<(), Refused> {
    let is_for_us = match &said.aud {
        Some(Value::String(audience)) => audience == trust.audience(),
        Some(Value::Array(all)) => all.iter().any(|audience| audience == trust.audience()),
        _ => false,
    };
    if !is_for_us || said.iss.as_ref().is_none_or(|issuer| issuer != trust.issuer()) {
        return Err(Refused::Party);
    }
    let (now, leeway) = (now_ms as f64 / 1000.0, LEEWAY_S as f64);
    let is_over = said.exp.is_none_or(|end| !end.is_finite() || end + leeway <= now);
    let is_early = said.nbf.is_some_and(|begin| !begin.is_finite() || begin - leeway > now);
    if is_over || is_early { Err(Refused::Time) } else { Ok(()) }
}

/// The claims, once the signature is verified.
fn claims(
    token: &str,
    (algorithm, key): (Algorithm, &DecodingKey),
    trust: &Trust,
    now_ms: u64,
) -> Result<Claims, Refused> {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[trust.issuer()]);
    validation.set_audience(&[trust.audience()]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // By our own clock, below: the crate asks the system for the time.
    validation.validate_exp = false;
    let Signed(signed) = decode(token, key, &validation).map_err(|_| Refused::Signature)?.claims;
    let said = Said {
        iss: signed.get("iss").cloned(),
        aud: signed.get("aud").cloned(),
        exp: signed.get("exp").and_then(Value::as_f64),
        nbf: signed.get("nbf").map(|begin| begin.as_f64().unwrap_or(f64::NAN)),
    };
    check(&said, trust, now_ms)?;
    Ok(signed.iter().fold(Claims::default(), |claims, (name, value)| match values(value) {
        Some(values) => claims.with(name, values),
        None => claims,
    }))
}

/// The values of a claim, if it can be compared with.
fn values(value: &Value) -> Option<Vec<Claim>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(Claim::Text(text.clone())),
        Value::Number(number) => number.as_i64().map(Claim::Integer),
        Value::Bool(flag) => Some(Claim::Flag(*flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(all) => all.iter().map(one).collect(),
        value => one(value).map(|claim| vec![claim]),
    }
}
