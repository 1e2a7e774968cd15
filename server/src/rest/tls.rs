//! TLS: the certificate that is shown, and another one in its place without a restart.
//!
//! Invariant: what is served is always a certificate that was whole and fits its key; one that is broken changes nothing
//! but the log. A connection keeps what it began with, unless the authorities of clients change: then it is told, since a
//! client of one that was removed would otherwise stay for as long as it likes. Version 1.2 is spoken only if it was asked
//! for.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{Clock, SystemClock};
use parking_lot::{Mutex, RwLock};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::error::{Problem, Refusal};
use crate::config::TlsVersion;
use crate::json::rfc3339;

/// The first byte of a TLS record that begins a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// The files of a certificate, as text.
pub struct Pem {
    /// The server's certificate and those above it.
    pub chain: Vec<u8>,
    /// Its key.
    pub key: Zeroizing<Vec<u8>>,
    /// Whose certificates clients must show.
    pub client_ca: Option<Vec<u8>>,
}

/// Why there is no TLS. Holds nothing of the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file that {setting} names cannot be read")]
    Unread {
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Others than its owner may read or write the key; or than its group may read it, if root owns it.
    #[error("the file that tls.key names must be its owner's only, or root's and for a group to read: chmod 600 {}", .0.display())]
    NotPrivate(PathBuf),
    /// A file is not PEM, or holds nothing of what it is for.
    #[error("the file that {0} names should hold a {1} as PEM")]
    NotPem(&'static str, &'static str, #[source] pem::Error),
    /// The key is another's.
    #[error("tls.key is not the key of the certificate in tls.cert")]
    Mismatch(#[source] rustls::Error),
    /// The certificate cannot be used.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
    /// The authorities cannot be used.
    #[error("tls.client_ca holds no authority that can be used")]
    Authorities(#[from] VerifierBuilderError),
}

type Read = Box<dyn Fn() -> Result<Pem, TlsError> + Send + Sync>;

/// Where the certificate comes from, and the one that is served.
pub struct Certificates {
    read: Read,
    min: TlsVersion,
    served: RwLock<Served>,
    /// The file of the server's certificate, as the log names it.
    file: PathBuf,
    /// What the log was last told of the days of the certificate.
    told: Mutex<Option<String>>,
    /// Told whenever other authorities of clients are trusted, while `served` is held.
    distrusting: watch::Sender<()>,
}

struct Served {
    config: Arc<ServerConfig>,
    /// The same for gRPC, which is spoken over HTTP/2 alone.
    http2: Arc<ServerConfig>,
    /// What is public of the files, to see whether they changed.
    public: (Vec<u8>, Option<Vec<u8>>),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::Mismatch(error),
            _ => Self::Unusable(error),
        }
    }
}

impl Certificates {
    /// What `read` gives, whose certificate is that of `file`, with nothing older than `min` spoken.
    ///
    /// # Errors
    /// Whatever is wrong with the files: a server does not start without a certificate that it was told to show.
    pub fn load(
        read: impl Fn() -> Result<Pem, TlsError> + Send + Sync + 'static,
        file: PathBuf,
        min: TlsVersion,
    ) -> Result<Self, TlsError> {
        let (served, told) = (RwLock::new(Served::of(read()?, min)?), Mutex::default());
        let loaded = Self { read: Box::new(read), min, served, file, told, distrusting: watch::Sender::new(()) };
        loaded.tell_days();
        Ok(loaded)
    }

    /// Shakes hands with the certificate of this moment, and what is told once its authorities are trusted no more.
    pub fn acceptor(&self) -> (TlsAcceptor, watch::Receiver<()>) {
        let served = self.served.read();
        (Arc::clone(&served.config).into(), self.distrusting.subscribe())
    }

    /// The same, for HTTP/2.
    pub fn http2_acceptor(&self) -> (TlsAcceptor, watch::Receiver<()>) {
        let served = self.served.read();
        (Arc::clone(&served.http2).into(), self.distrusting.subscribe())
    }

    /// Takes what the files hold now, and says whether that is another certificate.
    ///
    /// # Errors
    /// What is wrong with the files; then the one that is served stays.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let pem = (self.read)()?;
        let (is_same, trusts_same) = {
            let (chain, client_ca) = &self.served.read().public;
            (*chain == pem.chain && *client_ca == pem.client_ca, *client_ca == pem.client_ca)
        };
        // Even where the certificate is the same: a key that does not fit it any more is told now, not at the next start.
        let renewed = Served::of(pem, self.min)?;
        if !is_same {
            let mut served = self.served.write();
            *served = renewed;
            if !trusts_same {
                self.distrusting.send_replace(());
            }
        }
        self.tell_days();
        Ok(!is_same)
    }

    /// Warns of a certificate whose days are over or not there yet, once. It is served all the same: it may be the clock
    /// that is wrong.
    fn tell_days(&self) {
        let days = untimely(&self.served.read().public.0, SystemClock.now_ms());
        let mut told = self.told.lock();
        if let Some(days) = days.as_ref().filter(|days| told.as_ref() != Some(days)) {
            let file = self.file.display();
            tracing::warn!(%file, "the certificate in the file that tls.cert names {days}; it is served, and clients refuse it");
        }
        *told = days;
    }
}

