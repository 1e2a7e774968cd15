//! TLS over loopback, with certificates that each test makes: who gets in, who does not, and what a change of files does.

#![allow(clippy::disallowed_methods, reason = "talks to the server over loopback")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use engine::{Database, RootKey};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::{App, ServeError, check_address, check_keys, serve};
use super::*;
use crate::config::Config;

/// Somebody who makes certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for localhost, and its key.
    fn issue(&self, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn server(&self) -> (String, String) {
        self.issue(ExtendedKeyUsagePurpose::ServerAuth)
    }
}

/// The files of a server, which a test replaces.
type Files = Arc<Mutex<(String, String, Option<String>)>>;

struct Running {
    address: SocketAddr,
    grpc: SocketAddr,
    files: Files,
    certificates: Arc<Certificates>,
    stop: Arc<Notify>,
    served: JoinHandle<Result<(), ServeError>>,
    _data: TempDir,
}

fn loaded(files: &Files, min: TlsVersion) -> Result<Certificates, TlsError> {
    let files = Arc::clone(files);
    let read = move || {
        let (chain, key, client_ca) = files.lock().clone();
        Ok(Pem { chain: chain.into(), key: Zeroizing::new(key.into()), client_ca: client_ca.map(String::into_bytes) })
    };
    Certificates::load(read, "chain.pem".into(), min)
}

impl Running {
    async fn new((chain, key): (String, String), client_ca: Option<String>, min: TlsVersion) -> Self {
        let data = tempfile::tempdir().unwrap();
        let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap();
        database.environment("default").unwrap();
        let mut config = Config::default();
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.server.grpc_listen = config.server.listen;
        config.server.head_seconds = 2;
        let files = Files::new(Mutex::new((chain, key, client_ca)));
        let certificates = Arc::new(loaded(&files, min).unwrap());
        let (told, address) = tokio::sync::oneshot::channel();
        let stop = Arc::new(Notify::new());
        let (stopped, app, shown) = (stop.clone(), App::new(database, config), Some(certificates.clone()));
        let served = tokio::spawn(async move {
            let stop = move || {
                let stopped = stopped.clone();
                async move { stopped.notified().await }
            };
            let grpc = axum::Router::new().route("/endless", axum::routing::get(endless));
            serve(app, grpc, shown, |address, grpc| told.send((address, grpc.unwrap())).unwrap(), stop).await
        });
        let (address, grpc) = address.await.unwrap();
        Self { address, grpc, files, certificates, stop, served, _data: data }
    }

    async fn dial(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        dial(self.address, config).await
    }
}

async fn dial(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];
const OLD: &[&SupportedProtocolVersion] = &[&version::TLS12];

/// A client that trusts `authority`, speaks these versions, and shows a certificate if it has one.
fn client(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<(String, String)>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates("chain", chain.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    }
}

/// An answer that goes on for as long as it is let.
async fn endless() -> axum::body::Body {
    let never = tonic::codegen::tokio_stream::pending::<Result<Bytes, io::Error>>();
    axum::body::Body::from_stream(never)
}

