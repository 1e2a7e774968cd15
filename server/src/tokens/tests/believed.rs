//! Tokens that must not be believed: every attack, and that it was not worth a request. What a set of keys must be.

use jsonwebtoken::{Algorithm, DecodingKey};

use super::super::cache::Keys;
use super::super::key_set::{KeySet, KeySetError};
use super::super::{Refused, signature, verify};
use super::*;

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
