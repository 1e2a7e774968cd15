//! `lethedb keys unseal --server`: one share for the server that has no root key yet.
//!
//! Invariant: a share goes to a loopback address, or over TLS to who shows a certificate of the authorities that the command
//! names; over one connection that is closed after it, and it is no argument. It is checked before it is sent, so that what
//! is mistyped costs no attempt.
#![expect(clippy::disallowed_methods, reason = "the one command that speaks to a server, and reads who vouches for it")]

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use engine::Share;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::context::Context;
use super::failure::Failure;

const PATH: &str = "/v1/admin/keys/unseal";
/// A server that opens a large database takes its time.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
/// An answer is far shorter.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What is typed or piped in as a share is far shorter, too.
const INPUT_BYTES_MAX: u64 = 4 << 10;

/// The port that is spoken to unless a URL names another.
const PORT: u16 = 6333;

/// Who the shares are for.
pub struct Server {
    host: String,
    address: SocketAddr,
    /// How to know it, unless it is on this machine.
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

impl Server {
    /// The server at this URL, which these authorities vouch for; without a URL, the one on this machine at `listen`.
    ///
    /// # Errors
    /// A URL that is none, or is not over TLS and leads away from this machine; authorities that cannot be read.
    pub fn named(url: Option<&str>, ca: Option<&Path>, listen: SocketAddr) -> Result<Self, Failure> {
        let Some(url) = url else {
            only_here(listen)?;
            return Ok(Self { host: listen.to_string(), address: listen, tls: None });
        };
        let wrong = |what: &str| Failure::Usage(format!("--server: {what}"));
        let uri: Uri = url.parse().map_err(|_| wrong("a URL such as https://db.internal:6333 is due"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("a URL such as https://db.internal:6333 is due"));
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong("the URL has a scheme, a host and a port, and nothing else"));
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let found = (name.as_str(), authority.port_u16().unwrap_or(PORT)).to_socket_addrs();
        let unknown = |error| Failure::Io("the host of --server cannot be found", error);
        let address = found.map_err(unknown)?.next().ok_or_else(|| wrong("the host has no address"))?;
        let tls = match (scheme, ca) {
            ("https", Some(ca)) => {
                let expected =
                    ServerName::try_from(name).map_err(|_| wrong("the host is no name that a certificate has"))?;
                Some((expected, trusting(ca)?))
            }
            ("https", None) => return Err(wrong("--ca is due, or anybody could take the share")),
            ("http", None) => {
                only_here(address)?;
                None
            }
            _ => return Err(wrong("https is due, or http without --ca on this machine")),
        };
        Ok(Self { host: authority.to_string(), address, tls })
    }

    /// Sends `body` and reads the answer.
    fn post(&self, body: &str) -> Result<Value, Failure> {
        let failed = |error| Failure::Io("the server cannot be reached, or is not who it should be", error);
        let stream = TcpStream::connect(self.address).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
        let mut answer = match &self.tls {
            None => exchange(stream, &self.host, body),
            Some((name, config)) => ClientConnection::new(Arc::clone(config), name.clone())
                .map_err(io::Error::other)
                .and_then(|session| exchange(StreamOwned::new(session, stream), &self.host, body)),
        }
        .map_err(failed)?;
        let told = parse(&answer);
        answer.zeroize();
        told
    }
}

/// A share goes no further than this machine without TLS.
fn only_here(address: SocketAddr) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let wrong =
        format!("--server: {address} is not on this machine: name it by https://, and who vouches for it by --ca");
    Err(Failure::Usage(wrong))
}

