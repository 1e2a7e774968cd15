//! `lethedb serve`: the server of REST and gRPC, from opening the database to closing it.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::{ApiKeyClass, ApiKeyRequest, BuiltInRole, Clock, Database, Source, SystemClock};
use serde_json::json;
use tokio::task::spawn_blocking;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use super::failure::Failure;
use super::terminal::Terminal;
use super::{certificates, signals, traces};
use crate::config::{self, Config, LogFormat, TlsVersion};
use crate::grpc;
use crate::rest::{self, App, ServeError};

const DAY_MS: u64 = 86_400_000;
/// How long the end waits for a collector to take the last spans.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on; loopback only while there are neither TLS nor keys [default: 127.0.0.1:6333].
    #[arg(long, value_name = "ADDRESS", value_parser = config::address)]
    listen: Option<SocketAddr>,
    /// Address to listen on for gRPC, by the same rules, unless `server.grpc` is off [default: 127.0.0.1:6334].
    #[arg(long, value_name = "ADDRESS", value_parser = config::address)]
    grpc_listen: Option<SocketAddr>,
    /// Start without a root key, wherever one could be taken from, and answer nothing but that, until enough shares of it
    /// were given: with `lethedb keys unseal --server`.
    #[arg(long)]
    sealed: bool,
    /// Ask everybody for an API key, from the start: if there is none yet, one for an owner is printed, once, which is
    /// good for a day. Without this, keys are asked for from the first one on.
    #[arg(long)]
    auth: bool,
    /// Listen beyond loopback without TLS, or without keys: on networks that nobody else is on.
    #[arg(long)]
    insecure: bool,
    /// The server's certificate and those between it and the authority, as PEM. Read again when it changes, or at SIGHUP.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM, in a file that its owner alone may read.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Let only clients in that show a certificate of these authorities, as PEM.
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Oldest version of TLS that is spoken [default: 1.3].
    #[arg(long, value_name = "VERSION")]
    tls_min: Option<TlsVersion>,
}

/// Serves until a signal, finishes the running requests, and closes the database.
pub fn run(mut context: Context, args: Args) -> Result<(), Failure> {
    let server = &mut context.config.server;
    server.listen = args.listen.unwrap_or(server.listen);
    server.grpc_listen = args.grpc_listen.unwrap_or(server.grpc_listen);
    server.sealed |= args.sealed;
    server.auth |= args.auth;
    server.insecure |= args.insecure;
    let tls = &mut context.config.tls;
    tls.cert = args.tls_cert.or(tls.cert.take());
    tls.key = args.tls_key.or(tls.key.take());
    tls.client_ca = args.tls_client_ca.or(tls.client_ca.take());
    tls.min = args.tls_min.unwrap_or(tls.min);
    start_log(context.config.server.log);
    // What can be refused is refused before the database is opened, which may take long.
    let certificates = certificates::of(&context.config.tls)?;
    let server = &context.config.server;
    for address in server.addresses() {
        if !server.insecure && certificates.is_none() {
            rest::check_address(address)?;
        }
    }
    let traces = traces::of(&context.config.telemetry)?;
    let terminal = context.terminal;
    let look_every = Duration::from_secs(context.config.tls.look_seconds.max(1));
    let app = app(context)?;
    if let Some(traces) = traces {
        app.trace(traces);
    }
    let config = &app.config().server;
    if !config.insecure {
        rest::check_keys(config, app.seal().database().map_or(Ok(false), Database::asks_for_keys)?)?;
    }
    let runtime = rest::runtime();
    let runtime = runtime.map_err(|error| Failure::Io("the server's threads cannot be started", error))?;
    let (is_sealed, is_tls) = (app.seal().database().is_err(), certificates.is_some());
    let grpc = grpc::door(app.clone())?;
    let listening = |address, grpc: Option<SocketAddr>| {
        // Whoever started the server may have closed its output; it serves all the same.
        let scheme = if is_tls { "https" } else { "http" };
        let grpc_too = grpc.map(|grpc| format!("\nlistening for gRPC on {scheme}://{grpc}")).unwrap_or_default();
        let said = format_args!("listening on {scheme}://{address}{grpc_too}");
        _ = terminal.show(&json!({ "listening": address, "grpc": grpc }), said);
        if is_sealed {
            _ = terminal
                .note("The server is sealed: give it shares of the root key with `lethedb keys unseal --server`.");
        }
    };
    if is_sealed {
        runtime.spawn(offer_key_later(app.clone(), terminal));
    }
    match &certificates {
        Some(certificates) => runtime.spawn(rest::keep_fresh(certificates.clone(), look_every, signals::hang_up)),
        None => runtime.spawn(signals::ignore_hang_up()),
    };
    let served = runtime.block_on(rest::serve(app.clone(), grpc, certificates, listening, signals::stop));
    if let Err(ServeError::Unfinished) = served {
        // The write-ahead log makes an abrupt end safe, and nobody wants to wait for the work any more.
        runtime.shutdown_background();
        return Ok(served?);
    }
    if let Some(traces) = app.traces() {
        traces.close(LAST_SPANS);
    }
    // Work that outlived its client still holds the database; it ends before that closes.
    drop(runtime);
    if let Ok(database) = app.seal().database() {
        database.clone().close()?;
    }
    Ok(served?)
}

fn start_log(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,lethedb=info,tower_http=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let log = log.with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// The database, open or sealed.
fn app(context: Context) -> Result<App, Failure> {
    let config = context.config.clone();
    if !config.server.sealed {
        let database = context.database(true)?;
        database.environment(&config.store.environment)?;
        offer_key(&config, context.terminal, &database)?;
        return Ok(App::new(database, config));
    }
    let data = &config.store.data;
    if !Database::exists(data)? {
        let missing =
            format!("there is no database in {}: only one that is there can be served sealed", data.display());
        return Err(Failure::Usage(missing));
    }
    Ok(App::sealed(move |root_key| context.existing(root_key).open(), config))
}

/// The same once a sealed server is open: without its root key nobody could make a key by other means.
async fn offer_key_later(app: App, terminal: Terminal) {
    app.seal().broken_open().await;
    let offer = move || match app.seal().database() {
        Ok(database) => offer_key(app.config(), terminal, database),
        Err(_) => Ok(()),
    };
    if let Ok(Err(error)) = spawn_blocking(offer).await {
        tracing::error!(%error, "the first API key could not be made");
    }
}

/// Prints a key for an owner, if keys are asked for and none was ever made.
fn offer_key(config: &Config, terminal: Terminal, database: &Database) -> Result<(), Failure> {
    let has_keys = database.asks_for_keys()?;
    if !config.server.auth || has_keys {
        if config.server.insecure && !has_keys {
            terminal.note("Nobody is asked for a key: whoever reaches this server can read and erase everything.")?;
        }
        return Ok(());
    }
    let access = database.access().by_way_of(Source::CommandLine);
    let request = ApiKeyRequest {
        label: "bootstrap".to_owned(),
        roles: vec![BuiltInRole::Owner.as_str().to_owned()],
        expires_ms: Some(SystemClock.now_ms().saturating_add(DAY_MS)),
        ..ApiKeyRequest::new(ApiKeyClass::Admin, &config.store.environment)
    };
    let issued = access.create(&request)?;
    terminal.note(format_args!(
        "The first API key, good for a day and shown this once; make others with it at /v1/admin/api-keys:\n{}",
        *issued.text
    ))
}
