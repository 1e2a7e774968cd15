//! The files of a certificate: what `serve` proves itself with.
//!
//! Invariant: a key is held no longer than it takes to make it part of the server's TLS, no error shows it, and it is taken
//! from no file that anybody may read.
#![expect(clippy::disallowed_methods, reason = "reads files that the user names")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
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
    let (client_ca, file) = (settings.client_ca.clone(), cert.clone());
    let read = move || {
        let client_ca = client_ca.as_deref().map(|path| bytes("tls.client_ca", path)).transpose()?;
        Ok(Pem { chain: bytes("tls.cert", &cert)?, key: private(&key)?, client_ca })
    };
    Ok(Some(Arc::new(Certificates::load(read, file, settings.min)?)))
}

/// What the file of the key holds. Where root owns it, as root does what is handed to services in groups and by access lists
/// (whose mask shows as rights of the group), the group may read it; PostgreSQL draws the same line.
fn private(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unread = |source: io::Error| TlsError::Unread { setting: "tls.key", source };
    let mut file = File::open(path).map_err(unread)?;
    let found = file.metadata().map_err(unread)?;
    let others = if found.uid() == 0 { 0o027 } else { 0o077 };
    if found.mode() & others != 0 {
        return Err(TlsError::NotPrivate(path.to_owned()));
    }
    // Room from the start, so that growing leaves no copy behind.
    let mut key =
        Zeroizing::new(Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default().saturating_add(1)));
    file.read_to_end(&mut key).map_err(unread)?;
    Ok(key)
}

fn bytes(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unread { setting, source })
}
