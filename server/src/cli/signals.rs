//! What the operating system tells a process, above all a running server.
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

/// Has a write beyond the limit on the size of files fail, as one on a full disk does. Unless SIGXFSZ is caught, the system
/// ends the process instead, without a word.
pub fn outlive_file_limits() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::Signal;
        use tokio::runtime::Builder;
        use tokio::signal::unix::{SignalKind, signal};
        // What tokio has caught once is caught as long as the process runs.
        if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
            runtime.block_on(async { _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())) });
        }
    }
}
