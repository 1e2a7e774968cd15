//! What the operating system tells a running server.
//!
//! Invariant: a system without such signals has a future that is never ready, and no other behaviour.

/// Ready at SIGTERM or Ctrl-C.
pub async fn stop() {
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

/// Ready at SIGHUP, by which operators say that files have changed.
pub async fn hang_up() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut hang_up) = signal(SignalKind::hangup()) {
            _ = hang_up.recv().await;
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Takes SIGHUP for ever and does nothing: a server without files to read again must not end by being told to.
pub async fn ignore_hang_up() {
    loop {
        hang_up().await;
    }
}
