//! Calls that anyone may make, without a key, and that would last as long as their client likes.
//!
//! Invariant: there are a few of them at once, and fewer of one address, none lasts longer than a while or than its client
//! said, and none outlives a server that goes: so nobody holds what the server keeps for a call, or the server, without having
//! shown who they are. How one ends is said in our words: those of the libraries repeat what was asked.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as Frames, Frame};
use tokio::time::sleep;
use tonic::{Code, Status};

use super::deadline::Deadline;
use super::status::{status, told};
use super::streams::too_long;
use crate::rest::{App, Peer, Place, Places, Problem, Refusal};

/// How many there are at once, of all clients.
const CALLS_MAX: usize = 256;
/// And of one address.
const CALLS_OF_ADDRESS_MAX: usize = 16;
/// How long one lasts; who still wants to know asks again.
const LASTS: Duration = Duration::from_secs(600);
/// For the last word of a server that goes.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Where calls last.
#[derive(Clone)]
pub struct Lasting {
    app: App,
    places: Places,
}

impl Lasting {
    /// None lasts yet.
    pub fn new(app: App) -> Self {
        Self { app, places: Places::new(CALLS_MAX, CALLS_OF_ADDRESS_MAX) }
    }
}

/// Lets a call last, but not for ever.
pub async fn for_a_while(State(Lasting { app, places }): State<Lasting>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Peer(address)| *address);
    let Some(place) = places.take(address) else {
        return Problem::new(Refusal::Overloaded, "too many watch; ask for a single answer").into_response();
    };
    let deadline = Deadline::of(request.extensions());
    let over = async move {
        let going = async {
            app.drained().await;
            sleep(LAST_WORD).await;
        };
        let long_enough = || Problem::new(Refusal::Overloaded, "it lasted long enough; ask again");
        tokio::select! {
            () = going => long_enough(),
            () = sleep(LASTS) => long_enough(),
            () = deadline.passes() => too_long(),
        }
    };
    next.run(request).await.map(|body| Body::new(Until { body, over: Box::pin(over), is_over: false, _place: place }))
}

/// A body, until it is over.
struct Until {
    body: Body,
    over: Pin<Box<dyn Future<Output = Problem> + Send>>,
    is_over: bool,
    _place: Place,
}

/// Trailers that say what became of a call.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // What cannot stand in a header is left out: the code always can.
    _ = status.add_header(&mut trailers);
    trailers
}

/// A frame, and if it is one of trailers that the library made about a failure, as one of ours.
fn in_our_words(frame: Frame<Bytes>) -> Frame<Bytes> {
    let Some(said) = frame.trailers_ref().and_then(Status::from_header_map) else { return frame };
    if said.code() == Code::Ok || !said.details().is_empty() {
        return frame;
    }
    Frame::trailers(trailers(&status(&told(&said))))
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
        let Poll::Ready(problem) = self.over.as_mut().poll(context) else {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            self.is_over = frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map(in_our_words)));
        };
        self.is_over = true;
        self.body = Body::empty();
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&problem.into())))))
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

    async fn endless() -> Body {
        Body::new(StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>()))
    }

    /// What the library would say of a name that it does not know.
    async fn unknown() -> Body {
        let said = Ok::<_, Infallible>(Frame::trailers(trailers(&Status::not_found("s3cr3t is not known"))));
        Body::new(StreamBody::new(tokio_stream::once(said)))
    }

    fn request(path: &str, from: [u8; 4], time: Option<Duration>) -> Request {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(from.into()));
        if let Some(time) = time {
            request.extensions_mut().insert(Deadline::after(time));
        }
        request
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_few_at_once_and_none_lasts() {
        let server = Server::new(Config::default());
        let routes = Router::new().route("/", get(endless));
        let routes = routes.layer(from_fn_with_state(Lasting::new(server.app.clone()), for_a_while));
        let ask = |from: u8, deadline| routes.clone().oneshot(request("/", [192, 0, 2, from], deadline));
        let mut all = Vec::new();
        for from in 0..(CALLS_MAX / CALLS_OF_ADDRESS_MAX) as u8 {
            for _ in 0..CALLS_OF_ADDRESS_MAX {
                all.push(ask(from, None).await.unwrap());
            }
            assert_eq!(ask(from, None).await.unwrap().status(), 503, "one more of this address");
        }
        assert_eq!(ask(99, None).await.unwrap().status(), 503, "one more of another");
        let code = async |response: Response| {
            let ended = response.into_body().collect().await.unwrap();
            ended.trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned()
        };
        // Nothing else moves the clock: without an end this would hang.
        assert_eq!(code(all.pop().unwrap()).await, "14");
        let begun = tokio::time::Instant::now();
        let short = ask(99, Some(Duration::from_secs(5))).await.unwrap();
        assert_eq!((code(short).await.as_str(), begun.elapsed().as_secs()), ("4", 5));
        let again = ask(99, None).await.unwrap();
        server.app.drain();
        assert_eq!(code(again).await, "14");
    }

    #[tokio::test]
    async fn how_one_ends_is_said_in_our_words() {
        let server = Server::new(Config::default());
        let routes = Router::new().route("/unknown", get(unknown));
        let routes = routes.layer(from_fn_with_state(Lasting::new(server.app.clone()), for_a_while));
        let answer = routes.oneshot(request("/unknown", [127, 0, 0, 1], None)).await.unwrap();
        let ended = answer.into_body().collect().await.unwrap();
        let said = Status::from_header_map(ended.trailers().unwrap()).unwrap();
        assert_eq!(said.code(), Code::NotFound);
        assert!(!said.message().contains("s3cr3t") && !said.details().is_empty(), "{said:?}");
    }
}
