//! The routes that OpenIM's SDKs call by themselves after a login, to sync what Herald does not
//! keep: friends, groups, conversations. The truth is that there is none of it.
//!
//! Lists are arrays and never null, because the JS SDK reads `.length`; `full` is false, because
//! with true the Go SDK would ask on and on.

use super::{
    Api, answer,
    call::{caller, check_user, read_body},
    refuse, request_json,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::{
    code::{Code, WireError},
    envelope,
};

type Data = fn() -> Value;

/// Each route with the data of its answer.
const EMPTY: [(&str, Data); 14] = [
    ("/friend/get_incremental_friends", incremental),
    ("/group/get_incremental_join_groups", incremental),
    ("/conversation/get_incremental_conversations", incremental),
    ("/group/get_incremental_group_members_batch", || json!({ "respList": {} })),
    ("/friend/get_full_friend_user_ids", || full("userIDs")),
    ("/group/get_full_join_group_ids", || full("groupIDs")),
    ("/conversation/get_full_conversation_ids", || full("conversationIDs")),
    ("/conversation/get_not_notify_conversation_ids", || json!({ "conversationIDs": [] })),
    ("/conversation/get_all_conversations", || json!({ "conversations": [] })),
    ("/conversation/get_owner_conversation", || json!({ "conversations": [], "total": 0 })),
    ("/friend/get_friend_list", || json!({ "friendsInfo": [], "total": 0 })),
    ("/group/get_joined_group_list", || json!({ "groups": [], "total": 0 })),
    ("/friend/get_black_list", || json!({ "blacks": [], "total": 0 })),
    ("/user/get_user_client_config", || json!({ "configs": {} })),
];

/// Routes of other business, taken note of and forgotten: they have no data.
const NOTED: [&str; 2] = ["/third/fcm_update_token", "/third/set_app_badge"];

/// All routes of this file.
pub(super) fn router() -> Router<Arc<Api>> {
    let mut router = Router::new()
        .route("/jssdk/get_active_conversations", post(active_conversations))
        .route("/msg/send_msg", post(send_msg))
        .route("/user/set_user_client_config", post(keep_no_config))
        .route("/user/del_user_client_config", post(keep_no_config))
        .route("/user/page_user_client_config", post(keep_no_config));
    for (path, data) in EMPTY {
        let run = async move |State(api): State<Arc<Api>>, headers: HeaderMap, body: Body| {
            told(check(&api, &headers, body).await.map(|()| envelope::success_with(&data())))
        };
        router = router.route(path, post(run));
    }
    for path in NOTED {
        let run = async move |State(api): State<Arc<Api>>, headers: HeaderMap, body: Body| {
            told(check(&api, &headers, body).await.map(|()| envelope::SUCCESS.to_owned()))
        };
        router = router.route(path, post(run));
    }
    router
}

fn incremental() -> Value {
    json!({
        "version": 0, "versionID": "", "full": false, "delete": [], "insert": [], "update": [],
        "sortVersion": 0,
    })
}

fn full(list: &str) -> Value {
    json!({ "version": 0, "versionID": "", "equal": false, list: [] })
}

/// The JS SDK asks in protobuf and wants the base64 of a protobuf message; an empty one is `""`.
async fn active_conversations(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/x-protobuf")) {
        return told(caller(&api, &headers).await.map(|_| envelope::success_with(&"")));
    }
    let none = json!({ "unreadCount": 0, "conversations": [] });
    told(check(&api, &headers, body).await.map(|()| envelope::success_with(&none)))
}

async fn send_msg(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    not_kept(&api, &headers, "this server keeps presence, not messages").await
}

async fn keep_no_config(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    not_kept(&api, &headers, "this server keeps presence, not the configuration of clients").await
}

/// Refused in a way that SDKs survive.
async fn not_kept(api: &Api, headers: &HeaderMap, why: &'static str) -> Response {
    told(caller(api, headers).await.and_then(|_| Err(Code::NoPermission.with(why))))
}

fn told(done: Result<String, WireError>) -> Response {
    done.map_or_else(|error| refuse(&error), answer)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request {
    userid: String,
    owneruserid: String,
}

/// Whose they are may ask, and administrators. Some SDKs leave the user out: then it is the caller.
async fn check(api: &Api, headers: &HeaderMap, body: Body) -> Result<(), WireError> {
    let caller = caller(api, headers).await?;
    let body = read_body(api, &caller, body).await?;
    let Request { userid, owneruserid } = request_json::read(&body)?;
    for user in [userid, owneruserid] {
        if !user.is_empty() {
            check_user("userID", &user)?;
            caller.must_be(&user)?;
        }
    }
    Ok(())
}
