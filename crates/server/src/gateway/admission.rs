//! Who is let in: parse, token, place, commit, and only then the 101.

use super::{Gateway, connection, outbound::Outbound, paced::Paced, sites};
use crate::{
    entropy,
    listener::Proven,
    logging::REFUSED,
    login::PendingLogin,
    peer::{self, Peer},
    tokens,
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::SinkExt;
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use presence::{Login, Platform, Timestamp, UserId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};
use wire::{
    code::{Code, WireError},
    envelope,
    frame::{Codec, Encoding, Response as Frame},
    handshake::{self, Handshake},
    identifier,
};

/// How long a client may take to read why it was refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A socket after its upgrade.
pub(super) type Socket = WebSocketStream<Paced<TokioIo<Upgraded>>>;

/// Somebody whose papers are good, and the place they take.
struct Checked {
    handshake: Handshake,
    /// When the token was issued.
    issued_at: Timestamp,
    /// When it expires, if that is to end the connection.
    ends_at: Option<Timestamp>,
    place: OwnedSemaphorePermit,
    one_of_its_address: Option<sites::Client>,
    peer: Peer,
}

/// Why somebody is not let in, and the form in which they can read it.
struct Refusal {
    error: WireError,
    as_text: bool,
    /// 200 as OpenIM does, but for a request that is no upgrade at all.
    status: StatusCode,
    /// For a client that redials for ever unless it is told that it is kicked.
    kick: Option<Codec>,
}

impl Refusal {
    fn new(error: WireError, as_text: bool) -> Refusal {
        Refusal { error, as_text, status: StatusCode::OK, kick: None }
    }

    /// For somebody of whom it is known how they speak.
    fn to(codec: Codec, error: WireError, as_text: bool) -> Refusal {
        let redials = codec.encoding == Encoding::Json && error.code.is_about_token();
        Refusal { kick: redials.then_some(codec), ..Refusal::new(error, as_text) }
    }
}

/// Who is refused, for the log: as the query says it, which is not checked then.
struct Who {
    user: Option<String>,
    peer: Peer,
}

impl Who {
    fn of(request: &Request) -> Who {
        let query = request.uri().query().unwrap_or_default();
        let user = handshake::read(query, None).ok().map(|handshake| handshake.user_id);
        Who { user, peer: peer::of(request.extensions()) }
    }
}

/// Any request on the gateway's port, and upgrades on the API's.
pub async fn upgrade(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let is_get = request.method() == http::Method::GET;
    let accept = accept_key(request.headers()).filter(|_| is_get);
    let checked = check(&gateway, &request);
    let who = Who::of(&request);
    match admit(&gateway, checked, accept.is_some(), on_upgrade).await {
        Ok(()) => {
            let mut response = switching_protocols(accept.expect("only an upgrade is admitted"));
            response.extensions_mut().insert(Proven);
            response
        }
        Err((refusal, on_upgrade)) => refuse(&gateway, refusal, who, accept, on_upgrade),
    }
}

/// `Ok`: durable, and a task waits for the upgrade to complete.
async fn admit(
    gateway: &Arc<Gateway>,
    checked: Result<Checked, Refusal>,
    is_upgrade: bool,
    on_upgrade: OnUpgrade,
) -> Result<(), (Refusal, Option<OnUpgrade>)> {
    let Checked { handshake, issued_at, ends_at, place, one_of_its_address, peer } = match checked {
        Ok(checked) => checked,
        Err(refusal) => return Err((refusal, Some(on_upgrade))),
    };
    let codec = handshake.codec;
    let as_text = handshake.first_text_reply;
    let refuse = |code: Code, why: &str| Refusal::new(code.with(why), as_text);
    if !is_upgrade {
        let why = "this address speaks WebSocket: send an upgrade request";
        let status = StatusCode::BAD_REQUEST;
        return Err((Refusal { status, ..refuse(Code::ConnArgs, why) }, None));
    }
    let now = gateway.clock.now();
    let (admitted, ended) = oneshot::channel();
    let newcomer = connection::Newcomer {
        pending: PendingLogin {
            user: UserId::new(handshake.user_id),
            login: Login {
                conn: entropy::conn_id(now.wall),
                platform: Platform::from_id(handshake.platform.id().into())
                    .expect("both lists are OpenIM's"),
                token: tokens::hash(&handshake.token),
                issued_at,
                background: handshake.is_background,
                address: gateway.settings.keeps_addresses.then(|| peer.to_string().into()),
            },
            operation_id: handshake.operation_id,
        },
        first_text_reply: as_text,
        ends_at,
        outbound: Arc::new(Outbound::new(codec, gateway.settings.outbound_frames_max, peer)),
        _place: place,
        _one_of_its_address: one_of_its_address,
    };
    // A task of its own, so that a client that hangs up now leaves nothing half done.
    tokio::spawn(newcomer.live(Arc::clone(gateway), admitted, on_upgrade));
    match ended.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err((error, on_upgrade))) => Err((Refusal::to(codec, error, as_text), Some(on_upgrade))),
        // Its task is gone: the server stops, or it ended in a panic.
        Err(_) => Err((refuse(Code::ServerInternal, "the login broke off, try again"), None)),
    }
}

