//! The server that is measured: that of `serve`, on a free port of this machine, in threads of its own.
//!
//! Invariant: it is the same code with the same defaults; only its log, which `serve` writes a line a request into unless it
//! is told otherwise, is off.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, oneshot};

use super::super::super::failure::Failure;
use super::scene::Scene;
use crate::config::Config;
use crate::grpc;
use crate::rest::{App, runtime, serve};

/// A running server; it ends with its handle.
pub struct Hosted {
    _runtime: Runtime,
    stop: Arc<Notify>,
    /// Where it listens.
    pub address: SocketAddr,
    /// And for calls of gRPC.
    pub grpc_address: SocketAddr,
}

impl Hosted {
    /// Serves `scene` as `config` has it, but for the address, and with room for as many connections as a measurement opens.
    pub fn start(scene: &Scene, mut config: Config) -> Result<Self, Failure> {
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        (config.server.grpc, config.server.grpc_listen) = (true, config.server.listen);
        config.server.connections_max = config.server.connections_max.max(8192);
        config.server.connections_per_address_max = 0;
        let (app, stop) = (App::new(scene.database.clone(), config), Arc::new(Notify::new()));
        let runtime = runtime();
        let runtime = runtime.map_err(|error| Failure::Io("the server's threads cannot be started", error))?;
        let grpc = grpc::door(app.clone())?;
        let (told, address) = oneshot::channel();
        let stopped = Arc::clone(&stop);
        let served = runtime.spawn(async move {
            let stop = move || {
                let stopped = Arc::clone(&stopped);
                async move { stopped.notified().await }
            };
            serve(app, grpc, None, |address, grpc| _ = told.send((address, grpc.unwrap_or(address))), stop).await
        });
        let (address, grpc_address) = runtime.block_on(async {
            match address.await {
                Ok(addresses) => Ok(addresses),
                Err(_) => match served.await {
                    Ok(Err(error)) => Err(error.into()),
                    _ => Err(Failure::Usage("the server ended before it began".into())),
                },
            }
        })?;
        Ok(Self { _runtime: runtime, stop, address, grpc_address })
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
