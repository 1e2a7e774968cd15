//! The real `lethedb serve` as its operator meets it: files to deploy it with, certificates, the end, a flood, and a log
//! in which nobody's data is.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tests::server::{Installation, Server, signal};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lethedb");
/// So often is asked for what a signal brings about; it is there long before.
const TRIES: u32 = 100_000;
const SEARCH: &str = "/v1/collections/docs/search";

fn lethedb(data: &Path) -> Command {
    logging(data, Path::new("/dev/null"))
}

fn logging(data: &Path, log: &Path) -> Command {
    Installation::new(Path::new(PROGRAM), data.to_owned(), log.to_owned()).unwrap().command().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The words of the arguments that a file of `server/deploy` starts the server with.
fn arguments(file: &str) -> (Vec<String>, Vec<(String, String)>) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)).unwrap();
    let (mut words, mut settings) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("ExecStart=") {
            words.extend(command.split_whitespace().map(str::to_owned));
        } else if let Some(list) = line.strip_prefix("ENTRYPOINT ").or_else(|| line.strip_prefix("CMD ")) {
            words.extend(serde_json::from_str::<Vec<String>>(list).unwrap());
        } else if let Some(setting) = line.strip_prefix("Environment=").or_else(|| line.strip_prefix("ENV ")) {
            let (name, value) = setting.split_once('=').unwrap();
            settings.push((name.to_owned(), value.to_owned()));
        }
    }
    (words, settings)
}

#[test]
fn what_the_files_to_deploy_with_say_is_understood() {
    for file in ["lethedb.service", "Dockerfile"] {
        let (words, settings) = arguments(file);
        assert!(
            words.len() > 5 && words[0] == "/usr/bin/lethedb" && words.iter().any(|word| word == "serve"),
            "{words:?}"
        );
        let mut help = Command::new(PROGRAM);
        let help = help.args(&words[1..]).arg("--help").output().unwrap();
        assert!(help.status.success(), "{file}: {}", said(&help));
        // A flag that is none would have been told before the help.
        assert!(
            !Command::new(PROGRAM)
                .args(&words[1..])
                .args(["--no-such-flag", "--help"])
                .output()
                .unwrap()
                .status
                .success()
        );
        let dir = tempfile::tempdir().unwrap();
        let mut show = Command::new(PROGRAM);
        let show = show
            .current_dir(dir.path())
            .envs(settings.clone())
            .args(["--output", "json", "config", "show", "--origin"]);
        let shown = show.output().unwrap();
        assert!(shown.status.success(), "{file}: {}", said(&shown));
        let shown: Vec<Value> = serde_json::from_slice(&shown.stdout).unwrap();
        for (name, value) in settings {
            let from = format!("environment {name}");
            let setting = shown.iter().find(|setting| setting["origin"] == from.as_str()).unwrap();
            assert_eq!(setting["value"], value.as_str(), "{file}");
        }
    }
}

/// A certificate for localhost that is its own authority, and its key, written to `dir`.
fn certificate(dir: &Path) -> String {
    certificate_of(dir, [2000, 4000])
}