/// Looks at the files `every` so often, and when `hang_up` is ready, for as long as it is polled.
pub async fn keep_fresh<Signal: Future<Output = ()>>(
    certificates: Arc<Certificates>,
    every: Duration,
    hang_up: impl Fn() -> Signal,
) {
    loop {
        tokio::select! {
            () = sleep(every) => {}
            () = hang_up() => {}
        }
        match certificates.renew() {
            Ok(true) => tracing::info!(
                "other certificates are in force for new connections; if other clients are trusted, those before are let go"
            ),
            Ok(false) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "the new certificate is not taken; the one before is served on");
            }
        }
    }
}

impl Served {
    fn of(pem: Pem, min: TlsVersion) -> Result<Self, TlsError> {
        const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
        let versions = match min {
            TlsVersion::V1_2 => BOTH,
            TlsVersion::V1_3 => &BOTH[..1],
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let builder = match &pem.client_ca {
            None => builder.with_no_client_auth(),
            Some(text) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("tls.client_ca", text)? {
                    roots.add(authority)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates("tls.cert", &pem.chain)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|error| TlsError::NotPem("tls.key", "private key", error))?;
        let mut config = builder.with_single_cert(chain, key)?;
        let mut http2 = config.clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), http2: Arc::new(http2), public: (pem.chain, pem.client_ca) })
    }
}

/// What files of certificates are for.
const CERTIFICATE: &str = "certificate";

fn certificates(setting: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError::NotPem(setting, CERTIFICATE, pem::Error::NoItemsFound))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::NotPem(setting, CERTIFICATE, error)),
    }
}

/// What is wrong with the days of these certificates at this time, if anything.
fn untimely(chain: &[u8], now_ms: u64) -> Option<String> {
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
    // The days are looked at before anything else, so nobody has to be trusted.
    let days = |certificate: CertificateDer<'static>| {
        let parsed = ParsedCertificate::try_from(&certificate).ok()?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], now, &[]) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                Some(format!("expired at {}", rfc3339(not_after.as_secs().saturating_mul(1000))))
            }
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                Some(format!("is not valid before {}", rfc3339(not_before.as_secs().saturating_mul(1000))))
            }
            _ => None,
        }
    };
    certificates("tls.cert", chain).ok()?.into_iter().find_map(days)
}

/// Whether a client began with plain text instead of a handshake; then it was told to use TLS.
///
/// # Errors
/// Those of the connection.
pub async fn refuse_plain(stream: &mut TcpStream) -> io::Result<bool> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || first[0] == HANDSHAKE {
        return Ok(false);
    }
    let problem = Problem::new(Refusal::WantsTls, "ask with https:// instead of http://");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // What was sent is read first, since closing over unread bytes would take the answer back.
    _ = stream.try_read(&mut [0; 4096]);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