/// What believes the authorities in a file, and nobody else.
fn trusting(ca: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let file = || ca.display().to_string();
    let wrong = |what: String| Failure::Usage(format!("--ca {}: {what}", file()));
    let text = fs::read(ca).map_err(|source| Failure::File { file: file(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Gives these shares to the server, or one that is read where there are none, and tells how far the unsealing is.
pub fn unseal(context: &Context, server: &Server, mut shares: Vec<Share>, resets: bool) -> Result<(), Failure> {
    if shares.is_empty() && !resets {
        shares.push(read()?);
    }
    let mut answer = if resets { server.post(&request(None, true))? } else { Value::Null };
    for share in &shares {
        answer = server.post(&request(Some(share), false))?;
    }
    let number = |member: &str| answer[member].as_u64().unwrap_or_default();
    let told = match (answer["sealed"].as_bool(), number("needed")) {
        (Some(false), _) => "The server is unsealed.".to_owned(),
        (_, 0) => "The server is sealed and has no shares.".to_owned(),
        (_, needed) if answer["given_before"] == true => {
            format!("This share was given already; {} of {needed} are there.", number("given"))
        }
        (_, needed) => format!("The server is sealed: {} of {needed} shares are there.", number("given")),
    };
    context.terminal.show(&answer, told)
}

/// The share that is typed, without showing it, or that is piped in.
fn read() -> Result<Share, Failure> {
    let failed = |error| Failure::Io("the share cannot be read", error);
    let text = if io::stdin().is_terminal() {
        Zeroizing::new(rpassword::prompt_password("Share: ").map_err(failed)?)
    } else {
        // Room from the start, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(INPUT_BYTES_MAX as usize));
        io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        text
    };
    Share::parse(&text).map_err(|error| Failure::Usage(error.to_string()))
}

/// The body of a request. A share has no character that JSON would escape.
fn request(share: Option<&Share>, resets: bool) -> Zeroizing<String> {
    match share {
        Some(share) => {
            let text = share.format();
            let mut body = Zeroizing::new(String::with_capacity(text.len() + 16));
            body.push_str("{\"share\":\"");
            body.push_str(&text);
            body.push_str("\"}");
            body
        }
        None => Zeroizing::new(json!({ "reset": resets }).to_string()),
    }
}

/// Sends `body` over an open connection and reads what comes back.
fn exchange(mut stream: impl Read + Write, host: &str, body: &str) -> io::Result<String> {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The JSON of an answer, if it is one of success.
fn parse(answer: &str) -> Result<Value, Failure> {
    let strange = || Failure::Usage("what listens there does not answer as a lethedb server does".into());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(strange)?;
    let value: Value = serde_json::from_str(body).map_err(|_| strange())?;
    match status {
        200 => Ok(value),
        _ => Err(Failure::Refused(value["detail"].as_str().ok_or_else(strange)?.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_goes_nowhere_in_the_clear_and_to_nobody_unknown() {
        let here = SocketAddr::from(([127, 0, 0, 1], 6333));
        let refused = |url: &str, ca: Option<&str>| Server::named(Some(url), ca.map(Path::new), here).is_err();
        for url in ["https://127.0.0.1", "http://10.0.0.1:6333", "ftp://127.0.0.1", "127.0.0.1:6333", "", "https://"] {
            assert!(refused(url, None), "{url}");
        }
        for url in ["http://127.0.0.1/x", "http://127.0.0.1?a", "http://me@127.0.0.1"] {
            assert!(refused(url, None), "{url}");
        }
        assert!(refused("https://127.0.0.1", Some("Cargo.toml")), "no certificate in it");
        assert!(!refused("http://127.0.0.1:1", None));
        assert!(Server::named(None, None, SocketAddr::from(([10, 0, 0, 1], 1))).is_err());
    }

    #[test]
    fn answers_are_told_from_refusals_and_from_strangers() {
        let answer = |status: &str, body: &str| parse(&format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}"));
        assert_eq!(answer("200 OK", "{\"given\": 1}").unwrap()["given"], 1);
        let refused = answer("409 Conflict", "{\"detail\": \"of another set\"}").unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.exit_code()), ("of another set", 1));
        for strange in [answer("200 OK", "<html>"), answer("404 Not Found", "{}"), parse("SSH-2.0"), parse("")] {
            assert!(matches!(strange, Err(Failure::Usage(_))));
        }
    }
}
