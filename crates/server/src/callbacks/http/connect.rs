//! A new connection to the App: look its name up, dial, and TLS.

use super::{exchange::Line, failure::Failure, resolve::Names};
use crate::{
    clock::Clock,
    trust::{Trust, server_name},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use url::{Host, Url};

/// After so long the next address is dialled as well: of two networks one may lead nowhere.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// How many addresses of one name are dialled.
const ADDRESSES_MAX: usize = 16;

/// Where the App is.
pub(super) struct Origin {
    pub(super) host: Host,
    pub(super) port: u16,
    /// None: it is spoken to in clear text.
    pub(super) trust: Option<Arc<Trust>>,
    pub(super) names: Names,
    pub(super) clock: Arc<dyn Clock>,
}

impl Origin {
    pub(super) async fn connect(&self) -> Result<Line, Failure> {
        let addresses = self.addresses().await?;
        let stream = dial(addresses).await.map_err(|error| Failure::unreachable(&error))?;
        let made_at = self.clock.now().mono;
        let line = match &self.trust {
            None => Line::over(stream, made_at).await,
            Some(trust) => {
                let unreachable = |error: io::Error| Failure::unreachable(&error);
                let name = server_name(&self.host.to_string()).map_err(unreachable)?;
                let secured = trust.secure(name, stream).await.map_err(unreachable)?;
                Line::over(secured, made_at).await
            }
        };
        line.map_err(|error| Failure::unreachable(&error))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        match &self.host {
            Host::Ipv4(ip) => Ok(vec![SocketAddr::new((*ip).into(), self.port)]),
            Host::Ipv6(ip) => Ok(vec![SocketAddr::new((*ip).into(), self.port)]),
            Host::Domain(name) => {
                let addresses = self.names.look_up(name, self.port).await;
                addresses.map_err(Failure::Unreachable)
            }
        }
    }
}

/// The header `Host` of a URL.
pub(super) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The first that can be connected to. Both kinds of addresses take turns.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = by_turns(addresses).into_iter().take(ADDRESSES_MAX).peekable();
    let mut dials = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        if let Some(address) = waiting.next() {
            dials.push(connect(address));
        }
        let has_more = waiting.peek().is_some();
        tokio::select! {
            dialled = dials.next() => match dialled {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failed = error,
                None => return Err(failed),
            },
            () = tokio::time::sleep(NEXT_ADDRESS_AFTER), if has_more => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| {
        io::Error::new(error.kind(), format!("{address} cannot be reached: {error}"))
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The kind of the first address first.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn both_kinds_of_addresses_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
        expect!["[[::1]:1, 1.1.1.1:1, [::2]:1, 2.2.2.2:1, [::3]:1]"]
            .assert_eq(&format!("{:?}", by_turns(addresses)));
        assert!(by_turns(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_says_nothing_is_no_obstacle() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        // Nobody answers there; it is meant for documents.
        let silent = "192.0.2.1:9".parse().unwrap();
        let refusing = "127.0.0.1:1".parse().unwrap();
        for addresses in [vec![refusing, there], vec![silent, there], vec![there, silent]] {
            assert_eq!(dial(addresses).await.unwrap().peer_addr().unwrap(), there);
        }
        let error = dial(vec![refusing]).await.unwrap_err().to_string();
        assert!(error.starts_with("127.0.0.1:1 cannot be reached"), "{error}");
        assert_eq!(dial(Vec::new()).await.unwrap_err().to_string(), "the host has no address");
    }
}
