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
