//! The gate: who is sent away at sight of a head, because no turn would come in time or they asked for too much.
//!
//! Invariant: only those are sent away here who would be sent away further in, after their key was verified and their
//! request was counted, logged and routed, which costs many times as much: a flood would otherwise take the processor from
//! those who are served. These are who would have no turn in time; who comes to the [`readers`](super::readers) of sockets
//! while they have no time, if their lane asks for no less than others; and whose key or environment has spent its units. What
//! is asked for and by whom is known from the last time that who sends it was let in from the same address; whoever is not
//! known goes the long way, pays for it, and is told there. So a flood is stopped in its own lane, and nobody waits in
//! another's.
//!
//! A key that was revoked or expired since is told that the server is busy or units are spent rather than that it is not good,
//! until there is a turn to look at it; then it is known no more.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::auth::{OPEN, Peer, shown_in};
use super::error::{MEDIA_TYPE, Problem, Refusal};
use super::observe;
use super::regulars::Regular;
use super::route::{is_search, may_wait};
use super::state::App;
use super::tenant;

/// How often the log tells how many were sent away.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What who would have no turn in time is told: nothing of who asked.
static OVERLOADED: LazyLock<Problem> = LazyLock::new(|| {
    Problem::new(Refusal::Overloaded, "more is asked for than can be answered in time; try again later")
});
/// The same as it is sent.
static ANSWER: LazyLock<Bytes> = LazyLock::new(|| serde_json::to_vec(&*OVERLOADED).unwrap_or_default().into());

/// When the log told it last.
static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// Remembers that who sent `request` was let in, and as whom.
pub fn remember<B>(app: &App, request: &Request<B>, regular: Regular) {
    app.regulars().remember(caller(app, request), regular);
}

/// Who sent `request`: by the address, and the keys that are shown, or else the environment that is named, which decide in
/// whose lane a request waits and whose units it takes.
fn caller<B>(app: &App, request: &Request<B>) -> u64 {
    let headers = request.headers();
    let mut keys = shown_in(headers).map(|key| key.unwrap_or_default().as_bytes()).peekable();
    let is_named = keys.peek().is_none();
    let named = is_named.then(|| headers.get_all(tenant::HEADER).iter().map(HeaderValue::as_bytes));
    // Nobody's key is the name of an environment.
    let shown = keys.chain(is_named.then_some(&b"names"[..])).chain(named.into_iter().flatten());
    app.regulars().caller(request.extensions().get::<Peer>().map(|Peer(address)| *address), shown)
}

/// One more was sent away for whom no turn would come in time: a line for all of a while.
fn note(sent_away: u64) {
    let Some(mut told) = TOLD.try_lock() else { return };
    let now = Instant::now();
    if told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
        *told = Some(now);
        tracing::warn!(sent_away, "more is asked for than can be answered in time; so many were sent away by now");
    }
}

/// The answer to `request` of this caller if it is sent away.
fn told<B>(app: &App, request: &Request<B>, caller: u64) -> Option<Response> {
    let path = request.uri().path();
    if may_wait(request.method()) || OPEN.contains(&path) {
        return None;
    }
    let regular = app.regulars().find(caller)?;
    let mut response = match app.purses().look(&regular) {
        Err(spent) => {
            app.metrics().sent_away(spent.code);
            spent.into_response()
        }
        Ok(()) if app.is_behind(&regular.lane) || app.turns_of(is_search(path)).are_hopeless(&regular.lane) => {
            note(app.metrics().sent_away(OVERLOADED.code));
            overloaded()
        }
        Ok(()) => return None,
    };
    if let Some(id) = observe::id_in(request.headers()) {
        response.headers_mut().insert(observe::HEADER, id);
    }
    Some(response)
}

