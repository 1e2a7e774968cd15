//! On whose behalf a request comes: the token of an end user beside the key.
//!
//! Invariant: a token that is shown is never passed over. It is believed and narrows what the key permits, or the request is
//! refused; which of its many ways of being wrong it is, is for the log.

use axum::http::HeaderMap;
use engine::Session;
use zeroize::Zeroizing;

use super::error::{Problem, Refusal};
use super::visit::EndUserPlace;
use crate::tokens::{Keys, PAUSE_MS, Refused, verify};

/// Where the token is shown.
pub const USER_TOKEN: &str = "X-User-Token";

/// The token that the headers show, if they show one.
pub fn token_in(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Problem> {
    let mut shown = headers.get_all(USER_TOKEN).iter();
    match (shown.next(), shown.next()) {
        (None, _) => Ok(None),
        (Some(token), None) => match token.to_str() {
            Ok(token) => Ok(Some(Zeroizing::new(token.trim().to_owned()))),
            Err(_) => Err(not_good()),
        },
        (Some(_), Some(_)) => Err(not_good()),
    }
}

/// How soon whoever came while the issuer was asked is told to come back.
const SOON_S: u64 = 1;

/// The session, for the end user that the token names, and whom that is. One waits for the issuer's keys; nobody else does.
pub fn narrowed(session: &Session, token: &str, keys: &Keys) -> Result<(Session, EndUserPlace), Problem> {
    let trust = session.trust()?.ok_or_else(not_good)?;
    let claims = verify(token, &trust, keys).map_err(|refused| {
        // Whoever has a key can have this happen as often as they like, so a log at its usual level has none of it; what is
        // answered is counted in `lethedb_problems`.
        tracing::debug!(?refused, "the token of an end user was refused");
        match refused {
            Refused::Unavailable => {
                let detail = "the issuer of tokens does not give its keys; try again later";
                Problem::new(Refusal::KeysUnavailable, detail).retry_after(PAUSE_MS / 1000)
            }
            Refused::Asked => {
                let detail = "the issuer of tokens is being asked for its keys; try again at once";
                Problem::new(Refusal::KeysUnavailable, detail).retry_after(SOON_S)
            }
            _ => not_good(),
        }
    })?;
    let end_user = EndUserPlace::of(session.key_id(), &claims);
    Ok((session.for_end_user(claims)?, end_user))
}

/// What is answered to every token that is not good, and where none is taken.
pub fn not_good() -> Problem {
    let detail =
        "X-User-Token must show one token that is good, of the issuer that this environment trusts, beside a key";
    Problem::new(Refusal::Unauthenticated, detail)
}
