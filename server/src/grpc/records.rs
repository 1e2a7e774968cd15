//! The calls that move records one request at a time.
//!
//! Invariant: each reads its message, pays, and has its turn exactly as the route of REST does; what it reads is handed to
//! the same body, and what the engine answers is handed back.

use engine::{Collection, Database};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::schema::proto::records_server::Records;
use super::schema::proto::{
    CountRequest, CountResponse, DeleteRequest, DeleteResponse, FetchRequest, Record, ScrollRequest, ScrollResponse,
    SearchBatchRequest, SearchBatchResponse, SearchRequest, SearchResponse, UpdateRequest, UpdateResponse,
    UpsertRequest, UpsertResponse,
};
use super::{forms, streams};
use crate::rest::{App, Caller, CountsAs, Kind, Problem, Refusal, Tenant, is_search};

/// The service.
pub struct Service {
    pub app: App,
}

/// What streams of answers are.
type Answers<T> = ReceiverStream<Result<T, Status>>;

/// The environment that a call works in.
pub fn tenant(app: &App, metadata: MetadataMap, extensions: &Extensions) -> Result<Tenant, Problem> {
    let caller = extensions.get::<Caller>();
    let caller = caller.ok_or_else(|| Problem::new(Refusal::Unauthenticated, "nobody looked for a key"))?;
    Tenant::of(&metadata.into_headers(), caller, app)
}

impl Service {
    /// Runs `work` on a collection when its turn comes.
    async fn run<A: Send + 'static>(
        &self,
        (metadata, extensions): (MetadataMap, Extensions),
        name: String,
        work: impl FnOnce(&Collection) -> Result<A, Problem> + Send + 'static,
    ) -> Result<Response<A>, Status> {
        let tenant = tenant(&self.app, metadata, &extensions)?;
        let work = move |database: &Database| work(&tenant.open(database)?.open_collection(&name)?);
        let searches = extensions.get::<CountsAs>().is_some_and(|route| is_search(&route.path));
        Ok(Response::new(self.app.turn(self.app.turns_of(searches), Kind::Any, work).await?))
    }
}

/// What stands around a message, and the message.
fn split<M>(request: Request<M>) -> ((MetadataMap, Extensions), M) {
    let (metadata, extensions, message) = request.into_parts();
    ((metadata, extensions), message)
}

#[tonic::async_trait]
impl Records for Service {
    type UpsertStreamStream = Answers<UpsertResponse>;
    type ScrollStreamStream = Answers<ScrollResponse>;

    async fn upsert(&self, request: Request<UpsertRequest>) -> Result<Response<UpsertResponse>, Status> {
        let (around, mut message) = split(request);
        let name = std::mem::take(&mut message.collection);
        self.run(around, name, |collection| Ok(forms::upsert(message)?.on(collection)?.into())).await
    }

    async fn upsert_stream(
        &self,
        request: Request<Streaming<UpsertRequest>>,
    ) -> Result<Response<Self::UpsertStreamStream>, Status> {
        Ok(Response::new(streams::upserts(self.app.clone(), request)))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Record>, Status> {
        let (around, message) = split(request);
        let id = forms::id("id", message.id)?;
        let missing = || Problem::new(Refusal::NotFound, "there is no such record");
        let fetch = move |collection: &Collection| Ok(collection.get(id)?.ok_or_else(missing)?.into());
        self.run(around, message.collection, fetch).await
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let (around, mut message) = split(request);
        let (name, body) = (std::mem::take(&mut message.collection), forms::delete(message)?);
        self.app.owe(body.units())?;
        let delete = |collection: &Collection| {
            let done = body.on(collection)?;
            Ok(DeleteResponse { deleted: done.deleted, as_of: Some(done.as_of.into()) })
        };
        self.run(around, name, delete).await
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        let (around, mut message) = split(request);
        let (name, body) = (std::mem::take(&mut message.collection), forms::update(message)?);
        self.app.owe(body.units())?;
        let update = |collection: &Collection| {
            let done = body.on(collection)?;
            Ok(UpdateResponse { updated: done.updated, as_of: Some(done.as_of.into()) })
        };
        self.run(around, name, update).await
    }

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        let ((metadata, extensions), message) = split(request);
        let (body, tenant) = (forms::query(message.search)?, tenant(&self.app, metadata, &extensions)?);
        Ok(Response::new(body.run(&self.app, tenant, message.collection, Into::into).await?))
    }

    async fn search_batch(
        &self,
        request: Request<SearchBatchRequest>,
    ) -> Result<Response<SearchBatchResponse>, Status> {
        let (around, message) = split(request);
        let bodies = message.searches.into_iter().map(|search| forms::query(Some(search)));
        let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
        self.app.owe(bodies.iter().fold(0, |sum, body| sum.saturating_add(body.units())))?;
        let search = move |collection: &Collection| {
            let searches = bodies.iter().map(|body| body.on(collection)).collect::<Result<Vec<_>, _>>()?;
            let answers = collection.search_batch(searches)?.into_iter().map(Into::into).collect();
            Ok(SearchBatchResponse { answers })
        };
        self.run(around, message.collection, search).await
    }

    async fn scroll(&self, request: Request<ScrollRequest>) -> Result<Response<ScrollResponse>, Status> {
        let (around, mut message) = split(request);
        let (name, body) = (std::mem::take(&mut message.collection), forms::scroll(message)?);
        self.app.owe(body.units())?;
        self.run(around, name, |collection| Ok(body.on(collection)?.into())).await
    }

    async fn scroll_stream(
        &self,
        request: Request<ScrollRequest>,
    ) -> Result<Response<Self::ScrollStreamStream>, Status> {
        Ok(Response::new(streams::pages(self.app.clone(), request)))
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        let (around, mut message) = split(request);
        let (name, body) = (std::mem::take(&mut message.collection), forms::count(message)?);
        self.app.owe(body.units())?;
        self.run(around, name, |collection| Ok(body.on(collection)?.into())).await
    }
}
