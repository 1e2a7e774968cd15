//! Calls that anyone may make, without a key, and that would last as long as their client likes.
//!
//! Invariant: there are a few of them at once, none lasts longer than a while, and none outlives a server that goes: so
//! nobody holds what the server keeps for a call, or the server, without having shown who they are.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as Frames, Frame};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;
use tonic::Status;

use crate::rest::{App, Problem, Refusal};

/// How many there are at once, of all clients.
const CALLS_MAX: usize = 64;
/// How long one lasts; who still wants to know asks again.
const LASTS: Duration = Duration::from_secs(600);
/// For the last word of a server that goes.
const LAST_WORD: Duration = Duration::from_secs(1);

static PLACES: Semaphore = Semaphore::const_new(CALLS_MAX);

/// Lets a call last, but not for ever.
pub async fn for_a_while(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(place) = PLACES.try_acquire() else {
        return Problem::new(Refusal::Overloaded, "too many watch; ask for a single answer").into_response();
    };
    let over = async move {
        let going = async {
            app.drained().await;
            sleep(LAST_WORD).await;
        };
        tokio::select! {
            () = going => {}
            () = sleep(LASTS) => {}
        }
    };
    next.run(request).await.map(|body| Body::new(Until { body, over: Box::pin(over), is_over: false, _place: place }))
}

/// A body, until it is over.
struct Until {
    body: Body,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
    _place: SemaphorePermit<'static>,
}

impl Frames for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.over.as_mut().poll(context).is_pending() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            self.is_over = frame.is_none();
            return Poll::Ready(frame);
        }
        self.is_over = true;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let status = Status::from(Problem::new(Refusal::Overloaded, "it lasted long enough; ask again"));
        let told = status.add_header(&mut trailers);
        Poll::Ready(told.ok().map(|()| Ok(Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http_body_util::{BodyExt, StreamBody};
    use tonic::codegen::tokio_stream;
    use tower::ServiceExt;

    use super::*;
    use crate::config::Config;
    use crate::rest::tests::Server;

    #[tokio::test(start_paused = true)]
    async fn there_are_few_at_once_and_none_lasts() {
        let server = Server::new(Config::default());
        let endless =
            || async { Body::new(StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>())) };
        let routes = Router::new().route("/", get(endless)).layer(from_fn_with_state(server.app.clone(), for_a_while));
        let ask = || routes.clone().oneshot(Request::new(Body::empty()));
        let mut all = Vec::new();
        for _ in 0..CALLS_MAX {
            all.push(ask().await.unwrap());
        }
        assert_eq!(ask().await.unwrap().status(), 503, "one more");
        // Nothing else moves the clock: without an end this would hang.
        let ended = all.pop().unwrap().into_body().collect().await.unwrap();
        assert_eq!(ended.trailers().unwrap()["grpc-status"], "14");
        let again = ask().await.unwrap();
        server.app.drain();
        assert_eq!(again.into_body().collect().await.unwrap().trailers().unwrap()["grpc-status"], "14");
    }
}
