//! The gate: who is sent away at sight of a head, because no turn would come in time.
//!
//! Invariant: only those are sent away here who would be sent away further in, after their key was verified and their
//! request was counted, logged and routed, which costs many times as much, or for whom the [`readers`](super::readers) of
//! sockets have no time: a flood would otherwise take the processor from those who are served. Of the latter only those of
//! lanes that ask for most. Whose lane a request is for is known from the last time that who sends it was let in; whoever is
//! not known goes the long way, pays for it, and is told there. So a flood is stopped in its own lane, and nobody waits in
//! another's.
//!
//! A key that was revoked since is told that the server is busy rather than that it is not good, until there is a turn to look
//! at it.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::auth::{API_KEY, OPEN, Peer};
use super::error::{MEDIA_TYPE, Problem, Refusal};
use super::observe;
use super::queue::Lane;
use super::route::{is_search, may_wait};
use super::state::App;
use super::tenant;

/// How often the log tells how many were sent away.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The answer, which says nothing of who asked.
static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
    let problem = Problem::new(Refusal::Overloaded, "more is asked for than can be answered in time; try again later");
    serde_json::to_vec(&problem).unwrap_or_default().into()
});

/// When the log told it last.
static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// Remembers that who sent `headers` was let in, and waits in `lane`.
pub fn remember(app: &App, headers: &HeaderMap, lane: &Lane) {
    app.regulars().remember(shown(headers), lane);
}

/// The keys that are shown, or else the environment that is named: what decides in whose lane a request waits.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let keys = headers.get_all(AUTHORIZATION).iter().chain(headers.get_all(API_KEY));
    let mut keys = keys.map(HeaderValue::as_bytes).peekable();
    let is_named = keys.peek().is_none();
    let named = is_named.then(|| headers.get_all(tenant::HEADER).iter().map(HeaderValue::as_bytes));
    // Nobody's key is the name of an environment.
    keys.chain(is_named.then_some(&b"names"[..])).chain(named.into_iter().flatten())
}

/// One more was sent away: a line for all of a while.
fn note(sent_away: u64) {
    let Some(mut told) = TOLD.try_lock() else { return };
    let now = Instant::now();
    if told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
        *told = Some(now);
        tracing::warn!(sent_away, "more is asked for than can be answered in time; so many were sent away by now");
    }
}

