//! An answer that is sent line by line while it is read.
//!
//! Invariant: the body ends as HTTP says only if the last line was sent; whatever goes wrong on the way breaks the
//! connection, so that a client cannot take a part for the whole. [`Ending`] sees to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use hyper::body::{Body as Frames, Bytes, Frame};
use tokio::sync::mpsc;

use super::ending::{Ending, parts};

/// Lines of JSON, as <https://github.com/ndjson/ndjson-spec> names them.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Lines that wait for a client that reads slowly.
const WAITING: usize = 16;

type Line = io::Result<Bytes>;

struct Lines(mpsc::Receiver<Line>);

impl Frames for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}

/// An answer whose body is what the sender is given, up to its ending.
pub fn answer() -> (mpsc::Sender<Line>, Ending<Line>, Response) {
    let (sender, receiver, ending) = parts(WAITING, || Err(io::ErrorKind::UnexpectedEof.into()));
    let mut response = Response::new(Body::new(Lines(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    (sender, ending, response)
}

#[cfg(test)]
mod tests {
    use engine::Database;
    use http_body_util::BodyExt;
    use tokio::sync::oneshot;

    use super::super::tests::Server;
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_client_that_pauses_too_long_is_not_told_that_it_has_all() {
        let mut config = Config::default();
        config.server.body_seconds = 0;
        let server = Server::new(config);
        let lines = |count: u64, guard: oneshot::Sender<()>| {
            move |_: &Database| {
                Ok((0..count).map(move |_| {
                    _ = &guard;
                    Ok(b"{}\n".to_vec())
                }))
            }
        };
        for (count, is_whole) in [(WAITING as u64, true), (1000, false)] {
            let (guard, dropped) = oneshot::channel();
            let response = server.app.stream(lines(count, guard)).await.unwrap();
            // Read once the maker is through: nothing of it is taken before.
            _ = dropped.await;
            assert_eq!(response.into_body().collect().await.is_ok(), is_whole, "{count} lines");
        }
    }
}
