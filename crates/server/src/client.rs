//! A minimal OpenIM client: logs in with JSON frames, holds the line, says what it hears.
//!
//! For the demo and the tests of this repository. It never redials by itself: whoever drives it
//! decides that, as the story needs.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message},
};

/// How long a login may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// A logged-in client.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Who logs in.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Identity {
    pub user: String,
    pub platform_id: i32,
    pub token: String,
    pub background: bool,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server said no, with this code.
    #[error("refused with code {code}: {detail}")]
    Refused {
        /// OpenIM's code.
        code: i64,
        /// In short.
        message: String,
        /// For a person.
        detail: String,
    },
    /// No line, or not the protocol.
    #[error("no login: {0}")]
    Line(String),
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A binary frame: an answer or a push.
    Frame(Value),
    /// A text frame.
    Text(String),
    /// The server closed, with this code.
    Closed(Option<u16>),
    /// The line broke.
    Lost,
}

impl Client {
    /// Logs in as a browser does: the first frame tells whether it worked.
    pub async fn login(gateway: SocketAddr, identity: &Identity) -> Result<Client, LoginError> {
        let Identity { user, platform_id, token, background } = identity;
        let url = format!(
            "ws://{gateway}/?sendID={user}&token={token}&platformID={platform_id}\
             &operationID=login-{user}&isBackground={background}&isMsgResp=true&sdkType=js"
        );
        Client::dial(&url).await
    }

    /// Logs in with a URL of one's own.
    pub async fn dial(url: &str) -> Result<Client, LoginError> {
        let dialled = timeout(LOGIN_TIMEOUT, connect_async(url)).await;
        let (socket, _) = match dialled {
            Ok(Ok(connected)) => connected,
            Ok(Err(tungstenite::Error::Http(answer))) => {
                return Err(refusal(answer.body().as_deref().unwrap_or_default()));
            }
            Ok(Err(error)) => return Err(LoginError::Line(error.to_string())),
            Err(_) => return Err(LoginError::Line("no answer in time".into())),
        };
        let mut client = Client { socket };
        if !url.contains("isMsgResp=true") {
            return Ok(client);
        }
        match timeout(LOGIN_TIMEOUT, client.hear()).await {
            Ok(Heard::Text(text)) if text == wire::envelope::SUCCESS => Ok(client),
            Ok(Heard::Text(text)) => Err(refusal(text.as_bytes())),
            other => Err(LoginError::Line(format!("expected the first text frame, got {other:?}"))),
        }
    }

    /// Sends a request in the form of the JS SDK.
    pub async fn request(
        &mut self,
        user: &str,
        identifier: i32,
        data: &str,
    ) -> tungstenite::Result<()> {
        let frame = serde_json::json!({
            "reqIdentifier": identifier, "sendID": user, "operationID": "op", "msgIncr": "1",
            "data": data,
        });
        self.send(Message::binary(frame.to_string())).await
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: Message) -> tungstenite::Result<()> {
        self.socket.send(message).await
    }

    /// Waits for the next thing that is not a ping; pings are answered while this waits.
    pub async fn hear(&mut self) -> Heard {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
                Some(Ok(Message::Binary(frame))) => {
                    Heard::Frame(serde_json::from_slice(&frame).unwrap_or_default())
                }
                Some(Ok(Message::Close(frame))) => Heard::Closed(frame.map(|f| f.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(_)) | None => Heard::Lost,
            };
        }
    }

    /// Closes properly, as a tab that is closed.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        let drained =
            async { while self.socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
        let _ = timeout(Duration::from_secs(1), drained).await;
    }

    /// Cuts the line without a word, as a phone that loses its network.
    pub fn cut(self) {
        drop(self);
    }
}

fn refusal(envelope: &[u8]) -> LoginError {
    let envelope: Value = serde_json::from_slice(envelope).unwrap_or_default();
    let text = |key: &str| envelope[key].as_str().unwrap_or_default().to_owned();
    LoginError::Refused {
        code: envelope["errCode"].as_i64().unwrap_or(-1),
        message: text("errMsg"),
        detail: text("errDlt"),
    }
}

/// One HTTP request over a connection of its own. Returns the status and the body.
///
/// Just enough HTTP for loopback: the answer is read until the server closes.
pub async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut line = TcpStream::connect(address).await?;
    line.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunked(body) } else { body.to_owned() }))
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n")
        && let Ok(size) = usize::from_str_radix(size, 16)
        && let Some(chunk) = rest.get(..size)
    {
        whole.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}
