//! Who asks: the key of a request, read once and before anything else of it.
//!
//! Invariant: every route but those in [`OPEN`] runs behind this, and takes its environment from what is decided here. A
//! server whose database never had a key, and that was not told to ask for one, works for whoever reaches it, which is why
//! it listens on loopback. What is wrong with a key is not said, nor is whether there is one of that id.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Extensions, HeaderMap};
use axum::response::{IntoResponse, Response};
use engine::{Credentials, Database, ErrorKind, Session, Source};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::end_user;
use super::error::{Problem, Refusal};
use super::route::{CountsAs, path_of};
use super::state::App;
use super::visit::EndUserPlace;
use crate::telemetry::Timeline;

/// Where a key may be shown, beside `Authorization`.
pub const API_KEY: &str = "X-API-Key";

/// What is answered without a key: whether the server lives, how it is asked, and taking shares, which are keys themselves.
pub const OPEN: [&str; 5] = ["/livez", "/readyz", "/openapi.json", "/docs", "/v1/admin/keys/unseal"];

/// The address at the other end of the connection.
#[derive(Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The key that was shown, and the token of an end user beside it.
type Shown = (Option<Zeroizing<String>>, Option<Zeroizing<String>>);

/// Who a request is from: whoever reaches a server without keys, or somebody who was let in.
#[derive(Clone)]
pub struct Caller {
    /// What a key let them begin; none on a server without keys.
    pub session: Option<Session>,
    /// For whom, if they showed the token of an end user.
    pub end_user: Option<EndUserPlace>,
    /// By which way they came, for the audit log.
    pub source: Source,
}

/// Lets a request in that shows a key, or needs none, and tells the handlers whose it is.
///
/// # Errors
/// Those of [`admitted`]; see [`asked_for_a_key`].
pub async fn authorised(app: &App, request: &mut Request) -> Result<(), Problem> {
    if OPEN.contains(&path_of(request)) {
        return Ok(());
    }
    let caller = admitted(app, request.headers(), request.extensions()).await?;
    if caller.session.as_ref().is_some_and(|session| !session.is_public()) {
        Timeline::has_key();
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

/// The answer to who was not let in.
pub fn asked_for_a_key(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Whose a request with these headers is, if they are let in: of one that goes on for long, to be asked again and again.
pub async fn admitted(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Problem> {
    let shown = key_in(headers).and_then(|key| Ok((key, end_user::token_in(headers)?)));
    let source = if extensions.get::<CountsAs>().is_some() { Source::Grpc } else { Source::Rest };
    caller(app, shown, source, extensions.get::<Peer>().map(|Peer(address)| *address)).await
}

async fn caller(
    app: &App,
    shown: Result<Shown, Problem>,
    source: Source,
    address: Option<IpAddr>,
) -> Result<Caller, Problem> {
    let database = app.seal().database()?;
    let (key, token) = shown?;
    match key {
        Some(text) => {
            let (database, app) = (database.clone(), app.clone());
            // The first use on a day is noted, which waits for the disk, and a token's keys may have to be fetched.
            let authorise = move || {
                let session = authorise(&database, &text, address)?.by_way_of(source);
                let narrowed = token.map(|token| end_user::narrowed(&session, &token, app.token_keys()));
                let (session, end_user) = match narrowed {
                    Some(narrowed) => narrowed.map(|(session, end_user)| (session, Some(end_user)))?,
                    None => (session, None),
                };
                Ok(Caller { session: Some(session), end_user, source })
            };
            let authorised = spawn_blocking(authorise).await;
            authorised.unwrap_or_else(|_| Err(Problem::new(Refusal::Internal, "the key was not looked at to the end")))
        }
        None if app.config().server.auth || database.asks_for_keys()? => {
            Err(Problem::new(Refusal::Unauthenticated, "send the header Authorization: Bearer lethe_…"))
        }
        None if token.is_some() => Err(end_user::not_good()),
        None => Ok(Caller { session: None, end_user: None, source }),
    }
}

fn authorise(database: &Database, text: &str, address: Option<IpAddr>) -> Result<Session, Problem> {
    let credentials = Credentials::api_key(text);
    let credentials = match address {
        Some(address) => credentials.from_address(address),
        None => credentials,
    };
    match database.authorize(&credentials) {
        Ok(session) => Ok(session),
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid) => {
            Err(Problem::new(Refusal::Unauthenticated, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the headers show for keys, in the one spelling of each; none for what is not one.
pub fn shown_in(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    let bearer = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key)
    });
    let named = headers.get_all(API_KEY).iter().map(|value| value.to_str().ok());
    bearer.chain(named).map(|shown| shown.map(str::trim))
}

/// The key that the headers show, if they show one.
fn key_in(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Problem> {
    let wrong = |detail| Problem::new(Refusal::Unauthenticated, detail);
    let mut shown = shown_in(headers);
    match (shown.next(), shown.next()) {
        (None, _) => Ok(None),
        (Some(Some(key)), None) => Ok(Some(Zeroizing::new(key.to_owned()))),
        (Some(None), None) => Err(wrong("the header must read Authorization: Bearer lethe_…")),
        (Some(_), Some(_)) => Err(wrong("show one key, in one header")),
    }
}
