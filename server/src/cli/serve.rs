//! `lethedb serve`: the REST server, from opening the database to closing it.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use engine::{ApiKeyClass, ApiKeyRequest, BuiltInRole, Clock, Database, Source, SystemClock};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use super::failure::Failure;
use crate::rest::{self, App, ServeError};

const DAY_MS: u64 = 86_400_000;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on; loopback only while there are neither TLS nor keys [default: 127.0.0.1:6333].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Start without a root key, wherever one could be taken from, and answer nothing but that, until enough shares of it
    /// were given: with `lethedb keys unseal --server`.
    #[arg(long)]
    sealed: bool,
    /// Ask everybody for an API key, from the start: if there is none yet, one for an owner is printed, once, which is
    /// good for a day. Without this, keys are asked for from the first one on.
    #[arg(long)]
    auth: bool,
    /// Listen beyond loopback without TLS: keys and data go over the network in the clear.
    #[arg(long)]
    insecure: bool,
}

/// Serves until a signal, finishes the running requests, and closes the database.
pub fn run(mut context: Context, args: Args) -> Result<(), Failure> {
    if let Some(listen) = args.listen {
        context.config.server.listen = listen;
    }
    let server = &mut context.config.server;
    server.sealed |= args.sealed;
    server.auth |= args.auth;
    server.insecure |= args.insecure;
    if !server.insecure {
        rest::check_address(server.listen)?;
    }
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,lethedb=info,tower_http=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();

    let terminal = context.terminal;
    let app = app(context)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Io("the server's threads cannot be started", error))?;
    let is_sealed = app.seal().database().is_err();
    let listening = |address| {
        // Whoever started the server may have closed its output; it serves all the same.
        _ = terminal.show(&json!({ "listening": address }), format_args!("listening on http://{address}"));
        if is_sealed {
            _ = terminal
                .note("The server is sealed: give it shares of the root key with `lethedb keys unseal --server`.");
        }
    };
    let served = runtime.block_on(rest::serve(app.clone(), listening, stop_signal));
    if let Err(ServeError::Unfinished) = served {
        // The write-ahead log makes an abrupt end safe, and nobody wants to wait for the work any more.
        runtime.shutdown_background();
        return Ok(served?);
    }
    // Work that outlived its client still holds the database; it ends before that closes.
    drop(runtime);
    if let Ok(database) = app.seal().database() {
        database.clone().close()?;
    }
    Ok(served?)
}

/// The database, open or sealed.
fn app(context: Context) -> Result<App, Failure> {
    let config = context.config.clone();
    if !config.server.sealed {
        let database = context.database(true)?;
        database.environment(&config.store.environment)?;
        offer_key(&context, &database)?;
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

/// Prints a key for an owner, if keys are asked for and none was ever made.
fn offer_key(context: &Context, database: &Database) -> Result<(), Failure> {
    let has_keys = database.asks_for_keys()?;
    if !context.config.server.auth || has_keys {
        if context.config.server.insecure && !has_keys {
            context
                .terminal
                .note("Nobody is asked for a key: whoever reaches this server can read and erase everything.")?;
        }
        return Ok(());
    }
    let access = database.access().by_way_of(Source::CommandLine);
    let request = ApiKeyRequest {
        label: "bootstrap".to_owned(),
        roles: vec![BuiltInRole::Owner.as_str().to_owned()],
        expires_ms: Some(SystemClock.now_ms().saturating_add(DAY_MS)),
        ..ApiKeyRequest::new(ApiKeyClass::Admin, &context.config.store.environment)
    };
    let issued = access.create(&request)?;
    context.terminal.note(format_args!(
        "The first API key, good for a day and shown this once; make others with it at /v1/admin/api-keys:\n{}",
        *issued.text
    ))
}

/// Ready at SIGTERM or Ctrl-C.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    _ = tokio::signal::ctrl_c().await;
}