/// The answer to `request` if it is sent away.
fn told<B>(app: &App, request: &Request<B>) -> Option<Response> {
    let path = request.uri().path();
    if may_wait(request.method()) || OPEN.contains(&path) {
        return None;
    }
    let lane = app.regulars().lane(shown(request.headers()))?;
    if !app.is_behind(&lane) && !app.turns_of(is_search(path)).are_hopeless(&lane) {
        return None;
    }
    note(app.metrics().sent_away());
    let mut response = Response::new(Body::from(ANSWER.clone()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    if let Some(id) = observe::id_in(request.headers()) {
        headers.insert(observe::HEADER, id);
    }
    Some(response)
}

/// `routes`, for who of this address is not sent away before. Told to each request: a layer of a connection's own would have
/// all routes made anew for it.
pub fn before(
    app: App,
    routes: Router,
    peer: Peer,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    let routes = TowerToHyperService::new(routes);
    service_fn(move |mut request: Request<Incoming>| {
        let answer = match told(&app, &request) {
            Some(answer) => Ok(answer),
            None => {
                request.extensions_mut().insert(peer);
                Err(routes.call(request))
            }
        };
        async move {
            match answer {
                Ok(answer) => Ok(answer),
                Err(asked) => asked.await,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc;

    use axum::body::to_bytes;
    use serde_json::Value;
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::super::router::tests::Server;
    use super::super::turns::Waiting;
    use super::*;
    use crate::config::Config;

    const MS: Duration = Duration::from_millis(1);
    const SEARCH: &str = "/v1/collections/docs/search";

    fn asks(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(path);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    /// Work in the lane of `loud`: it says when it has begun, and ends when it is told to, or nobody can tell it any more.
    struct Work {
        _waiting: Waiting,
        begun: mpsc::Receiver<()>,
        _end: mpsc::Sender<()>,
    }

    fn enter(app: &App) -> Option<Work> {
        let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let work = move || {
            _ = begin.send(());
            _ = ended.recv();
        };
        let waiting = app.turns_of(true).enter("loud".into(), work).ok()?;
        Some(Work { _waiting: waiting, begun, _end: end })
    }

    /// A server with one turn, for which `loud` waits as long as anybody may: five turns of 10 ms.
    async fn crowded() -> (Server, App, VecDeque<Work>) {
        let mut config = Config::default();
        (config.server.searches_max, config.limits.standing_ms) = (1, 50);
        let server = Server::new(config);
        let app = server.app.clone();
        let mut works: VecDeque<_> = (0..3).filter_map(|_| enter(&app)).collect();
        for _ in 0..40 {
            works.extend(enter(&app));
            works[0].begun.recv().unwrap();
            advance(10 * MS).await;
            works.pop_front();
        }
        works[0].begun.recv().unwrap();
        while let Some(work) = enter(&app) {
            works.push_back(work);
        }
        (server, app, works)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_to_have_no_turn_in_time_is_sent_away_and_nobody_else() {
        let (_server, app, _works) = crowded().await;
        let [loud, calm] = ["loud", "calm"].map(|name| [(tenant::HEADER, name), ("X-Request-Id", "mine")]);
        assert!(told(&app, &asks("POST", SEARCH, &loud)).is_none(), "nobody knows who that is");
        for (who, lane) in [(loud, "loud"), (calm, "calm")] {
            remember(&app, asks("POST", SEARCH, &who).headers(), &lane.into());
        }
        let answer = told(&app, &asks("POST", SEARCH, &loud)).unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        for (name, value) in [(RETRY_AFTER, "1"), (CONTENT_TYPE, MEDIA_TYPE), (observe::HEADER, "mine")] {
            assert_eq!(answer.headers()[name], value);
        }
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&"overloaded".into(), &503.into()), "{problem}");
        assert!(told(&app, &asks("POST", SEARCH, &calm)).is_none(), "its own lane is empty");
        for (method, path) in [("GET", SEARCH), ("PUT", "/v1/collections/docs/records"), ("POST", OPEN[4])] {
            assert!(
                told(&app, &asks(method, path, &loud)).is_none(),
                "{method} {path} waits for another turn, or none"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_most_is_sent_away_while_requests_wait_to_be_looked_at() {
        let mut config = Config::default();
        config.limits.standing_ms = 5;
        let server = Server::new(config);
        let app = server.app.clone();
        let search = |who| asks("POST", SEARCH, &[(tenant::HEADER, who)]);
        let tells = |who| told(&app, &search(who)).is_some();
        for who in ["flood", "calm"] {
            remember(&app, search(who).headers(), &who.into());
        }
        for (wait, is_too_long) in [(4, false), (6, true), (4, false), (0, false)] {
            for round in 0..40 {
                let flood = [(); 12].map(|()| tells("flood"));
                // For the first few there may be a burst, or the last one may not be over.
                assert!(round < 10 || flood == [is_too_long; 12], "{flood:?} after {wait} ms, round {round}");
                assert!(!tells("calm") && told(&app, &search("nobody")).is_none(), "{wait} ms, round {round}");
                for (method, path) in [("GET", SEARCH), ("POST", OPEN[4])] {
                    let asked = asks(method, path, &[(tenant::HEADER, "flood")]);
                    assert!(told(&app, &asked).is_none(), "{method} {path}");
                }
                advance(wait * MS).await;
                for _ in 0..10 {
                    yield_now().await;
                }
                advance(MS).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_known_by_itself_whatever_else_is_named() {
        let (_server, app, _works) = crowded().await;
        let key = [(AUTHORIZATION.as_str(), "Bearer loud")];
        remember(&app, asks("POST", SEARCH, &key).headers(), &"loud".into());
        let named = [key[0], (tenant::HEADER, "calm")];
        assert!(told(&app, &asks("POST", SEARCH, &named)).is_some());
        for other in [(AUTHORIZATION.as_str(), "Bearer other"), (tenant::HEADER, "Bearer loud"), (API_KEY, "loud")] {
            assert!(told(&app, &asks("POST", SEARCH, &[other])).is_none(), "{other:?} is not known");
        }
    }
}
