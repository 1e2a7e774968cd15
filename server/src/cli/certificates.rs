//! The files of a certificate: what `serve` proves itself with.
//!
//! Invariant: a key is held no longer than it takes to make it part of the server's TLS, and no error shows it.
#![expect(clippy::disallowed_methods, reason = "reads files that the user names")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::failure::Failure;
use crate::config::Tls;
use crate::rest::{Certificates, Pem, TlsError};

/// What the settings name, read and checked; none if they name no certificate.
pub fn of(settings: &Tls) -> Result<Option<Arc<Certificates>>, Failure> {
    let (cert, key) = match (&settings.cert, &settings.key) {
        (None, None) if settings.client_ca.is_none() => return Ok(None),
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        _ => return Err(Failure::Usage("tls.cert and tls.key belong together, and tls.client_ca needs both".into())),
    };
    let client_ca = settings.client_ca.clone();
    let read = move || {
        let client_ca = client_ca.as_deref().map(|path| bytes("tls.client_ca", path)).transpose()?;
        Ok(Pem { chain: bytes("tls.cert", &cert)?, key: Zeroizing::new(bytes("tls.key", &key)?), client_ca })
    };
    Ok(Some(Arc::new(Certificates::load(read, settings.min)?)))
}

fn bytes(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unread { setting, source })
}
