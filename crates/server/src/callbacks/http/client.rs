//! The HTTP client of an endpoint: what it adds to each request, and which connection it goes over.

use super::{
    connect::{Origin, host_header},
    exchange::Response,
    failure::Failure,
    pool::Pool,
    resolve::Names,
};
use crate::{
    clock::Clock,
    trust::{TlsFiles, Trust, TrustError},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, USER_AGENT},
};
use http_body_util::Full;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use url::Url;

/// How requests are made, beside what the contract says of them.
#[derive(Default)]
pub struct HttpSettings {
    /// Whom to trust, and who we are, where the URL begins with `https`.
    pub tls: TlsFiles,
    /// Added to every request.
    pub headers: Vec<(String, String)>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// Whether only public addresses are connected to.
    pub deny_private: bool,
}

/// Why a sender cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SenderError {
    /// The URL is none.
    #[error("url is no URL")]
    Url(#[source] url::ParseError),
    /// The URL has no host.
    #[error("url has no host or port")]
    NoHost,
    /// A header is none.
    #[error("headers or bearer cannot be sent")]
    Header(#[source] http::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TrustError),
}

pub(super) struct Client {
    origin: Origin,
    pool: Arc<Pool>,
    headers: HeaderMap,
}

impl Client {
    pub(super) fn new(
        url: &Url,
        connections_max: usize,
        settings: &HttpSettings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Client, SenderError> {
        let trust = match url.scheme() {
            "https" => Some(Arc::new(Trust::new(settings.tls.clone(), Arc::clone(clock))?)),
            // A machine without CA certificates can still speak plain HTTP.
            _ => None,
        };
        let origin = Origin {
            host: url.host().ok_or(SenderError::NoHost)?.to_owned(),
            port: url.port_or_known_default().ok_or(SenderError::NoHost)?,
            trust,
            names: Names::of_the_system(settings.deny_private),
            clock: Arc::clone(clock),
        };
        let headers = headers(url, settings).map_err(SenderError::Header)?;
        Ok(Client { origin, pool: Pool::new(connections_max, Arc::clone(clock)), headers })
    }

    /// Posts to a URL of the App. The headers take the place of the client's own.
    pub(super) async fn post(
        &self,
        url: &Url,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Response, Failure> {
        let mut request =
            Request::post(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
        if let Some(all) = request.headers_mut() {
            all.clone_from(&self.headers);
            all.extend(headers);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| Failure::unreachable(&error))?;
        let sent = timeout(within, self.send(request)).await;
        sent.unwrap_or(Err(Failure::Late(within)))
    }

    /// An old connection may have been closed by the App, or by what is between: what fails there before
    /// a byte of an answer came is sent again at once. Whether it was taken the first time, nobody knows.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        if let Some(line) = self.pool.take() {
            match line.exchange(request.clone()).await {
                Err(Failure::BrokeOff { nothing_came: true, .. }) => {}
                exchanged => return self.keep(exchanged),
            }
        }
        let line = self.origin.connect().await?;
        self.keep(line.exchange(request).await)
    }

    fn keep(
        &self,
        exchanged: Result<(Response, Option<super::exchange::Line>), Failure>,
    ) -> Result<Response, Failure> {
        let (response, line) = exchanged?;
        line.into_iter().for_each(|line| self.pool.keep(line));
        Ok(response)
    }
}

/// None of the operator's values is ever logged.
fn headers(url: &Url, settings: &HttpSettings) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&host_header(url))?);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = concat!("herald/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let secret = |text: &str| -> Result<HeaderValue, http::Error> {
        let mut value = HeaderValue::from_str(text)?;
        value.set_sensitive(true);
        Ok(value)
    };
    for (name, value) in &settings.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, secret(value)?);
    }
    if let Some(token) = &settings.bearer {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {token}"))?);
    }
    Ok(headers)
}
