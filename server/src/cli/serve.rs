//! `lethedb serve`: the REST server, from opening the database to closing it.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use super::failure::Failure;
use crate::rest::{self, App, ServeError};

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on; loopback only while there are neither TLS nor keys [default: 127.0.0.1:6333].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Serves until a signal, finishes the running requests, and closes the database.
pub fn run(mut context: Context, args: Args) -> Result<(), Failure> {
    if let Some(listen) = args.listen {
        context.config.server.listen = listen;
    }
    rest::check_address(context.config.server.listen)?;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,lethedb=info,tower_http=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();

    let database = context.database(true)?;
    database.environment(&context.config.store.environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Io("the server's threads cannot be started", error))?;
    let terminal = context.terminal;
    let listening = |address| {
        // Whoever started the server may have closed its output; it serves all the same.
        _ = terminal.show(&json!({ "listening": address }), format_args!("listening on http://{address}"));
    };
    let app = App::new(database.clone(), context.config);
    let served = runtime.block_on(rest::serve(app, listening, stop_signal));
    if let Err(ServeError::Unfinished) = served {
        // The write-ahead log makes an abrupt end safe, and nobody wants to wait for the work any more.
        runtime.shutdown_background();
        return Ok(served?);
    }
    // Work that outlived its client still holds the database; it ends before that closes.
    drop(runtime);
    database.close()?;
    Ok(served?)
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
