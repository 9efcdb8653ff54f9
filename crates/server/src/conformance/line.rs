//! One request over a connection of its own, and what came back.
//!
//! It never follows a redirect and uses no proxy.

use super::script::Sent;
use crate::{
    callbacks::http::ANSWER_BYTES_MAX,
    trust::{Trust, server_name},
};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// The default within which an App must answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the App answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// There was no connection in the first place.
    Unreachable(String),
    /// The connection ended, or what came was no HTTP.
    Broken(String),
    /// It took longer than [`ANSWER_TIMEOUT`].
    Late,
}

pub(super) async fn send(sent: Sent, tls: Option<&Arc<Trust>>) -> Result<Reply, Silence> {
    let uri: Uri = sent.url.parse().map_err(unreachable)?;
    let title_case = sent.title_case;
    let request = request(&uri, sent).map_err(unreachable)?;
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let address = format!("{host}:{port}");
    let line = match timeout(ANSWER_TIMEOUT, TcpStream::connect(&address)).await {
        Ok(line) => line.map_err(|error| unreachable(format!("{address}: {error}")))?,
        Err(_) => return Err(unreachable(format!("{address}: no connection within 5 s"))),
    };
    if let Some(tls) = tls {
        let line =
            timeout(ANSWER_TIMEOUT, tls.secure(server_name(host).map_err(unreachable)?, line))
                .await;
        let line = line.map_err(|_| Silence::Late)?.map_err(unreachable)?;
        return answered(exchange(line, title_case, request)).await;
    }
    answered(exchange(line, title_case, request)).await
}

async fn answered(
    exchange: impl Future<Output = Result<Reply, AnyError>>,
) -> Result<Reply, Silence> {
    let answered = timeout(ANSWER_TIMEOUT, exchange).await;
    answered.map_err(|_| Silence::Late)?.map_err(|error| Silence::Broken(error.to_string()))
}

fn unreachable(why: impl ToString) -> Silence {
    Silence::Unreachable(why.to_string())
}

type Request = http::Request<Full<Bytes>>;
type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn request(uri: &Uri, sent: Sent) -> http::Result<Request> {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // `path` is `/` also where the URL has none.
    let mut request = http::Request::builder()
        .method(sent.method)
        .uri(format!("{}{query}", uri.path()))
        .header("host", format!("{}{port}", uri.host().unwrap_or_default()))
        .header("connection", "close");
    // A body that is empty, not one that is missing.
    if sent.body.is_empty() {
        request = request.header("content-length", "0");
    }
    for (name, value) in sent.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(sent.body)))
}

async fn exchange(
    line: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    title_case: bool,
    request: Request,
) -> Result<Reply, AnyError> {
    let mut handshake = http1::Builder::new();
    handshake.title_case_headers(title_case);
    let (mut sender, connection) = handshake.handshake(TokioIo::new(line)).await?;
    // Ends with this function, also where the App is late.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Reply { status: head.status.as_u16(), body })
}
