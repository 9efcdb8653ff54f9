//! `/user/subscribe_users_status`: has statuses of others pushed to the caller's connections, or no
//! more. In OpenIM it does nothing (D23).
//!
//! A subscription belongs to a connection and ends with it, as one made over the socket (2005).
//! Which connections: those that logged in with the token of this call; for an administrator, all
//! of the user's.

use super::{
    Api,
    call::{Call, Caller, check_user, unavailable},
    get_users_status,
};
use presence::{ConnId, Connection, Session, UserId};
use serde::Deserialize;
use wire::code::{Code, WireError};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request {
    userid: String,
    userids: Vec<String>,
    /// 1: subscribe, 2: cancel.
    genre: i64,
}

pub(super) async fn run(call: Call<Request>) -> Result<get_users_status::Answer, WireError> {
    check_user("userID", &call.request.userid)?;
    call.caller.must_be(&call.request.userid)?;
    call.check_asked("userIDs", &call.request.userids)?;
    let Call { api, caller, request, .. } = call;
    let subscribes = match request.genre {
        1 => true,
        2 => false,
        other => {
            let text = format!("genre {other} is neither 1 (subscribe) nor 2 (cancel)");
            return Err(Code::Args.with(text));
        }
    };
    let user = UserId::new(request.userid);
    let connections = connections(&api, &caller, &user).await?;
    if connections.is_empty() {
        let why = "statuses are pushed to open connections, and there is none; log in first";
        return Err(Code::RecordNotFound.with(why));
    }
    for whom in &request.userids {
        let whom = UserId::new(whom.as_str());
        for conn in &connections {
            if !subscribes {
                api.watching.unwatch(*conn, &whom);
            } else if !api.watching.watch(*conn, &user, &whom) {
                let text =
                    format!("a connection watches no more users: not {whom:?}, nor those after");
                return Err(Code::Args.with(text));
            }
        }
    }
    // Read after it is watched, so that no change falls between the two.
    get_users_status::Answer::of(&api, &caller, request.userids).await
}

/// The open connections that a caller speaks for.
pub(super) async fn connections(
    api: &Api,
    caller: &Caller,
    user: &UserId,
) -> Result<Vec<ConnId>, WireError> {
    let state = api.store.load(user).await.map_err(unavailable)?.value;
    let is_callers = |connection: &&Connection| match caller {
        Caller::User { token, .. } => connection.token == *token,
        Caller::Admin { .. } | Caller::Nobody(_) => true,
    };
    let open = state.connections().iter().filter(|c| c.session == Session::Live);
    Ok(open.filter(is_callers).map(|connection| connection.id).collect())
}
