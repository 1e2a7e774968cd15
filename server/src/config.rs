//! Where settings come from: flag over `LETHEDB__SECTION__KEY` over file over default.
//!
//! Invariant: an unknown section or key is an error, never ignored, so that a misspelt limit cannot silently not apply.
//! It stands at the bottom of this crate because both the command line and the server read it.
#![expect(clippy::disallowed_methods, reason = "settings are the server's own file, read through figment")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::Settings;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use audit::Audit;
pub use limits::Limits;
pub use telemetry::{Believed, Telemetry};
pub use tls::{Tls, TlsVersion};

mod audit;
mod limits;
mod telemetry;
mod tls;

/// Read from the working directory when no file is named.
const FILE_NAME: &str = "lethedb.toml";

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the data lies.
    pub store: Store,
    /// What the server accepts.
    pub server: Server,
    /// How much may be asked of it.
    pub limits: Limits,
    /// Where audit logs are told a second time.
    pub audit: Audit,
    /// How the server proves who it is.
    pub tls: Tls,
    /// Where spans of requests are sent.
    pub telemetry: Telemetry,
    /// Limits and tuning of the engine.
    pub engine: Settings,
}

/// Where the data lies.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The data directory.
    pub data: PathBuf,
    /// The environment that commands work in, and that the server takes where a request names none.
    pub environment: String,
    /// Where the anchors lie, in each of these, instead of inside the data directory: volumes outside copies and backups.
    pub anchor_dirs: Vec<PathBuf>,
    /// Where the keyrings are mirrored: other volumes than that of the data.
    pub keyring_mirrors: Vec<PathBuf>,
    /// Where backups are kept: another volume than that of the data.
    pub archive: Option<PathBuf>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            data: "lethedb-data".into(),
            environment: "default".into(),
            anchor_dirs: Vec::new(),
            keyring_mirrors: Vec::new(),
            archive: None,
        }
    }
}

/// What the server accepts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Whether to start without a root key and take it in shares: see `lethedb keys unseal --server`.
    pub sealed: bool,
    /// Whether keys are asked for before the first one was made, which the first start then offers.
    pub auth: bool,
    /// Whether to listen beyond loopback without TLS or without keys: for networks that nobody else is on.
    pub insecure: bool,
    /// The address to listen on; only loopback is allowed without both TLS and keys.
    #[serde(deserialize_with = "address_of")]
    pub listen: SocketAddr,
    /// Whether to speak gRPC, beside REST.
    pub grpc: bool,
    /// The address to listen on for gRPC, by the same rules.
    #[serde(deserialize_with = "address_of")]
    pub grpc_listen: SocketAddr,
    /// Whether gRPC describes its calls to whoever asks (reflection); if absent, only while it listens on loopback.
    pub grpc_reflection: Option<bool>,
    /// Names by which clients may call the server in `Host`, beside `localhost` and loopback addresses.
    pub hosts: Vec<String>,
    /// Issuers of end users' tokens whose keys may be fetched from private addresses, without TLS or from another port
    /// than 443: `host:port` of each. All others must be reached over HTTPS from everywhere alike.
    pub private_issuers: Vec<String>,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// Open connections; further ones wait.
    pub connections_max: usize,
    /// Open connections of one address, of IPv6 of one network of 64 bits; further ones are closed. 0 for no limit. Behind a
    /// proxy all clients have one address.
    pub connections_per_address_max: usize,
    /// Requests that work in the engine at once, beside searches; further ones wait, as many as `limits.waiting_max` has it.
    /// 0 for four on each core, since most of them wait for the disk.
    pub requests_max: usize,
    /// Searches, scrolls, counts and other reads that work in the engine at once; as many wait again. 0 for one on each core.
    pub searches_max: usize,
    /// Whether searches of which the engine tells beforehand that they are short and wait for nothing are done by the threads
    /// that read sockets, which look at these after each: those near a vector without a filter, for few hits, where everything is
    /// open and loaded, looks are counted rather than told each, and no record is hidden from who asks. Under more load than
    /// there are cores for, neither waits for the other then. After two of more than 20 ms within a second, which damage or
    /// a slow disk may cause, all are done by other threads for ten seconds.
    pub searches_inline: bool,
    /// How long a request may wait for its turn before it is refused, in seconds.
    pub wait_seconds: u64,
    /// How long a client may take to send the head of a request, in seconds; an idle connection is closed after it, too.
    pub head_seconds: u64,
    /// How long a client may take to send a body, in seconds.
    pub body_seconds: u64,
    /// How long a client may leave its answer unread, in seconds; what it reads at 4 KiB a second or more it may take as long
    /// for as that takes.
    pub write_seconds: u64,
    /// How long the server goes on taking requests at shutdown while `/readyz` says that it wants none, in seconds, so that
    /// what spreads the load notices.
    pub unready_seconds: u64,
    /// How long running requests may take to finish at shutdown, in seconds.
    pub drain_seconds: u64,
    /// How the log is written.
    pub log: LogFormat,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            sealed: false,
            auth: false,
            insecure: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 6333)),
            grpc: true,
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 6334)),
            grpc_reflection: None,
            hosts: Vec::new(),
            private_issuers: Vec::new(),
            body_bytes_max: 64 << 20,
            connections_max: 1024,
            connections_per_address_max: 256,
            requests_max: 0,
            searches_max: 0,
            searches_inline: true,
            wait_seconds: 5,
            head_seconds: 10,
            body_seconds: 30,
            write_seconds: 30,
            unready_seconds: 0,
            drain_seconds: 30,
            log: LogFormat::default(),
        }
    }
}

