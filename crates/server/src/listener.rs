//! Accepts connections and serves HTTP on them: the gateway, the API and the admin port alike.
//!
//! It exists because `axum::serve` sets no timeout for headers, so that a client that sends them
//! one byte a minute would stay for ever.

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Connections before their upgrade, on each port; more wait to be accepted. Idle ones are closed
/// after the time for a head.
const HTTP_CONNECTIONS_MAX: usize = 16_384;
/// How long a request may take, its body read and its answer made.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a request's head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long requests may take to finish when the server stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// A port that is bound and not yet served.
pub struct Listener {
    tcp: TcpListener,
    head_timeout: Duration,
}

impl Listener {
    /// Binds; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, head_timeout: Duration) -> io::Result<Listener> {
        Ok(Listener { tcp: TcpListener::bind(address).await?, head_timeout })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until told to stop, then lets requests finish. Upgraded connections go their own way.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let router = router.layer(from_fn(in_time));
        let turns = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&turns) => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, turn)) => {
                    let connection = self.http(stream, router.clone());
                    tokio::spawn(attend(connection, turn, stop.clone()));
                }
                // Out of file descriptors, most likely: some come free as connections end.
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.tcp);
        let _ = timeout(FINISH_TIMEOUT, turns.acquire_many(HTTP_CONNECTIONS_MAX as u32)).await;
    }

    async fn accept(
        &self,
        turns: &Arc<Semaphore>,
    ) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let turn = Arc::clone(turns).acquire_owned().await.map_err(io::Error::other)?;
        Ok((self.tcp.accept().await?.0, turn))
    }

    fn http(&self, stream: TcpStream, router: Router) -> Http {
        // Small frames must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .with_upgrades()
    }
}

/// A body that never comes, or a disk that never answers, must not hold a connection for ever.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "this took too long\n").into_response(),
    }
}

type Http = http1::UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Serves one connection. A client that breaks HTTP or hangs up is its own matter.
async fn attend(connection: Http, turn: OwnedSemaphorePermit, stop: CancellationToken) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(turn);
}