/// Asks whether the server lives; none if the connection ends instead. With TLS 1.3 a client learns only when it reads
/// that its certificate was refused.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"alive") {
        let mut some = [0; 1024];
        match stream.read(&mut some).await {
            Ok(read) if read > 0 => answer.extend_from_slice(&some[..read]),
            _ => return None,
        }
    }
    Some(String::from_utf8(answer).unwrap())
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The first certificate of a file that is out of its days is told of, whichever it is; the last second is still in them.
#[test]
fn a_certificate_is_told_of_outside_its_days_alone() {
    let issued = |since: i32, until: i32| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(since, 1, 1), rcgen::date_time_ymd(until, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    let ms = |time: &str| crate::json::millis(time).unwrap();
    let (early, late) = (issued(2010, 2020), issued(2015, 2030));
    let both = format!("{late}{early}");
    let over = |when: &str| Some(format!("expired at {when}"));
    let ahead = |when: &str| Some(format!("is not valid before {when}"));
    for (chain, now, told) in [
        (&early, "2009-12-31T23:59:59Z", ahead("2010-01-01T00:00:00.000Z")),
        (&early, "2010-01-01T00:00:00Z", None),
        (&early, "2020-01-01T00:00:00Z", None),
        (&early, "2020-01-01T00:00:01Z", over("2020-01-01T00:00:00.000Z")),
        (&both, "2016-01-01T00:00:00Z", None),
        (&both, "2025-01-01T00:00:00Z", over("2020-01-01T00:00:00.000Z")),
        (&both, "2012-01-01T00:00:00Z", ahead("2015-01-01T00:00:00.000Z")),
    ] {
        assert_eq!(untimely(chain.as_bytes(), ms(now)), told, "{now}");
    }
    let authority = Authority::new();
    let (issued, _) = authority.server();
    let chain = format!("{issued}{}", authority.pem);
    assert_eq!(untimely(chain.as_bytes(), ms("2026-01-01T00:00:00Z")), None, "an authority above it is no fault");
}

#[tokio::test]
async fn an_old_version_is_refused_unless_it_was_asked_for() {
    let authority = Authority::new();
    let strict = Running::new(authority.server(), None, TlsVersion::default()).await;
    assert!(strict.dial(client(&authority, OLD, None)).await.is_err());
    assert!(ask(&mut strict.dial(client(&authority, NEW, None)).await.unwrap()).await.is_some());
    let kind = Running::new(authority.server(), None, TlsVersion::V1_2).await;
    for versions in [OLD, NEW] {
        assert!(ask(&mut kind.dial(client(&authority, versions, None)).await.unwrap()).await.is_some());
    }
    assert!(strict.dial(client(&Authority::new(), NEW, None)).await.is_err(), "nor does a client trust just anybody");
}

#[tokio::test]
async fn a_client_must_show_a_certificate_of_the_right_authority() {
    let (authority, theirs, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let server = Running::new(authority.server(), Some(theirs.pem.clone()), TlsVersion::default()).await;
    let issued = |authority: &Authority| Some(authority.issue(ExtendedKeyUsagePurpose::ClientAuth));
    let wrong_purpose = Some(theirs.server());
    for (own, is_let_in) in [(issued(&theirs), true), (issued(&stranger), false), (None, false), (wrong_purpose, false)]
    {
        let answer = match server.dial(client(&authority, NEW, own)).await {
            Ok(mut stream) => ask(&mut stream).await,
            Err(_) => None,
        };
        assert_eq!(answer.is_some(), is_let_in);
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_and_no_connection_dropped() {
    let authority = Authority::new();
    let server = Running::new(authority.server(), None, TlsVersion::default()).await;
    let mut before = server.dial(client(&authority, NEW, None)).await.unwrap();
    assert!(ask(&mut before).await.is_some());
    assert!(!server.certificates.renew().unwrap(), "nothing changed");

    // Broken in each way that half-written files are: what is served stays, and the error shows nothing of them.
    let whole = authority.server();
    let (chain, key, _) = server.files.lock().clone();
    // A key that came before its certificate is told at once, and no wrong one is served.
    *server.files.lock() = (chain.clone(), whole.1.clone(), None);
    assert!(matches!(server.certificates.renew(), Err(TlsError::Mismatch(_))));
    let torn = whole.0[..whole.0.len() / 2].to_owned();
    for broken in [(whole.0.clone(), key), (torn, whole.1.clone()), (String::new(), whole.1.clone())] {
        *server.files.lock() = (broken.0, broken.1, None);
        let error = server.certificates.renew().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("BEGIN"));
        let now = server.dial(client(&authority, NEW, None)).await.unwrap();
        assert_eq!(shown(&now), shown(&before));
    }
    *server.files.lock() = (whole.0, whole.1, None);
    assert!(server.certificates.renew().unwrap());
    let mut after = server.dial(client(&authority, NEW, None)).await.unwrap();
    assert_ne!(shown(&after), shown(&before));
    assert_ne!(shown(&after), CertificateDer::from_pem_slice(chain.as_bytes()).unwrap().to_vec());
    assert!(ask(&mut before).await.is_some() && ask(&mut after).await.is_some(), "both connections go on");
}

#[tokio::test]
async fn who_was_let_in_by_an_authority_that_is_trusted_no_more_is_let_go() {
    let (authority, theirs, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = Running::new(authority.server(), Some(theirs.pem.clone()), TlsVersion::default()).await;
    let own = || Some(theirs.issue(ExtendedKeyUsagePurpose::ClientAuth));
    let mut before = server.dial(client(&authority, NEW, own())).await.unwrap();
    assert!(ask(&mut before).await.is_some());
    // Another certificate of the server's own changes nothing for its clients.
    let (chain, key) = authority.server();
    *server.files.lock() = (chain.clone(), key.clone(), Some(theirs.pem.clone()));
    assert!(server.certificates.renew().unwrap());
    assert!(ask(&mut before).await.is_some() && ask(&mut before).await.is_some());

    *server.files.lock() = (chain, key, Some(others.pem.clone()));
    assert!(server.certificates.renew().unwrap());
    let mut answers = 0;
    while answers < 5000 && ask(&mut before).await.is_some() {
        answers += 1;
    }
    assert!(answers <= 1, "a request that was under way may be answered, and no other: {answers}");
    let again = match server.dial(client(&authority, NEW, own())).await {
        Ok(mut stream) => ask(&mut stream).await,
        Err(_) => None,
    };
    assert!(again.is_none());
}

#[tokio::test]
async fn what_is_streamed_to_who_is_trusted_no_more_ends() {
    let (authority, theirs, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = Running::new(authority.server(), Some(theirs.pem.clone()), TlsVersion::default()).await;
    let mut own = client(&authority, NEW, Some(theirs.issue(ExtendedKeyUsagePurpose::ClientAuth)));
    own.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TokioIo::new(dial(server.grpc, own).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::builder().uri("https://localhost/endless").body(Empty::<Bytes>::new()).unwrap();
    let mut answer = sender.send_request(request).await.unwrap().into_body();
    let (chain, key) = authority.server();
    *server.files.lock() = (chain, key, Some(others.pem.clone()));
    assert!(server.certificates.renew().unwrap());
    // Long before anything else ends it.
    let frame = timeout(Duration::from_secs(60), answer.frame()).await.expect("it streams on and on");
    assert!(frame.is_none_or(|frame| frame.is_err()));
    timeout(Duration::from_secs(60), connection).await.expect("the connection stays").unwrap().ok();
}

#[tokio::test]
async fn a_signal_has_the_files_looked_at() {
    let authority = Authority::new();
    let server = Running::new(authority.server(), None, TlsVersion::default()).await;
    let before = shown(&server.dial(client(&authority, NEW, None)).await.unwrap());
    let (chain, key) = authority.server();
    *server.files.lock() = (chain, key, None);
    let (hang_up, looked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signal = {
        let (hang_up, looked) = (hang_up.clone(), looked.clone());
        move || {
            // Waiting for a signal means that what the last one asked for was done.
            looked.notify_one();
            let hang_up = hang_up.clone();
            async move { hang_up.notified().await }
        }
    };
    let watching = tokio::spawn(keep_fresh(server.certificates.clone(), Duration::from_secs(3600), signal));
    looked.notified().await;
    assert_eq!(shown(&server.dial(client(&authority, NEW, None)).await.unwrap()), before);
    hang_up.notify_one();
    looked.notified().await;
    assert_ne!(shown(&server.dial(client(&authority, NEW, None)).await.unwrap()), before);
    watching.abort();
}

#[tokio::test]
async fn plain_http_is_told_to_use_tls() {
    let authority = Authority::new();
    let server = Running::new(authority.server(), None, TlsVersion::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /v1/collections HTTP/1.1\r\nAuthorization: Bearer s3cr3t\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"wants_tls\""), "{answer}");
    assert!(answer.contains("application/problem+json") && !answer.contains("s3cr3t"), "{answer}");
    // Who sends nothing at all is let go after the time for a head.
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_connections() {
    let authority = Authority::new();
    let server = Running::new(authority.server(), None, TlsVersion::default()).await;
    let mut stream = server.dial(client(&authority, NEW, None)).await.unwrap();
    assert!(ask(&mut stream).await.is_some());
    server.stop.notify_one();
    server.served.await.unwrap().unwrap();
    assert!(ask(&mut stream).await.is_none());
}

#[test]
fn beyond_this_machine_everybody_shows_a_key() {
    let mut server = Config::default().server;
    server.listen = SocketAddr::from(([192, 0, 2, 1], 6333));
    assert!(matches!(check_address(server.listen), Err(ServeError::NotLoopback(_))));
    assert!(matches!(check_keys(&server, false), Err(ServeError::NoKeys(_))));
    assert!(check_keys(&server, true).is_ok());
    server.auth = true;
    assert!(check_keys(&server, false).is_ok());
    // The same for gRPC, unless it is switched off.
    server = Config::default().server;
    server.grpc_listen = SocketAddr::from(([192, 0, 2, 1], 6334));
    assert!(matches!(check_keys(&server, false), Err(ServeError::NoKeys(_))));
    server.grpc = false;
    assert!(check_keys(&server, false).is_ok());
}

#[test]
fn files_that_are_no_certificates_are_refused_at_the_start() {
    let authority = Authority::new();
    let (chain, key) = authority.server();
    let (_, other) = authority.server();
    let fails = |chain: &str, key: &str, client_ca: Option<&str>| {
        let files = Files::new(Mutex::new((chain.to_owned(), key.to_owned(), client_ca.map(str::to_owned))));
        loaded(&files, TlsVersion::default()).err().map(|error| error.to_string())
    };
    assert_eq!(fails(&chain, &key, None), None);
    assert_eq!(fails(&chain, &other, None).as_deref(), Some("tls.key is not the key of the certificate in tls.cert"));
    let should = |setting: &str, what: &str| Some(format!("the file that {setting} names should hold a {what} as PEM"));
    assert_eq!(fails(&key, &key, None), should("tls.cert", "certificate"));
    assert_eq!(fails(&chain, &chain, None), should("tls.key", "private key"));
    assert_eq!(fails(&chain, &key, Some("")), should("tls.client_ca", "certificate"));
}

#[tokio::test]
async fn grpc_shows_the_same_certificate_to_clients_of_the_same_authority_and_speaks_http_2() {
    let (authority, other) = (Authority::new(), Authority::new());
    let running = Running::new(authority.server(), Some(authority.pem.clone()), TlsVersion::V1_3).await;
    let own = || authority.issue(ExtendedKeyUsagePurpose::ClientAuth);
    let offering = |own, protocols: &[&str]| {
        let mut config = client(&authority, NEW, own);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    };
    let stream = dial(running.grpc, offering(Some(own()), &["http/1.1", "h2"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let rest = running.dial(offering(Some(own()), &["http/1.1", "h2"])).await.unwrap();
    assert_eq!((rest.get_ref().1.alpn_protocol(), shown(&rest)), (Some(&b"http/1.1"[..]), shown(&stream)));
    assert!(dial(running.grpc, offering(Some(own()), &["http/1.1"])).await.is_err(), "nothing else is spoken there");
    // With TLS 1.3 a client learns only when it reads that its certificate was refused.
    for own in [None, Some(other.issue(ExtendedKeyUsagePurpose::ClientAuth))] {
        let answered = match dial(running.grpc, offering(own, &["h2"])).await {
            Ok(mut stream) => stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0),
            Err(_) => false,
        };
        assert!(!answered, "a client of nobody was let in");
    }
    let mut plain = TcpStream::connect(running.grpc).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("wants_tls"), "plain text is told to use TLS");
}
