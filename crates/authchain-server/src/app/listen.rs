//! Serving on a listener, plain or TLS, until the program is asked to stop.
//!
//! A client has a bounded time for each part of a request, however it spreads its bytes over it: for the head, together
//! with the time that a connection lies idle before it, and for the body. So nobody keeps a connection for nothing.

use std::{
    convert::Infallible,
    error, fmt,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, Request},
    response::Response,
    serve::Listener,
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};
use tower_service::Service;
use tracing::trace;

/// How long requests that are under way may take once the server is asked to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the moment when a connection has nothing to do until the head of the next request is complete.
    pub(super) head: Duration,
    /// From there until the body is complete.
    pub(super) body: Duration,
}

/// Serves until `stop` is ready and the requests that are under way are done, or their time is over.
pub(super) async fn serve_until<L, S>(mut listener: L, service: S, patience: Patience, stop: impl Future<Output = ()>)
where
    L: Listener<Addr = SocketAddr>,
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.head);
    let (stopping, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            (stream, peer) = listener.accept() => {
                let service = TowerToHyperService::new(Accepted { service: service.clone(), peer, patience: patience.body });
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serve_one(connection, stopping.subscribe()));
            }
            () = &mut stop => break,
        }
    }
    drop(listener);
    // The connections are told; each gives its receiver back at its end.
    let _ = stopping.send(());
    tokio::select! {
        () = stopping.closed() => {}
        // A request that never ends, such as a stream that the client listens to, does not keep the program alive.
        () = sleep(LAST_REQUESTS) => {}
    }
}

async fn serve_one<I, S>(connection: http1::Connection<I, S>, mut stopping: watch::Receiver<()>)
where
    http1::Connection<I, S>: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = Body, Error: Into<axum::BoxError>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        trace!(%error, "a connection ended early");
    }
}

/// Gives each request of a connection the address of the other end, because limits count by it, and its body a bounded
/// time.
#[derive(Clone)]
struct Accepted<S> {
    service: S,
    peer: SocketAddr,
    patience: Duration,
}

impl<S: Service<Request>> Service<http::Request<Incoming>> for Accepted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Incoming>) -> S::Future {
        let patience = self.patience;
        let mut request = request.map(|body| Body::new(Timed { body, late: None, patience }));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.service.call(request)
    }
}

pin_project_lite::pin_project! {
    /// A body that has to be complete in time. A body that is there at once needs no timer.
    struct Timed {
        #[pin] body: Incoming,
        #[pin] late: Option<Sleep>,
        patience: Duration,
    }
}

/// The body of a request took too long.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request was not complete in time")
    }
}

impl error::Error for TooSlow {}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.late.is_none() {
            this.late.set(Some(sleep(*this.patience)));
        }
        if let Some(late) = this.late.as_pin_mut() {
            ready!(late.poll(context));
        }
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    /// A test that waits for longer than this waits for ever.
    const LONG: Duration = Duration::from_secs(20);

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        served: tokio::task::JoinHandle<()>,
    }

    async fn start(patience: Patience) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router: Router = Router::new().route("/", post(|body: Bytes| async move { body }));
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve_until(listener, router, patience, async move {
            let _ = stopped.await;
        }));
        Running { address, stop, served }
    }

    /// Sends a beginning and then one byte again and again, until the other end hangs up; what it said.
    async fn drip(address: SocketAddr, beginning: &str) -> String {
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        write.write_all(beginning.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let mut answer = Vec::new();
        // A reset is an end as well.
        let ended = tokio::time::timeout(LONG, read.read_to_end(&mut answer)).await;
        dripping.abort();
        assert!(ended.is_ok(), "the connection is still open");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_client_that_drips_the_head_is_cut() {
        let server = start(Patience { head: SHORT, body: LONG }).await;
        let answer = drip(server.address, "POST / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
        assert!(!answer.contains("200"), "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_drips_the_body_is_cut() {
        let server = start(Patience { head: LONG, body: SHORT }).await;
        let answer = drip(server.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        assert!(!answer.contains("200"), "{answer}");
    }

    #[tokio::test]
    async fn a_connection_that_lies_idle_is_closed() {
        let server = start(Patience { head: SHORT, body: LONG }).await;
        for sent in ["", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"] {
            let mut connection = TcpStream::connect(server.address).await.unwrap();
            connection.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(LONG, connection.read_to_string(&mut answer)).await.unwrap().unwrap();
            assert_eq!(answer.contains("200 OK"), !sent.is_empty(), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_body_in_two_pieces_is_served_and_the_connection_kept() {
        let server = start(Patience { head: LONG, body: LONG }).await;
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        for _ in 0..2 {
            connection.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhe").await.unwrap();
            connection.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            connection.write_all(b"ho").await.unwrap();
            let (mut answer, mut piece) = (String::new(), [0; 1024]);
            while !answer.ends_with("heho") {
                let read = tokio::time::timeout(LONG, connection.read(&mut piece)).await.unwrap().unwrap();
                assert!(read > 0, "{answer}");
                answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
        }
    }

    #[tokio::test]
    async fn idle_connections_do_not_hold_up_the_end() {
        let server = start(Patience { head: LONG, body: LONG }).await;
        let _idle = TcpStream::connect(server.address).await.unwrap();
        let mut used = TcpStream::connect(server.address).await.unwrap();
        used.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        used.read_u8().await.unwrap();
        server.stop.send(()).unwrap();
        let ended = tokio::time::timeout(LONG, server.served).await;
        assert!(ended.is_ok(), "it ends by itself");
    }
}
