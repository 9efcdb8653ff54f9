//! Accepts connections and serves HTTP on them: the gateway, the API and the admin port alike.
//!
//! It exists because `axum::serve` sets no timeout for headers, so that a client that sends them
//! one byte a minute would stay for ever, and has no limit of connections.

mod budget;
mod places;
mod unread;

use crate::{
    files,
    logging::REFUSED,
    peer::{Peer, Proxies, proxied},
    supervision::{Panicked, contain},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode, Version, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
pub use budget::Proven;
use budget::{Budgets, Costs, is_proven};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use places::{Place, Places};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use unread::MustBeRead;

/// Connections before their upgrade, or half of the files that may be open if that is less.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a request may take, its body read and its answer made.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a request's head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a client may read nothing of what it is sent, be it an answer, a stream or frames.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// What the system holds of a connection in each direction (it doubles that): a client that never reads,
/// or whose body is never read, takes no more.
const SOCKET_BUFFER_BYTES: u32 = 32 * 1024;
/// What part of the connections may be such as are only waiting to be closed, and for how long.
const TURNED_AWAY_PART: usize = 2;
const TURNED_AWAY_FOR: Duration = Duration::from_secs(2);
/// How many may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long requests may take to finish when the server stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// A port that is bound and not yet served.
pub struct Listener {
    tcp: TcpListener,
    head_timeout: Duration,
    connections_max: usize,
    /// Room for connections that are to be closed.
    turned_away: Arc<Semaphore>,
    addresses: Arc<PeerRules>,
}

/// Whose addresses connections have.
#[derive(Debug, Clone)]
pub struct PeerRules {
    /// Who says whose connection it hands on.
    pub proxies: Proxies,
    /// How many connections one address may have that are not upgraded; a proxy has as many as it likes.
    pub pending_max: usize,
}

impl Default for PeerRules {
    fn default() -> PeerRules {
        PeerRules { proxies: Proxies::default(), pending_max: usize::MAX }
    }
}

impl Listener {
    /// Binds; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, head_timeout: Duration) -> io::Result<Listener> {
        let tcp = listen(address)?;
        let turned_away = Arc::new(Semaphore::new(0));
        let (connections_max, addresses) = (0, Arc::default());
        let listener = Listener { tcp, head_timeout, connections_max, turned_away, addresses };
        Ok(listener.connections_max(CONNECTIONS_MAX.min(files::limit_now() / 2)))
    }

    /// Whose connections come, and how many of one address.
    pub fn addresses(self, addresses: PeerRules) -> Listener {
        Listener { addresses: Arc::new(addresses), ..self }
    }

    /// At most so many connections at a time that are not upgraded. When all are taken, one that has
    /// no request is closed for one that comes; if all have, it waits.
    pub fn connections_max(self, connections_max: usize) -> Listener {
        let turned_away = connections_max / TURNED_AWAY_PART;
        let connections_max = connections_max - turned_away;
        Listener { connections_max, turned_away: Arc::new(Semaphore::new(turned_away)), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until told to stop, then lets requests finish. Upgraded connections go their own way.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let router = router.layer(from_fn(in_time));
        let places = Places::new(self.connections_max);
        let budgets = Budgets::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&places, &budgets) => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok(None) => {}
                Ok(Some((stream, address, place))) => {
                    let door = Door {
                        router: router.clone(),
                        head_timeout: self.head_timeout,
                        addresses: Arc::clone(&self.addresses),
                        budgets: Arc::clone(&budgets),
                        stop: stop.clone(),
                    };
                    let served = serve(stream, address, place, door);
                    tokio::spawn(async move { contain("http", served).await });
                }
                // Out of file descriptors, most likely, though all have their share.
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    places.close_longest_resting();
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.tcp);
        let _ = timeout(FINISH_TIMEOUT, places.all_free()).await;
    }

    /// Closes a connection of which nothing is read, after a while if there is room: so whoever makes one after
    /// the other waits, and the next one costs nothing meanwhile.
    fn turn_away(&self, stream: TcpStream) {
        // The system is to hold nothing of it, neither now nor when it is closed.
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
        let _ = set_socket_recv_buffer_size(&stream, 0);
        if let Ok(room) = Arc::clone(&self.turned_away).try_acquire_owned() {
            tokio::spawn(async move {
                sleep(TURNED_AWAY_FOR).await;
                drop((stream, room));
            });
        }
    }

    /// The next connection; none: it was not taken.
    async fn accept(
        &self,
        places: &Arc<Places>,
        budgets: &Arc<Budgets>,
    ) -> io::Result<Option<(TcpStream, IpAddr, Place)>> {
        let (stream, address) = self.tcp.accept().await?;
        let address = address.ip();
        // Before anything is done for it: an address may make very many of these.
        if !self.addresses.proxies.trust(address) && !budgets.takes(Peer(address).site()) {
            self.turn_away(stream);
            return Ok(None);
        }
        Ok(Some((stream, address, places.take().await)))
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections have those of the socket that they come to.
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A panic is the request's own. A body that never comes, or a disk that never answers, must not hold
/// a connection for ever.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, contain("request", next.run(request))).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => {
            let why = "this failed, by a fault in Herald\n";
            (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "this took too long\n").into_response(),
    }
}