/// A certificate from the first of these years on until the second.
fn certificate_of(dir: &Path, [since, until]: [i32; 2]) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(since, 1, 1), rcgen::date_time_ymd(until, 1, 1));
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(dir.join("key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(dir.join("chain.pem"), &pem).unwrap();
    pem
}

#[test]
fn beyond_loopback_the_server_wants_tls_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name).display().to_string());
    let data = dir.path().join("data");
    // An address of documentation (RFC 5737): nothing here would listen on it even if it were let.
    let refused = |arguments: &[&str], code: i32, word: &str| {
        let mut command = lethedb(&data);
        let output = command.args(["serve"]).args(arguments).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    };
    let tls = ["--tls-cert", &*chain, "--tls-key", &*key];
    refused(&["--listen", "192.0.2.1:1"], 1, "without TLS and keys");
    refused(&["--listen", "192.0.2.1:1", "--auth"], 1, "without TLS and keys");
    refused(&[&["--listen", "192.0.2.1:1"], &tls[..]].concat(), 1, "nobody is asked for a key");
    refused(&[&["--listen", "192.0.2.1:1", "--auth"], &tls[..]].concat(), 1, "cannot listen on");
    refused(&["--tls-cert", &chain], 2, "belong together");
    refused(&["--tls-cert", &chain, "--tls-key", "absent.pem"], 1, "tls.key");
    refused(&["--tls-cert", &key, "--tls-key", &key], 1, "tls.cert");
    refused(&["--tls-min", "1.1"], 2, "1.1");
    // Those of root a group may read.
    let is_roots = fs::metadata(&key).unwrap().uid() == 0;
    for mode in [0o604, 0o620, if is_roots { 0o660 } else { 0o640 }] {
        fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        refused(&tls, 1, &format!("chmod 600 {key}"));
    }
}

/// It may be the clock that is wrong.
#[test]
fn a_certificate_out_of_its_days_is_served_and_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    certificate_of(dir.path(), [2000, 2001]);
    let (file, log) = (dir.path().join("chain.pem"), dir.path().join("log"));
    let mut command = logging(&dir.path().join("data"), &log);
    command.env("LETHEDB__TLS__CERT", &file).env("LETHEDB__TLS__KEY", dir.path().join("key.pem"));
    let server = Server::start(&mut command).unwrap();
    let answers = || server.send("GET", "/livez", "", b"").unwrap().2.contains("wants_tls");
    let told = |what: &str| {
        let log = fs::read_to_string(&log).unwrap();
        let of = |line: &&str| line.contains("WARN") && line.contains(file.to_str().unwrap()) && line.contains(what);
        log.lines().filter(of).count()
    };
    assert!(answers());
    assert_eq!(told("expired at 2001-01-01T00:00:00.000Z"), 1);
    certificate_of(dir.path(), [3000, 3001]);
    let asks = || {
        signal(&server.child, Signal::HUP).unwrap();
        answers()
    };
    assert!((0..TRIES).any(|_| asks() && told("not valid before 3000-01-01T00:00:00.000Z") > 0));
    // Looked at over and over, and told of no more.
    assert!((0..100).all(|_| asks()));
    assert_eq!((told("expired at"), told("not valid before")), (1, 1));
}

/// Asks over TLS whether the server lives; gives the certificate that it showed.
fn shown(address: &str, trusted: &[&String]) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    for pem in trusted {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address).ok()?);
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    _ = stream.read_to_string(&mut answer);
    assert!(answer.ends_with("alive"), "{answer}");
    Some(stream.conn.peer_certificates()?[0].to_vec())
}

#[test]
fn a_hang_up_brings_the_new_certificate_into_the_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let old = certificate(dir.path());
    let mut command = lethedb(&dir.path().join("data"));
    command
        .env("LETHEDB__TLS__CERT", dir.path().join("chain.pem"))
        .env("LETHEDB__TLS__KEY", dir.path().join("key.pem"));
    let server = Server::start(&mut command).unwrap();
    let before = shown(server.address(), &[&old]).unwrap();
    let new = certificate(dir.path());
    signal(&server.child, Signal::HUP).unwrap();
    // It is served as soon as the signal was seen; until then the old one is, and no connection fails.
    assert!((0..TRIES).any(|_| shown(server.address(), &[&old, &new]).unwrap() != before));
    let (status, _, body) = server.send("GET", "/livez", "", b"").unwrap();
    assert!(status == 400 && body.contains("wants_tls"), "{status} {body}");
}

