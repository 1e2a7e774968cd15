//! Calls that go on: batches to store as they come, and pages as they are read.
//!
//! Invariant: every batch and every page is let in, charged and counted as a request of its own ([`Again`]), so that a key
//! that is revoked ends the stream, and one whose units are spent does, too; each has its own turn, so that a client that
//! dawdles holds up nobody; what is acknowledged is durable. A stream ends once its client is gone, takes too long, or the
//! server goes; it ends well only if it is whole, and what the engine began is not given up for a server that goes.

use std::time::Duration;

use axum::http::HeaderMap;
use engine::Database;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::deadline::Deadline;
use super::schema::proto::{ScrollRequest, ScrollResponse, UpsertRequest, UpsertResponse};
use super::toll::Toll;
use super::{forms, status};
use crate::rest::{Again, App, Caller, Ending, Problem, Refusal, Tenant, Visit, parts};

/// Who streams.
struct Client {
    app: App,
    requests: Again,
    /// What the messages pay that they send.
    toll: Option<Toll>,
}

type Sent<T> = Result<T, Status>;
type Sender<T> = mpsc::Sender<Sent<T>>;

/// Stores batch after batch and answers each.
pub fn upserts(app: App, request: Request<Streaming<UpsertRequest>>) -> ReceiverStream<Result<UpsertResponse, Status>> {
    run(app, request, async |mut client, mut batches, sender| {
        while let Some(batch) = client.next(&mut batches).await? {
            let stored = client.store(batch).await?;
            client.send(&sender, stored).await?;
        }
        Ok(())
    })
}

/// Gives page after page.
pub fn pages(app: App, request: Request<ScrollRequest>) -> ReceiverStream<Result<ScrollResponse, Status>> {
    run(app, request, async |mut client, mut request, sender| {
        loop {
            let page = client.page(request.clone()).await?;
            let next = (page.next.clone(), page.next_value.clone());
            client.send(&sender, page).await?;
            if next.0.is_none() {
                return Ok(());
            }
            request.after = next.0;
            if let (Some(order), Some(value)) = (&mut request.order_by, next.1) {
                order.start_from = Some(value);
            }
        }
    })
}

/// Runs `work` beside the answer that it sends, until it ends or nobody listens any more.
fn run<M: Send + 'static, A: Send + 'static, F: Future<Output = Result<(), Problem>> + Send>(
    app: App,
    request: Request<M>,
    work: impl FnOnce(Client, M, Sender<A>) -> F + Send + 'static,
) -> ReceiverStream<Result<A, Status>> {
    let (sender, receiver, ending) = answers();
    let (metadata, extensions, message) = request.into_parts();
    let deadline = Deadline::of(&extensions);
    let visit = Visit::current();
    let toll = extensions.get::<Toll>().cloned();
    let client = Client { app: app.clone(), requests: Again::new(app, metadata.into_headers(), extensions), toll };
    let listened_to = sender.clone();
    let streaming = async move {
        let ended = tokio::select! {
            ended = work(client, message, sender) => ended,
            () = deadline.passes() => Err(too_long()),
            () = listened_to.closed() => return,
        };
        match ended {
            Ok(()) => ending.whole(),
            Err(problem) => ending.broke_off(Err(problem.into())),
        }
    };
    match visit {
        Some(visit) => drop(tokio::spawn(visit.scope(streaming))),
        None => drop(tokio::spawn(streaming)),
    }
    ReceiverStream::new(receiver)
}

/// What a client is answered one after the other: one answer waits for it, and the next is made only once that is taken.
pub fn answers<T: Send + 'static>() -> (Sender<T>, Receiver<Sent<T>>, Ending<Sent<T>>) {
    parts(1, || Err(Problem::new(Refusal::Internal, "the answer broke off").into()))
}

impl Client {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.app.config().server.body_seconds)
    }

    /// The next message; none once the client has sent its last.
    async fn next<M>(&self, messages: &mut Streaming<M>) -> Result<Option<M>, Problem> {
        self.wanted()?;
        let next = self.waited(messages.message(), "send the next batch sooner, or end the stream").await?;
        next.map_err(|broken| Problem::clone(&status::told(&broken).0))
    }

    /// Hands an answer over.
    async fn send<A>(&self, sender: &Sender<A>, answer: A) -> Result<(), Problem> {
        let sent = self.waited(sender.send(Ok(answer)), "read the answers sooner").await?;
        sent.map_err(|_| Problem::new(Refusal::BrokenBody, "the client is gone"))
    }

    /// What a client does, if it does it in time and the server stays for it.
    async fn waited<T>(&self, client: impl Future<Output = T>, advice: &str) -> Result<T, Problem> {
        let slow = || Problem::new(Refusal::SlowBody, advice);
        tokio::select! {
            biased;
            done = timeout(self.patience(), client) => done.map_err(|_| slow()),
            () = self.app.drained() => Err(going()),
        }
    }

    /// Refuses more of a stream while the server goes, however fast its client is.
    fn wanted(&self) -> Result<(), Problem> {
        if self.app.is_ready() { Ok(()) } else { Err(going()) }
    }

    async fn store(&mut self, mut batch: UpsertRequest) -> Result<UpsertResponse, Problem> {
        // What the batch takes of the memory for bodies, until it is answered.
        let _share = self.toll.as_ref().map(Toll::take);
        let app = self.app.clone();
        let store = |headers: HeaderMap, caller: Caller| async move {
            let tenant = Tenant::of(&headers, &caller, &app)?;
            let name = std::mem::take(&mut batch.collection);
            let store = move |database: &Database| {
                let collection = tenant.open(database)?.open_collection(&name)?;
                Ok(forms::upsert(batch)?.on(&collection)?.into())
            };
            app.run(store).await
        };
        self.requests.next(0, store).await
    }

    async fn page(&mut self, mut request: ScrollRequest) -> Result<ScrollResponse, Problem> {
        self.wanted()?;
        let name = std::mem::take(&mut request.collection);
        let body = forms::scroll(request)?;
        let app = self.app.clone();
        let units = body.units();
        let read = |headers: HeaderMap, caller: Caller| async move {
            let tenant = Tenant::of(&headers, &caller, &app)?;
            let read = move |database: &Database| Ok(body.on(&tenant.open(database)?.open_collection(&name)?)?.into());
            app.search(read).await
        };
        self.requests.next(units, read).await
    }
}

