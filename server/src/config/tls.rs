//! How the server proves who it is, and whether its clients must.
//!
//! Invariant: paths alone stand here; the files are read where the command line may touch files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// TLS: off without a certificate.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and those between it and the authority, as PEM.
    pub cert: Option<PathBuf>,
    /// The key of the certificate, as PEM, in a file that its owner alone may read; of one of root's, its group, too.
    pub key: Option<PathBuf>,
    /// Authorities whose certificates clients must show, as PEM; without it, clients need none.
    pub client_ca: Option<PathBuf>,
    /// Oldest version that is spoken.
    pub min: TlsVersion,
    /// How often the files are looked at for a newer certificate, in seconds.
    pub look_seconds: u64,
}

impl Default for Tls {
    fn default() -> Self {
        Self { cert: None, key: None, client_ca: None, min: TlsVersion::default(), look_seconds: 30 }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
pub enum TlsVersion {
    /// RFC 5246, for clients that know nothing newer.
    #[serde(rename = "1.2")]
    #[value(name = "1.2")]
    V1_2,
    /// RFC 8446.
    #[default]
    #[serde(rename = "1.3")]
    #[value(name = "1.3")]
    V1_3,
}