#[test]
fn a_server_that_is_told_to_stop_finishes_what_runs_and_wants_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(lethedb(dir.path()).env("LETHEDB__SERVER__UNREADY_SECONDS", "3600")).unwrap();
    server.ok("PUT", "/v1/collections/docs", &json!({ "dimension": 2, "metric": "l2" })).unwrap();
    assert_eq!(server.json("GET", "/readyz", &Value::Null).unwrap().0, 200);
    let mut slow = TcpStream::connect(server.address()).unwrap();
    let body = r#"{"records": [{"id": 1, "vector": [1, 2]}]}"#;
    let head = "PUT /v1/collections/docs/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    write!(slow, "{head}\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..9]).unwrap();
    // Without a certificate there is nothing to read again, and no reason to end.
    signal(&server.child, Signal::HUP).unwrap();
    signal(&server.child, Signal::TERM).unwrap();
    // It goes on answering, and says that it is not ready, until what spreads the load has noticed.
    assert!((0..TRIES).any(|_| server.json("GET", "/readyz", &Value::Null).unwrap().0 == 503));
    assert_eq!(server.json("GET", "/livez", &Value::Null).map(|(status, _)| status), None, "no JSON");
    assert_eq!(server.send("GET", "/livez", "", b"").unwrap().0, 200);
    slow.write_all(&body.as_bytes()[9..]).unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    signal(&server.child, Signal::TERM).unwrap();
    assert!(!server.child.wait().unwrap().success(), "a second signal ends at once, and says so");
    let again = Server::start(&mut lethedb(dir.path())).unwrap();
    assert_eq!(again.json("GET", "/v1/collections/docs/records/1", &Value::Null).unwrap().0, 200);
}