fn check(gateway: &Gateway, request: &Request) -> Result<Checked, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    let compression = request.headers().get("compression").and_then(|value| value.to_str().ok());
    let said = handshake::read(query, compression);
    let as_text = match &said {
        Ok(handshake) => handshake.first_text_reply,
        Err(error) => error.as_text,
    };
    let Ok(place) = Arc::clone(&gateway.places).try_acquire_owned() else {
        let most = gateway.settings.connections_max;
        let error = Code::ConnOverMax.with(format!("all {most} places are taken"));
        return Err(Refusal::new(error, as_text));
    };
    let handshake = said.map_err(|error| Refusal::new(error.error, as_text))?;
    let matched = gateway.tokens.read(&handshake.token).and_then(|claims| {
        claims.matches(&handshake.user_id, handshake.platform)?;
        Ok((tokens::issued_at(&claims), tokens::expires_at(&claims)))
    });
    let peer = peer::of(request.extensions());
    match matched {
        Ok((issued_at, expires_at)) => {
            let one_of_its_address = gateway.sites.enter(peer.site()).map_err(|most| {
                let why = format!("this address has {most} clients, as many as it may");
                Refusal::to(handshake.codec, Code::ConnOverMax.with(why), as_text)
            })?;
            let ends_at = gateway.settings.end_expired.then_some(expires_at);
            Ok(Checked { handshake, issued_at, ends_at, place, one_of_its_address, peer })
        }
        Err(error) => Err(Refusal::to(handshake.codec, error, as_text)),
    }
}

/// The answer to the client's key, if this is a WebSocket upgrade.
pub(super) fn accept_key(headers: &HeaderMap) -> Option<String> {
    let says = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    let is_upgrade = says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
        && says(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    // Sixteen bytes in base64.
    (is_upgrade && key.len() == 24).then(|| derive_accept_key(key))
}

pub(super) fn switching_protocols(accept: String) -> Response {
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("each of these headers is a valid one")
}

/// HTTP 200 with the envelope, as OpenIM; for those who cannot read that, an upgrade, the same as
/// a text frame, and the end.
fn refuse(
    gateway: &Gateway,
    refusal: Refusal,
    who: Who,
    accept: Option<String>,
    on_upgrade: Option<OnUpgrade>,
) -> Response {
    gateway.metrics.refused(refusal.error.code.number());
    let Refusal { error, .. } = &refusal;
    let Who { user, peer } = who;
    let code = error.code.number();
    tracing::info!(target: REFUSED, code, why = error.detail, user.id = user, address = %peer, "refused");
    let envelope = envelope::refusal(&refusal.error);
    let turn = Arc::clone(&gateway.text_refusals).try_acquire_owned();
    if let (true, Some(accept), Some(on_upgrade), Ok(turn)) =
        (refusal.as_text, accept, on_upgrade, turn)
    {
        tokio::spawn(async move {
            let told = tell_refusal(on_upgrade, envelope, refusal.kick);
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
            drop(turn);
        });
        return switching_protocols(accept);
    }
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (refusal.status, kind, envelope).into_response()
}

async fn tell_refusal(on_upgrade: OnUpgrade, envelope: String, kick: Option<Codec>) {
    let Ok(upgraded) = on_upgrade.await else { return };
    let mut socket = socket(upgraded, 1024).await;
    if socket.send(Message::text(envelope)).await.is_err() {
        return;
    }
    if let Some(codec) = kick {
        let frame = codec.encode(&Frame::push(identifier::KICK_ONLINE, Vec::new()));
        if socket.send(Message::binary(frame)).await.is_ok()
            && connection::let_close(&mut socket).await
        {
            return;
        }
    }
    connection::close(&mut socket, None).await;
}

/// The longest answer. Each name that is watched costs 2 bytes in the request and at most 4 more in
/// the answer, those who are online a list of platforms; JSON adds a third in both.
fn answer_bytes_max(frame_bytes_max: usize) -> usize {
    4 * frame_bytes_max + 256 * 1024
}

/// A WebSocket over an upgraded connection, with buffers that a hundred thousand can afford.
///
/// Of a client as many bytes are read at once as two of the longest frames have, and as 64 of them a second.
pub(super) async fn socket(upgraded: Upgraded, frame_bytes_max: usize) -> Socket {
    paced_socket(upgraded, frame_bytes_max, 64).await
}

pub(super) async fn paced_socket(
    upgraded: Upgraded,
    frame_bytes_max: usize,
    longest_each_second: usize,
) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(answer_bytes_max(frame_bytes_max))
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max));
    let at_once = frame_bytes_max.saturating_mul(2);
    let each_second = frame_bytes_max.saturating_mul(longest_each_second);
    let stream = Paced::new(TokioIo::new(upgraded), at_once, each_second);
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}