fn going() -> Problem {
    Problem::new(Refusal::Overloaded, "the server is shutting down")
}

/// The problem of a stream that took longer than its caller would wait.
pub fn too_long() -> Problem {
    Problem::new(Refusal::SlowRequest, "the call's deadline is over; what was acknowledged is done")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::Instant;
    use tonic::codegen::tokio_stream::StreamExt;
    use tonic_types::StatusExt;

    use super::*;
    use crate::config::Config;
    use crate::rest::tests::Server;

    /// Streams work that never ends by itself; the receiver is told once it was dropped.
    fn endless(
        server: &Server,
        deadline: Option<Deadline>,
    ) -> (ReceiverStream<Result<u64, Status>>, oneshot::Receiver<()>) {
        let (guard, dropped) = oneshot::channel::<()>();
        let mut request = Request::new(());
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let work = async move |client: Client, (), sender: Sender<u64>| {
            let _guard = guard;
            client.send(&sender, 1).await?;
            client.waited(pending::<()>(), "").await
        };
        (run(server.app.clone(), request, work), dropped)
    }

    async fn reason(stream: &mut ReceiverStream<Result<u64, Status>>) -> String {
        let status = stream.next().await.unwrap().unwrap_err();
        status.get_error_details().error_info().unwrap().reason.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_its_client_with_its_deadline_and_with_the_server() {
        let server = Server::new(Config::default());
        let (mut stream, dropped) = endless(&server, None);
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        drop(stream);
        // The clock stands still but for this: nothing else would end the work.
        let waited = timeout(Duration::from_secs(1), dropped).await;
        assert!(waited.is_ok(), "nobody listens, and the work goes on");

        let (mut stream, dropped) = endless(&server, Some(Deadline::after(Duration::from_secs(5))));
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!(reason(&mut stream).await, "request_timeout");
        assert!(dropped.await.is_err() && stream.next().await.is_none());

        // What went by before the work began counts, too.
        let deadline = Deadline::after(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(4)).await;
        let begun = Instant::now();
        let (mut stream, _) = endless(&server, Some(deadline));
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!((reason(&mut stream).await.as_str(), begun.elapsed().as_secs()), ("request_timeout", 1));

        let (mut stream, dropped) = endless(&server, None);
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        server.app.drain();
        assert_eq!(reason(&mut stream).await, "overloaded");
        assert!(dropped.await.is_err() && stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_too_slowly_is_told_that_it_has_not_all() {
        let server = Server::new(Config::default());
        let work = async |client: Client, (), sender: Sender<u64>| {
            for answer in 0..9 {
                client.send(&sender, answer).await?;
            }
            Ok(())
        };
        let all: Vec<_> = run(server.app.clone(), Request::new(()), work).collect().await;
        assert_eq!(all.into_iter().map(Result::unwrap).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());

        let mut stream = run(server.app.clone(), Request::new(()), work);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        assert_eq!(reason(&mut stream).await, "body_timeout");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_fails_ends_no_stream_well_and_what_runs_ends_before_the_server() {
        let server = Server::new(Config::default());
        let work = async |_: Client, (), _: Sender<u64>| -> Result<(), Problem> { panic!("the work fails") };
        let mut stream = run(server.app.clone(), Request::new(()), work);
        assert_eq!(reason(&mut stream).await, "internal");

        // What the engine does is not a wait for the client: its answer comes, and only then the end.
        let (go, gone) = oneshot::channel::<()>();
        let work = async move |client: Client, (), sender: Sender<u64>| {
            _ = gone.await;
            client.send(&sender, 7).await?;
            client.wanted()
        };
        let mut stream = run(server.app.clone(), Request::new(()), work);
        server.app.drain();
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 7);
        assert_eq!(reason(&mut stream).await, "overloaded");
    }
}
