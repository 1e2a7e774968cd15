//! What bodies take together, and answers that nobody reads.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use tokio::time::sleep;

use super::*;

const SEARCH: &str = "/v1/collections/docs/search";

/// Chunks, and then nothing more for ever.
struct Halting(VecDeque<Bytes>);

impl hyper::body::Body for Halting {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.pop_front().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
    }
}

fn halting(bytes: usize) -> Body {
    Body::new(Halting(VecDeque::from([Bytes::from(vec![b' '; bytes])])))
}

fn search(body: Body) -> Request {
    request(Method::POST, SEARCH).header("Content-Type", "application/json").body(body).unwrap()
}

/// A search whose body has so many bytes.
fn padded(bytes: usize) -> Body {
    let text = r#"{"vector": [1, 0]}"#;
    Body::from(format!("{text}{}", " ".repeat(bytes - text.len())))
}

/// With room for bodies of 1000 bytes and one turn.
async fn narrow() -> (Server, App) {
    let mut config = Config::default();
    (config.limits.bodies_bytes_max, config.server.searches_max) = (1000, 1);
    (config.server.wait_seconds, config.limits.standing_ms) = (3600, 0);
    let server = Server::with_docs(config.clone()).await;
    let app = App::new(server.database.clone(), config);
    (Server { routes: router(app.clone()), ..server }, app)
}

async fn is_full(server: &Server, body: Body) {
    let (status, problem, response) = server.send(search(body)).await;
    is_problem(&(status, problem.clone()), 503, "overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("bodies_bytes_max"), "{problem}");
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn bodies_take_no_more_memory_than_there_is_for_them() {
    let (server, app) = narrow().await;
    is_full(&server, padded(1001)).await;
    assert_eq!(app.pantry().taken(), 0, "what is refused takes nothing");
    let (status, ..) = server.send(search(padded(1000))).await;
    assert_eq!((status, app.pantry().taken()), (StatusCode::OK, 0));
    // One that never ends keeps what arrived of it, and nothing that it announced.
    let mut slow = search(halting(600));
    slow.headers_mut().insert("Content-Length", 60_000_000.into());
    let slow = tokio::spawn(server.routes.clone().oneshot(slow));
    while app.pantry().taken() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.pantry().taken(), 600);
    is_full(&server, padded(401)).await;
    assert_eq!(server.send(search(padded(400))).await.0, StatusCode::OK);
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(server.send(search(padded(1000))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_counts_for_as_long_as_its_request_waits() {
    let (server, app) = narrow().await;
    let (go_on, going) = mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let other = app.clone();
    let working = tokio::spawn(async move {
        let work = move |_: &Database| {
            started.send(()).unwrap();
            _ = going.recv();
            Ok(Response::<()>::default())
        };
        other.search(work).await.map_err(|problem| problem.detail)
    });
    has_started.await.unwrap();
    let waiting = tokio::spawn(server.routes.clone().oneshot(search(padded(700))));
    while app.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    is_full(&server, padded(301)).await;
    go_on.send(()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    working.await.unwrap().unwrap();
    assert_eq!(app.pantry().taken(), 0);
}

#[tokio::test]
async fn a_turn_is_not_kept_by_who_takes_a_line_now_and_then() {
    let mut config = Config::default();
    config.server.body_seconds = 1;
    let server = Server::with_docs(config.clone()).await;
    let app = App::new(server.database.clone(), config);
    let lines = app.stream(|_| Ok((0..1_000_000).map(|_| Ok(vec![b'\n']))));
    let mut body = lines.await.map_err(|problem| problem.detail).unwrap().into_body();
    let mut taken = 0;
    while taken < 2000 && body.frame().await.unwrap().is_ok() {
        taken += 1;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(taken < 2000, "each line bought as much time as the first");
}