/// What every connection of a port shares.
struct Door {
    router: Router,
    head_timeout: Duration,
    addresses: Arc<PeerRules>,
    budgets: Arc<Budgets>,
    stop: CancellationToken,
}

/// Serves one connection. A client that breaks HTTP or hangs up is its own matter.
async fn serve(mut stream: TcpStream, address: IpAddr, place: Place, door: Door) {
    let Door { router, head_timeout, addresses, budgets, stop } = door;
    // Small frames must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(client) = whose(&mut stream, address, &place, &addresses, head_timeout).await else {
        return;
    };
    let is_proxy = addresses.proxies.trust(client.address());
    let site = Peer(client.address()).site();
    if !is_proxy && !place.belongs_to(site, addresses.pending_max) {
        tracing::info!(target: REFUSED, address = %client.address(), "a connection is closed: that address has as many as it may");
        return;
    }
    let guest = Arc::new(Guest {
        place: Arc::new(place),
        client,
        costs: (!is_proxy).then(|| budgets.connects(site)),
        addresses,
        budgets,
    });
    let service = {
        let guest = Arc::clone(&guest);
        service_fn(move |request| answer(Arc::clone(&guest), router.clone(), request))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(MustBeRead::new(stream, READ_WITHIN)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = guest.place.is_needed() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// The client's address, if a proxy says whose connection this is; none: the connection is of no use.
async fn whose(
    stream: &mut TcpStream,
    address: IpAddr,
    place: &Place,
    addresses: &PeerRules,
    within: Duration,
) -> Option<Client> {
    let is_proxy = addresses.proxies.trust(address);
    if !addresses.proxies.speak_proxy_protocol || !is_proxy {
        return Some(Client::Connects(address));
    }
    tokio::select! {
        said = timeout(within, proxied(stream)) => match said.ok()? {
            Ok(client) => Some(client.map_or(Client::Connects(address), Client::Named)),
            Err(error) => {
                tracing::warn!(%address, %error, "a connection of a trusted proxy is closed");
                None
            }
        },
        () = place.is_needed() => None,
    }
}

/// Why a request is none for a server such as this, whatever it is for.
fn no_request(request: &http::Request<Incoming>) -> Option<Response> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.method() == Method::CONNECT {
        let why = "this is no proxy\n";
        return Some((StatusCode::METHOD_NOT_ALLOWED, why).into_response());
    }
    // A proxy before us may have looked at another one.
    let is_ambiguous = hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11);
    is_ambiguous.then(|| (StatusCode::BAD_REQUEST, "send one Host header\n").into_response())
}

/// One connection, and who is at its other end.
struct Guest {
    place: Arc<Place>,
    client: Client,
    /// What the connection costs; none: that of a proxy.
    costs: Option<Costs>,
    addresses: Arc<PeerRules>,
    budgets: Arc<Budgets>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
enum Client {
    /// That address, or whoever it says that it speaks for.
    Connects(IpAddr),
    /// That one, by the PROXY protocol. Its requests say nothing about that.
    Named(IpAddr),
}

impl Client {
    fn address(self) -> IpAddr {
        match self {
            Client::Connects(address) | Client::Named(address) => address,
        }
    }
}

impl Guest {
    fn peer(&self, request: &http::Request<Incoming>) -> Peer {
        match self.client {
            Client::Connects(address) => self.addresses.proxies.client(address, request.headers()),
            Client::Named(address) => Peer(address.to_canonical()),
        }
    }
}

/// Where a proxy hands on the requests of many, each of its clients has as many under way as one that comes
/// by itself has connections.
fn too_many() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, "your address has too many requests under way\n")
        .into_response()
}

async fn answer(
    guest: Arc<Guest>,
    router: Router,
    mut request: http::Request<Incoming>,
) -> Result<Response, Infallible> {
    let busy = guest.place.busy();
    if let Some(refusal) = no_request(&request) {
        return Ok(refusal.map(|body| busy.until_sent(body)));
    }
    let peer = guest.peer(&request);
    let site = peer.site();
    let under_way = match guest.costs {
        Some(_) => None,
        None => match guest.budgets.hands_on(site, &guest.addresses) {
            Some(under_way) => Some(under_way),
            None => return Ok(too_many().map(|body| busy.until_sent(body))),
        },
    };
    let costs = guest.budgets.requests(site, request.body().size_hint().exact()).await;
    request.extensions_mut().insert(peer);
    let response = router.oneshot(request.map(Body::new)).await?;
    if is_proven(response.extensions()) {
        costs.give_back();
        guest.costs.iter().for_each(Costs::give_back);
    }
    drop(under_way);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Whoever upgraded it has it from now on.
        busy.until_upgraded();
        return Ok(response);
    }
    Ok(response.map(|body| busy.until_sent(body)))
}