/// Ends a flood, also where what it is beside fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_is_refused_and_costs_its_neighbour_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = lethedb(dir.path());
    for (name, value) in [
        ("SERVER__SEARCHES_MAX", "2"),
        ("LIMITS__WAITING_MAX", "6"),
        ("LIMITS__ENVIRONMENT_UNITS", "60"),
        ("LIMITS__BURST_SECONDS", "10"),
        ("SERVER__WAIT_SECONDS", "60"),
    ] {
        command.env(format!("LETHEDB__{name}"), value);
    }
    let server = Server::start(&mut command).unwrap();
    for (environment, id) in [("loud", 1), ("calm", 2)] {
        let headers = format!("Content-Type: application/json\r\nLethe-Environment: {environment}\r\n");
        let send = |path: &str, body: Value| server.send("PUT", path, &headers, body.to_string().as_bytes()).unwrap().0;
        assert_eq!(send("/v1/collections/docs", json!({ "dimension": 2, "metric": "l2" })), 201);
        let records: Vec<_> = (0..40).map(|n| json!({ "id": n * 10 + id, "vector": [n, 0] })).collect();
        assert_eq!(send("/v1/collections/docs/records", json!({ "records": records })), 200);
    }
    // Asks for the record at `n`, and checks the answer if there is one.
    let ask = |environment: &str, id: u64, n: u64| {
        let headers = format!("Content-Type: application/json\r\nLethe-Environment: {environment}\r\n");
        let body = json!({ "vector": [n, 0], "limit": 1 }).to_string();
        let (status, head, body) = server.send("POST", SEARCH, &headers, body.as_bytes()).unwrap();
        match status {
            200 => {
                let found: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(found["hits"][0]["id"], n * 10 + id, "an answer of another, or a wrong one: {body}");
            }
            429 | 503 => assert!(head.contains("retry-after: "), "{head}"),
            _ => panic!("{status} {body}"),
        }
        status
    };
    let (over, served, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    const CALM: u64 = 300;
    thread::scope(|scope| {
        for thread in 0..12 {
            let (ask, over, served, refused) = (&ask, &over, &served, &refused);
            scope.spawn(move || {
                for n in 0.. {
                    let told = if ask("loud", 1, (thread + n) % 40) == 200 { served } else { refused };
                    told.fetch_add(1, Ordering::Relaxed);
                    let asked = served.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed);
                    if over.load(Ordering::Relaxed) && asked > 10 * CALM {
                        return;
                    }
                }
            });
        }
        let _over = Over(&over);
        for n in 0..CALM {
            assert_eq!(ask("calm", 2, n % 40), 200, "the {n}th of the calm one was refused");
        }
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    assert!(served >= 100 && refused >= CALM, "{served} of the flood were served, {refused} refused");
    let counts = server.send("GET", "/metrics", "", b"").unwrap().2;
    assert!(counts.contains("lethedb_problems_total{code=\"rate_limited\"}"), "{counts}");
    assert!(!counts.contains("loud") && !counts.contains("calm"), "{counts}");
}

/// How long the end of a server waits for a collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Takes one batch of spans in; gives what came, head and body, unless the server ended before it sent one.
fn batch(listener: &TcpListener, server: &mut Server) -> Option<Vec<u8>> {
    listener.set_nonblocking(true).unwrap();
    loop {
        let has_ended = server.child.try_wait().unwrap().is_some();
        match listener.accept() {
            // One that broke off may be of a server before.
            Ok((stream, _)) => match taken(stream) {
                Some(batch) => return Some(batch),
                None => continue,
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock && !has_ended => thread::yield_now(),
            Err(_) => return None,
        }
    }
}

/// What is sent on a connection, which is then answered; none if it breaks off.
fn taken(mut stream: TcpStream) -> Option<Vec<u8>> {
    stream.set_nonblocking(false).ok()?;
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    let whole = |all: &[u8]| {
        let head = all.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&all[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse::<usize>().ok()?;
        Some(head + length)
    };
    while whole(&all).is_none_or(|whole| all.len() < whole) {
        let read = stream.read(&mut some).ok().filter(|read| *read > 0)?;
        all.extend_from_slice(&some[..read]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    Some(all)
}

#[test]
fn the_last_spans_are_sent_at_the_end_and_what_lets_them_in_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (headers, log, data) = (dir.path().join("headers"), dir.path().join("log"), dir.path().join("data"));
    fs::write(&headers, "Authorization: Bearer s3cr3t\n").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let traced = |command: &mut Command| {
        command.env("LETHEDB__TELEMETRY__OTLP_ENDPOINT", &endpoint);
        command.env("LETHEDB__TELEMETRY__OTLP_HEADERS_FILE", &headers).env("RUST_LOG", "trace");
    };
    let mut show = logging(&data, &log);
    traced(&mut show);
    let shown = show.args(["config", "show", "--origin"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("telemetry.otlp_headers_file") && shown.contains(&endpoint), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    let batch = loop {
        let mut command = logging(&data, &log);
        traced(&mut command);
        let mut server = Server::start(&mut command).unwrap();
        assert_eq!(server.send("GET", "/livez", "X-Request-Id: the-last\r\n", b"").unwrap().0, 200);
        let told = Instant::now();
        signal(&server.child, Signal::TERM).unwrap();
        let batch = batch(&listener, &mut server);
        assert!(server.child.wait().unwrap().success());
        match batch {
            Some(batch) => break batch,
            // On a machine that stalls for as long as the end waits for a collector they are lost, as they may be.
            None => assert!(told.elapsed() >= LAST_SPANS, "there was time to send them"),
        }
    };
    let sent = String::from_utf8_lossy(&batch);
    assert!(sent.contains("the-last") && sent.contains("Bearer s3cr3t"), "{sent}");
    let logged = fs::read_to_string(&log).unwrap();
    assert!(!logged.contains("s3cr3t"), "{logged}");
    // A line that is no header is told by its number.
    fs::write(&headers, "# the key\ns3cr3t\n").unwrap();
    let mut command = logging(&data, &log);
    traced(&mut command);
    let refused = command.arg("serve").stderr(Stdio::piped()).output().unwrap();
    assert!(refused.status.code() == Some(2) && said(&refused).contains("line 2"), "{}", said(&refused));
    assert!(!said(&refused).contains("s3cr3t"), "{}", said(&refused));
}
