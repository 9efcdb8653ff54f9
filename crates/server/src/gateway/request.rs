//! What a client asks over its socket: presence is served, messages are not.
//!
//! Every request is answered: SDKs send one at a time and wait ten seconds for each.

use super::{
    Gateway,
    budget::Budget,
    connection::Newcomer,
    watchers::{Watcher, element, seen_by},
};
use crate::said;
use presence::{ConnId, End, Event, UserId};
use std::sync::Arc;
use wire::{
    code::Code,
    frame::{Encoding, Request, Response},
    identifier as id,
    message::{
        Message as _, SetAppBackgroundStatusReq, SubUserOnlineStatus, SubUserOnlineStatusTips,
    },
};

/// What came of a request.
pub(super) enum Handled {
    Answer(Response),
    /// The answer, and then the end.
    LoggedOut(Response),
    /// Nothing can be answered to this; the connection ends.
    NotAllowed(&'static str),
}

pub(super) async fn handle(
    gateway: &Gateway,
    from: &Newcomer,
    request: &Request,
    budget: &mut Budget,
) -> Handled {
    let now = gateway.clock.now().mono;
    let (user, conn) = (&from.pending.user, from.pending.login.conn);
    if request.send_id != user.as_str() {
        return Handled::NotAllowed("sendID is not the user of this connection");
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
            budget.write(now);
            Handled::Answer(set_background(gateway, user, conn, request).await)
        }
        id::SUB_USER_ONLINE_STATUS => {
            Handled::Answer(subscribe(gateway, from, request, budget).await)
        }
        _ => Handled::NotAllowed("unknown reqIdentifier"),
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

/// Unsubscribes, then subscribes. The answer has an element for each subscribed user, in order,
/// also for those over the limit, who are told as offline: Go clients cannot use an error.
async fn subscribe(
    gateway: &Gateway,
    from: &Newcomer,
    request: &Request,
    budget: &mut Budget,
) -> Response {
    let Ok(said) = SubUserOnlineStatus::decode(request.data.as_slice()) else {
        return request.refusal(&Code::Args.with("data is not a SubUserOnlineStatus"));
    };
    let watcher = Watcher {
        conn: from.pending.login.conn,
        user: from.pending.user.clone(),
        outbound: Arc::clone(&from.outbound),
    };
    let watchers = &gateway.registry.watchers;
    // A name that nobody can have is watched by nobody, and not repeated.
    let names = |names: Vec<String>| {
        names.into_iter().filter(|name| said::check_user(name).is_ok()).map(UserId::new)
    };
    let unwatched: Vec<UserId> = names(said.unsubscribe_user_ids).collect();
    unwatched.iter().for_each(|user| watchers.unwatch(watcher.conn, user));
    let watched: Vec<UserId> = names(said.subscribe_user_ids).collect();
    budget.names(watched.len(), gateway.clock.now().mono);
    let mut subscribers = Vec::with_capacity(watched.len());
    for user in watched {
        let mut seen = Vec::new();
        if watchers.watch(&watcher, &user) {
            match gateway.store.load(&user).await {
                Ok(state) => seen = seen_by(user == watcher.user, state.value.sight()),
                Err(error) => {
                    return request.refusal(&Code::ServerInternal.with(error.to_string()));
                }
            }
        }
        subscribers.push(element(&user, seen));
    }
    // The JS SDK fails on an empty answer, the Go SDK does not mind one.
    if subscribers.is_empty() && from.outbound.codec.encoding == Encoding::Json {
        subscribers.extend(unwatched.iter().map(|user| element(user, Vec::new())));
    }
    request.answer(SubUserOnlineStatusTips { subscribers }.encode_to_vec())
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
