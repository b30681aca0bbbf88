//! Serving on a listener, plain or TLS, until the program is asked to stop.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension,
    extract::ConnectInfo,
    middleware::AddExtension,
    serve::{IncomingStream, Listener},
};
use tower_layer::Layer;
use tower_service::Service;

use super::{Front, McpEndpoint};

/// How long requests that are under way may take once the server is asked to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Serves until `stop` is ready and the requests that are under way are done, or their time is over.
pub(super) async fn serve_until<L, M>(
    listener: L,
    service: Front<M>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
    M: McpEndpoint,
{
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, WithPeer(service)).with_graceful_shutdown(async move {
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

/// Gives each connection the service, and each of its requests the address of the other end: limits count by it.
struct WithPeer<S>(S);

impl<S, L> Service<IncomingStream<'_, L>> for WithPeer<S>
where
    S: Clone,
    L: Listener<Addr = SocketAddr>,
{
    type Response = AddExtension<S, ConnectInfo<SocketAddr>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: IncomingStream<'_, L>) -> Self::Future {
        ready(Ok(Extension(ConnectInfo(*connection.remote_addr())).layer(self.0.clone())))
    }
}
