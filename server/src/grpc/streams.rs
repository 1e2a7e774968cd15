//! Calls that go on: batches to store as they come, and pages as they are read.
//!
//! Invariant: every batch and every page counts as a request of its own. Whoever sends is asked for their key each time, so
//! that one that is revoked ends the stream; each has its own turn, so that a client that dawdles holds up nobody; what is
//! acknowledged is durable. A stream ends once its client is gone, takes too long, or the server goes.

use std::time::Duration;

use engine::Database;
use prost_reflect::prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status, Streaming};

use super::schema::proto::{ScrollRequest, ScrollResponse, UpsertRequest, UpsertResponse};
use super::{forms, status};
use crate::rest::{App, Problem, Refusal, Tenant, Visit, admitted, units_of};

/// How long a call may take, from when its head came.
#[derive(Clone, Copy)]
pub struct Deadline(pub Duration);

impl Deadline {
    /// Of the call with these extensions; for ever, if it names none.
    pub fn of(extensions: &Extensions) -> Duration {
        extensions.get::<Self>().map_or(Duration::MAX, |Self(time)| *time)
    }
}

/// Who streams.
struct Client {
    app: App,
    metadata: MetadataMap,
    extensions: Extensions,
}

type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// Stores batch after batch and answers each.
pub fn upserts(app: App, request: Request<Streaming<UpsertRequest>>) -> ReceiverStream<Result<UpsertResponse, Status>> {
    run(app, request, async |client, mut batches, sender| {
        while let Some(batch) = client.next(&mut batches).await? {
            let stored = client.store(batch).await?;
            if client.send(&sender, stored).await.is_none() {
                break;
            }
        }
        Ok(())
    })
}

/// Gives page after page.
pub fn pages(app: App, request: Request<ScrollRequest>) -> ReceiverStream<Result<ScrollResponse, Status>> {
    run(app, request, async |client, mut request, sender| {
        loop {
            let page = client.page(request.clone()).await?;
            let next = (page.next.clone(), page.next_value.clone());
            if client.send(&sender, page).await.is_none() || next.0.is_none() {
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
    // One answer waits for the client, and the next is made only once that is taken.
    let (sender, receiver) = mpsc::channel(1);
    let (metadata, extensions, message) = request.into_parts();
    let deadline = Deadline::of(&extensions);
    let visit = Visit::current();
    let client = Client { app: app.clone(), metadata, extensions };
    let end = sender.clone();
    let streaming = async move {
        let ended = tokio::select! {
            ended = timeout(deadline, work(client, message, sender)) => ended.unwrap_or_else(|_| Err(too_long())),
            () = end.closed() => return,
            () = app.drained() => Err(Problem::new(Refusal::Overloaded, "the server is shutting down")),
        };
        if let Err(problem) = ended {
            _ = end.send(Err(problem.into())).await;
        }
    };
    match visit {
        Some(visit) => drop(tokio::spawn(visit.scope(streaming))),
        None => drop(tokio::spawn(streaming)),
    }
    ReceiverStream::new(receiver)
}

impl Client {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.app.config().server.body_seconds)
    }

    /// The next message; none once the client has sent its last.
    async fn next<M>(&self, messages: &mut Streaming<M>) -> Result<Option<M>, Problem> {
        let slow = || Problem::new(Refusal::SlowBody, "send the next batch sooner, or end the stream");
        let next = timeout(self.patience(), messages.message()).await.map_err(|_| slow())?;
        next.map_err(|broken| status::ours(&broken))
    }

    /// Hands an answer over; nothing if nobody takes it.
    async fn send<A>(&self, sender: &Sender<A>, answer: A) -> Option<()> {
        timeout(self.patience(), sender.send(Ok(answer))).await.ok()?.ok()
    }

    /// The environment, if its key is still good.
    async fn tenant(&self, bytes: usize) -> Result<Tenant, Problem> {
        self.app.charge(units_of(bytes as u64).saturating_add(1))?;
        let headers = self.metadata.clone().into_headers();
        let caller = admitted(&self.app, &headers, &self.extensions).await?;
        Tenant::of(&headers, &caller, &self.app)
    }

    async fn store(&self, mut batch: UpsertRequest) -> Result<UpsertResponse, Problem> {
        let tenant = self.tenant(batch.encoded_len()).await?;
        let name = std::mem::take(&mut batch.collection);
        let store = move |database: &Database| {
            let collection = tenant.open(database)?.open_collection(&name)?;
            Ok(forms::upsert(batch)?.on(&collection)?.into())
        };
        self.app.run(store).await
    }

    async fn page(&self, mut request: ScrollRequest) -> Result<ScrollResponse, Problem> {
        let tenant = self.tenant(0).await?;
        let name = std::mem::take(&mut request.collection);
        let body = forms::scroll(request)?;
        let read = move |database: &Database| Ok(body.on(&tenant.open(database)?.open_collection(&name)?)?.into());
        self.app.run(read).await
    }
}

/// The problem of a stream that took longer than its caller would wait.
pub fn too_long() -> Problem {
    Problem::new(Refusal::SlowRequest, "the call's deadline is over; what was acknowledged is done")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
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
        let work = async move |_: Client, (), sender: Sender<u64>| {
            let _guard = guard;
            _ = sender.send(Ok(1)).await;
            pending::<()>().await;
            Ok(())
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

        let (mut stream, dropped) = endless(&server, Some(Deadline(Duration::from_secs(5))));
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!(reason(&mut stream).await, "request_timeout");
        assert!(dropped.await.is_err() && stream.next().await.is_none());

        let (mut stream, dropped) = endless(&server, None);
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        server.app.drain();
        assert_eq!(reason(&mut stream).await, "overloaded");
        assert!(dropped.await.is_err() && stream.next().await.is_none());
    }
}