fn overloaded() -> Response {
    let mut response = Response::new(Body::from(ANSWER.clone()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
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
        request.extensions_mut().insert(peer);
        let caller = caller(&app, &request);
        let answer = match told(&app, &request, caller) {
            Some(answer) => Ok(answer),
            None => Err((routes.call(request), app.clone())),
        };
        async move {
            match answer {
                Ok(answer) => Ok(answer),
                Err((asked, app)) => asked.await.inspect(|answer| {
                    if answer.status() == StatusCode::UNAUTHORIZED {
                        app.regulars().forget(caller);
                    }
                }),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc;

    use axum::body::to_bytes;
    use axum::http::header::AUTHORIZATION;
    use serde_json::Value;
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::super::auth::API_KEY;
    use super::super::router::tests::Server;
    use super::super::turns::{Kind, Waiting};
    use super::super::visit::Visit;
    use super::*;
    use crate::config::Config;

    const MS: Duration = Duration::from_millis(1);
    const SEARCH: &str = "/v1/collections/docs/search";

    fn tells<B>(app: &App, request: &Request<B>) -> Option<Response> {
        told(app, request, caller(app, request))
    }

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
        let waiting = app.turns_of(true).enter("loud".into(), Kind::Any, work).ok()?;
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
        assert!(tells(&app, &asks("POST", SEARCH, &loud)).is_none(), "nobody knows who that is");
        for (who, lane) in [(loud, "loud"), (calm, "calm")] {
            remember(&app, &asks("POST", SEARCH, &who), Regular { lane: lane.into(), key: None });
        }
        let answer = tells(&app, &asks("POST", SEARCH, &loud)).unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        for (name, value) in [(RETRY_AFTER, "1"), (CONTENT_TYPE, MEDIA_TYPE), (observe::HEADER, "mine")] {
            assert_eq!(answer.headers()[name], value);
        }
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&"overloaded".into(), &503.into()), "{problem}");
        assert!(tells(&app, &asks("POST", SEARCH, &calm)).is_none(), "its own lane is empty");
        for (method, path) in [("GET", SEARCH), ("PUT", "/v1/collections/docs/records"), ("POST", OPEN[4])] {
            assert!(
                tells(&app, &asks(method, path, &loud)).is_none(),
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
        let told_to = |who| tells(&app, &search(who)).is_some();
        for who in ["flood", "calm"] {
            remember(&app, &search(who), Regular { lane: who.into(), key: None });
        }
        for (wait, is_too_long) in [(4, false), (6, true), (4, false), (0, false)] {
            for round in 0..40 {
                let flood = [(); 12].map(|()| told_to("flood"));
                // For the first few there may be a burst, or the last one may not be over.
                assert!(round < 10 || flood == [is_too_long; 12], "{flood:?} after {wait} ms, round {round}");
                assert!(!told_to("calm") && tells(&app, &search("nobody")).is_none(), "{wait} ms, round {round}");
                for (method, path) in [("GET", SEARCH), ("POST", OPEN[4])] {
                    let asked = asks(method, path, &[(tenant::HEADER, "flood")]);
                    assert!(tells(&app, &asked).is_none(), "{method} {path}");
                }
                advance(wait * MS).await;
                for _ in 0..10 {
                    yield_now().await;
                }
                advance(MS).await;
            }
        }
    }

    #[tokio::test]
    async fn who_spent_all_is_told_so_at_once_and_nobody_else_is() {
        let mut config = Config::default();
        (config.limits.key_units, config.limits.environment_units, config.limits.burst_seconds) = (1, 3, 600);
        let server = Server::new(config);
        let app = server.app.clone();
        let search = |who| asks("POST", SEARCH, &[(API_KEY, who)]);
        for (who, key, lane) in
            [("spender", "1", "one"), ("same", "1", "two"), ("mate", "2", "one"), ("other", "3", "two")]
        {
            remember(&app, &search(who), Regular::from(&Visit::new(lane, Some(key))));
        }
        let spend = |key, lane, units| app.purses().charge(&Visit::new(lane, Some(key)), units).unwrap();
        let told_to = |who| tells(&app, &search(who)).map(|response| response.status().as_u16());
        assert_eq!(["spender", "same", "mate", "other"].map(told_to), [None; 4]);
        let owe = |key, lane, units| app.purses().owe(&Visit::new(lane, Some(key)), units).unwrap();
        // What one charge takes is half a bucket at most; and no bucket is full again within the test.
        spend("1", "one", 300);
        spend("1", "one", 300);
        owe("1", "one", 300);
        assert_eq!(
            ["spender", "same", "mate", "other", "nobody"].map(told_to),
            [Some(429), Some(429), None, None, None]
        );
        for key in ["4", "5", "6"] {
            spend(key, "one", 300);
        }
        owe("4", "one", 300);
        assert_eq!(["spender", "same", "mate", "other"].map(told_to), [Some(429), Some(429), Some(429), None]);
        let answer = tells(&app, &search("mate")).unwrap();
        let seconds: u64 = answer.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((60..=101).contains(&seconds), "{seconds}");
        assert_eq!(answer.headers()[CONTENT_TYPE], MEDIA_TYPE);
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&"rate_limited".into(), &429.into()), "{problem}");
        assert!(tells(&app, &asks("GET", SEARCH, &[(API_KEY, "mate")])).is_none(), "it is told further in");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_known_by_itself_whatever_else_is_named() {
        let (_server, app, _works) = crowded().await;
        let key = [(AUTHORIZATION.as_str(), "Bearer loud")];
        remember(&app, &asks("POST", SEARCH, &key), Regular { lane: "loud".into(), key: None });
        let named = [key[0], (tenant::HEADER, "calm")];
        for same in ["bEARER loud", "Bearer   loud "] {
            assert!(tells(&app, &asks("POST", SEARCH, &[(AUTHORIZATION.as_str(), same)])).is_some(), "{same:?}");
        }
        assert!(tells(&app, &asks("POST", SEARCH, &[(API_KEY, "loud")])).is_some(), "it is the same key");
        assert!(tells(&app, &asks("POST", SEARCH, &named)).is_some());
        for other in [(AUTHORIZATION.as_str(), "Bearer other"), (tenant::HEADER, "loud"), (API_KEY, "Loud")] {
            assert!(tells(&app, &asks("POST", SEARCH, &[other])).is_none(), "{other:?} is not known");
        }
        let mut elsewhere = asks("POST", SEARCH, &key);
        elsewhere.extensions_mut().insert(Peer([127, 0, 0, 2].into()));
        assert!(tells(&app, &elsewhere).is_none(), "who shows it there was not let in");
    }
}
