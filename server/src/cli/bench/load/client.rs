//! Who asks the server: as many connections as there are questions under way, up to a limit, each kept for the next one.
//!
//! Invariant: a question is sent again only where its connection turned out to be closed, which a server may do with one that
//! waits; every question can be answered twice.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use benches::Told;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::scene::{Question, Scene};

/// Connections of one client. More would not fit into the queue of a listener; who has none waits, which counts.
const CONNECTIONS_MAX: usize = 1000;
/// What is not answered by then never is.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

type Sender = SendRequest<Full<Bytes>>;
type Lost = Box<dyn std::error::Error + Send + Sync>;

/// A client of one environment; a cheap clone that shares its connections.
#[derive(Clone)]
pub struct Client {
    scene: Arc<Scene>,
    address: SocketAddr,
    environment: &'static str,
    idle: Arc<Mutex<Vec<Sender>>>,
    free: Arc<Semaphore>,
}

impl Client {
    /// Of the server at `address`, for this environment.
    pub fn new(scene: &Arc<Scene>, address: SocketAddr, environment: &'static str) -> Self {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { scene: Arc::clone(scene), address, environment, idle: Arc::default(), free }
    }

    /// Asks, and says what came of it. Must run inside a runtime of tokio.
    pub async fn ask(self, question: Question) -> Told {
        let Ok(_connection) = self.free.acquire().await else { return Told::Failed };
        loop {
            let idle = self.idle.lock().pop();
            let is_fresh = idle.is_none();
            match timeout(ANSWER_WITHIN, self.send(idle, &question)).await {
                Ok(Ok((status, body))) => return self.scene.judge(&question, status, &body),
                Ok(Err(_)) if !is_fresh => {}
                _ => return Told::Failed,
            }
        }
    }

    async fn send(&self, idle: Option<Sender>, question: &Question) -> Result<(u16, Bytes), Lost> {
        let mut sender = match idle {
            Some(sender) => sender,
            None => {
                let (sender, connection) = handshake(dial(self.address).await?).await?;
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await?;
        let request = Request::builder()
            .method(if question.is_upsert { Method::PUT } else { Method::POST })
            .uri(&question.path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .header("Lethe-Environment", self.environment)
            .body(Full::new(question.body.clone()))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        self.idle.lock().push(sender);
        Ok((status, body))
    }
}

/// A connection to the server, whatever is spoken on it.
///
/// # Errors
/// That there is none to be had.
pub async fn dial(address: SocketAddr) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
