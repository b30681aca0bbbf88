//! Serving on a listener, plain or TLS, until the program is asked to stop.

use std::{io, time::Duration};

use axum::{Router, serve::Listener};

/// How long requests that are under way may take once the server is asked to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Serves until `stop` is ready and the requests that are under way are done, or their time is over.
pub(super) async fn serve_until<L>(
    listener: L,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    L: Listener<Addr: std::fmt::Debug>,
{
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    let patience = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(LAST_REQUESTS).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => served,
        // A request that never ends, such as one that was half sent, does not keep the program alive.
        () = patience => Ok(()),
    }
}