impl Server {
    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.listen).chain(self.grpc.then_some(self.grpc_listen))
    }
}

/// Reads an address to listen on. No name is looked up: what it stands for today may be another network tomorrow.
///
/// # Errors
/// What to write instead.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "names such as localhost are not looked up: an IP address and a port are expected (127.0.0.1:6333 or [::1]:6333 for \
         this machine alone, 0.0.0.0:6333 for all of its addresses)"
            .to_owned()
    })
}

fn address_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// What the command line says; each given value outranks every other source.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The settings file.
    pub file: Option<PathBuf>,
    /// `store.data`
    pub data: Option<PathBuf>,
    /// `store.environment`
    pub environment: Option<String>,
    /// `store.anchor_dirs`
    pub anchor_dirs: Vec<PathBuf>,
    /// `store.keyring_mirrors`
    pub keyring_mirrors: Vec<PathBuf>,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named settings file is not there.
    #[error("there is no settings file at {0}")]
    Missing(PathBuf),
    /// A value is of the wrong kind, or its name is unknown.
    #[error("a setting cannot be used")]
    Invalid(#[from] Box<figment::Error>),
}

impl Config {
    /// The settings, from all sources.
    ///
    /// # Errors
    /// A named file that is missing, an unknown name, or a value of the wrong kind.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::sources(flags)?.extract().map_err(|error| Box::new(error).into())
    }

    /// Puts the sources together.
    ///
    /// # Errors
    /// A named file that is missing.
    pub fn sources(flags: &Flags) -> Result<Figment, ConfigError> {
        let file = match &flags.file {
            Some(file) if !file.is_file() => return Err(ConfigError::Missing(file.clone())),
            Some(file) => Some(file.as_path()),
            None => Some(Path::new(FILE_NAME)).filter(|file| file.is_file()),
        };
        let file = file.map_or_else(Figment::new, |file| Figment::from(Toml::file_exact(file)));
        Ok(flags.over(file.merge(Env::prefixed("LETHEDB__").split("__"))))
    }
}

impl Flags {
    fn over(&self, sources: Figment) -> Figment {
        let sources = set(sources, "store.data", self.data.as_ref());
        let sources = set(sources, "store.environment", self.environment.as_ref());
        let sources = set(sources, "store.anchor_dirs", given(&self.anchor_dirs));
        set(sources, "store.keyring_mirrors", given(&self.keyring_mirrors))
    }
}

/// A list that the command line has anything of.
fn given(list: &[PathBuf]) -> Option<&[PathBuf]> {
    Some(list).filter(|list| !list.is_empty())
}

fn set(sources: Figment, key: &str, value: Option<impl Serialize>) -> Figment {
    match value {
        Some(value) => sources.merge(Serialized::default(key, value)),
        None => sources,
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "tests fail by panicking, and figment's jail fixes the error"
)]
mod tests {
    use figment::Jail;

    use super::*;

    #[test]
    fn a_flag_outranks_the_environment_which_outranks_the_file_which_outranks_the_default() {
        Jail::expect_with(|jail| {
            let load = |flags: &Flags| Config::load(flags).unwrap();
            assert_eq!(load(&Flags::default()).server.body_bytes_max, 64 << 20);

            jail.create_file(FILE_NAME, "[server]\nbody_bytes_max = 1\nrequests_max = 2\n[engine]\nef_max = 77")?;
            assert_eq!(load(&Flags::default()).server.body_bytes_max, 1);
            assert_eq!(load(&Flags::default()).engine.ef_max, 77);

            jail.set_env("LETHEDB__SERVER__BODY_BYTES_MAX", "3");
            jail.set_env("LETHEDB__SERVER__LISTEN", "127.0.0.1:7000");
            jail.set_env("LETHEDB__STORE__DATA", "/from/environment");
            let config = load(&Flags::default());
            assert_eq!((config.server.body_bytes_max, config.server.requests_max), (3, 2));
            assert_eq!(config.store.data, Path::new("/from/environment"));

            assert_eq!(config.server.listen.port(), 7000);

            for name in ["localhost:6333", "6333", ":6333", "127.0.0.1"] {
                jail.set_env("LETHEDB__SERVER__GRPC_LISTEN", format!("\"{name}\""));
                let refused = Config::load(&Flags::default()).map(drop).unwrap_err();
                let ConfigError::Invalid(error) = refused else { panic!("{refused}") };
                assert!(error.to_string().contains("127.0.0.1:6333 or [::1]:6333"), "{name}: {error}");
            }
            jail.set_env("LETHEDB__SERVER__GRPC_LISTEN", "[::1]:7001");

            let flags = Flags { data: Some("/from/flag".into()), ..Flags::default() };
            assert_eq!(load(&flags).store.data, Path::new("/from/flag"));
            Ok(())
        });
    }

    #[test]
    fn a_misspelt_key_and_a_missing_file_are_errors() {
        Jail::expect_with(|jail| {
            jail.set_env("LETHEDB__SERVER__BODY_BYTE_MAX", "3");
            assert!(matches!(Config::load(&Flags::default()), Err(ConfigError::Invalid(_))));
            let flags = Flags { file: Some("absent.toml".into()), ..Flags::default() };
            assert!(matches!(Config::load(&flags), Err(ConfigError::Missing(_))));
            Ok(())
        });
    }
}
