//! What a client asks over its socket: presence is served, messages are not.
//!
//! Every request is answered: SDKs send one at a time and wait ten seconds for each.

use super::Gateway;
use presence::{ConnId, End, Event, UserId};
use wire::{
    code::Code,
    frame::{Request, Response},
    identifier as id,
    message::{Message as _, SetAppBackgroundStatusReq},
};

/// What came of a request.
pub(super) enum Handled {
    Answer(Response),
    /// The answer, and then the end.
    LoggedOut(Response),
    /// Nothing can be answered to this; the connection ends.
    Misbehaved(&'static str),
}

pub(super) async fn handle(
    gateway: &Gateway,
    user: &UserId,
    conn: ConnId,
    request: &Request,
) -> Handled {
    if request.send_id != user.as_str() {
        return Handled::Misbehaved("sendID is not the user of this connection");
    }
    let refuse = |code: Code, why| Handled::Answer(request.refusal(&code.with(why)));
    match request.identifier {
        // No messages are kept, so nothing is newer, unread or to be pulled.
        id::GET_NEWEST_SEQ
        | id::PULL_BY_SEQ_RANGE
        | id::PULL_BY_SEQ_LIST
        | id::GET_CONV_MAX_READ_SEQ
        | id::PULL_CONV_LAST_MESSAGE => Handled::Answer(request.answer(Vec::new())),
        id::SEND_MSG | id::SEND_SIGNAL_MSG => {
            refuse(Code::NoPermission, "this server keeps presence, not messages")
        }
        id::LOGOUT => log_out(gateway, user, conn, request).await,
        id::SET_BACKGROUND_STATUS => {
            Handled::Answer(set_background(gateway, user, conn, request).await)
        }
        id::SUB_USER_ONLINE_STATUS => {
            refuse(Code::NoPermission, "watching other users is not offered")
        }
        _ => Handled::Misbehaved("unknown reqIdentifier"),
    }
}

/// Stored before it is answered, like everything a client is told.
async fn log_out(gateway: &Gateway, user: &UserId, conn: ConnId, request: &Request) -> Handled {
    let event = Event::Disconnected { conn, end: End::LoggedOut };
    match gateway.driver.handle(user, event, Some(request.operation_id.clone())).await {
        Ok(_) => Handled::LoggedOut(request.answer(Vec::new())),
        Err(error) => {
            Handled::Answer(request.refusal(&Code::ServerInternal.with(error.to_string())))
        }
    }
}

async fn set_background(
    gateway: &Gateway,
    user: &UserId,
    conn: ConnId,
    request: &Request,
) -> Response {
    let Ok(said) = SetAppBackgroundStatusReq::decode(request.data.as_slice()) else {
        return request.refusal(&Code::Args.with("data is not a SetAppBackgroundStatusReq"));
    };
    let event = Event::BackgroundSet { conn, background: said.is_background };
    match gateway.driver.handle(user, event, Some(request.operation_id.clone())).await {
        Ok(_) => request.answer(Vec::new()),
        Err(error) => request.refusal(&Code::ServerInternal.with(error.to_string())),
    }
}
