//! Who asks the server over gRPC: as over REST, a connection for each question under way, kept for the next one, so that both
//! faces are asked alike.
//!
//! Invariant: a right answer to a search has, bit for bit, the hits that the engine of this process finds.

use std::net::SocketAddr;
use std::time::Duration;

use benches::Told;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost_reflect::prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::super::failure::Failure;
use super::scene::{QUERIES, SEARCHED, Scene, WRITTEN};
use crate::grpc::proto::{
    Hit, NewRecord, Query, RecordId, SearchRequest, SearchResponse, UpsertRequest, UpsertResponse, record_id,
};

/// What is not answered by then never is.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// What stands before a message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

type Sender = SendRequest<Full<Bytes>>;
type Lost = Box<dyn std::error::Error + Send + Sync>;

/// A client of one environment.
pub struct Calling<'a> {
    scene: &'a Scene,
    address: SocketAddr,
    environment: &'static str,
    /// Every search, and its hits.
    searches: Vec<(Bytes, Vec<Hit>)>,
    idle: Mutex<Vec<Sender>>,
}

impl<'a> Calling<'a> {
    /// Of the server at `address`, for this environment.
    ///
    /// # Errors
    /// Those of the searches, which are made here first.
    pub fn new(scene: &'a Scene, address: SocketAddr, environment: &'static str) -> Result<Self, Failure> {
        let search = |number: usize| {
            let query = Query {
                vector: scene.query(number).to_vec(),
                limit: Some(scene.size.k as u64),
                ef: Some(scene.size.ef as u64),
                with_payload: Some(false),
                ..Query::default()
            };
            let request = SearchRequest { collection: SEARCHED.to_owned(), search: Some(query) };
            Ok((framed(&request), SearchResponse::from(scene.hits(number)?).hits))
        };
        let searches = (0..QUERIES).map(search).collect::<Result<_, Failure>>()?;
        Ok(Self { scene, address, environment, searches, idle: Mutex::default() })
    }

    /// The search of this number. Must run inside a runtime of tokio, as all of them.
    pub async fn search(&self, number: u64) -> Told {
        let (request, hits) = &self.searches[number as usize % QUERIES];
        let is_right = |found: &SearchResponse| found.hits == *hits;
        self.ask("/lethedb.v1.Records/Search", request.clone(), is_right).await
    }

    /// Storing the record of this number.
    pub async fn upsert(&self, number: u64) -> Told {
        let id = Some(RecordId { id: Some(record_id::Id::Number(number)) });
        let record = NewRecord { id, vector: self.scene.query(number as usize).to_vec(), ..NewRecord::default() };
        let request = UpsertRequest { collection: WRITTEN.to_owned(), records: vec![record], all_or_nothing: None };
        let is_right = |stored: &UpsertResponse| stored.upserted == 1;
        self.ask("/lethedb.v1.Records/Upsert", framed(&request), is_right).await
    }

    async fn ask<A: Message + Default>(&self, path: &str, request: Bytes, is_right: impl FnOnce(&A) -> bool) -> Told {
        let Ok(Ok((code, message))) = timeout(ANSWER_WITHIN, self.send(path, request)).await else {
            return Told::Failed;
        };
        match (code.as_str(), message.get(FRAME_BYTES..).map(A::decode)) {
            ("0", Some(Ok(answer))) if is_right(&answer) => Told::Right,
            ("0", _) => Told::Wrong,
            ("8", _) => Told::Limited,
            ("14", _) => Told::Overloaded,
            _ => Told::Failed,
        }
    }

    /// A connection that takes a call; the server may have ended those that waited.
    async fn connection(&self) -> Result<Sender, Lost> {
        let idle = self.idle.lock().pop();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.ready().await?;
        Ok(sender)
    }

    /// The code that the call ended with, and its answer.
    async fn send(&self, path: &str, request: Bytes) -> Result<(String, Bytes), Lost> {
        let mut sender = self.connection().await?;
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("lethe-environment", self.environment)
            .body(Full::new(request))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let answer = body.collect().await?;
        // What is refused at once has its code in the head.
        let code = answer.trailers().unwrap_or(&head.headers).get("grpc-status");
        let code = code.and_then(|code| code.to_str().ok()).unwrap_or_default().to_owned();
        self.idle.lock().push(sender);
        Ok((code, answer.to_bytes()))
    }
}

/// A message as it is sent.
fn framed(message: &impl Message) -> Bytes {
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message.encode_to_vec()].concat().into()
}
