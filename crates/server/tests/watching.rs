//! Watching other users over the socket (2005): the answer, the pushes, and who sees what.
#![allow(clippy::unwrap_used)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use server::client::{Client, Heard};
use support::*;
use wire::{
    identifier::SUB_USER_ONLINE_STATUS,
    message::{Message, SubUserOnlineStatus, SubUserOnlineStatusTips},
    platform::Platform,
};

/// Answers and pushes as `user:platform,platform` each.
async fn hears(client: &mut Client) -> (bool, Vec<String>) {
    let Heard::Frame(frame) = client.hear().await else { panic!("the line ended") };
    assert_eq!(frame["reqIdentifier"], SUB_USER_ONLINE_STATUS);
    assert_eq!(frame["errCode"], 0, "{frame}");
    let data = STANDARD.decode(frame["data"].as_str().unwrap()).unwrap();
    let tips = SubUserOnlineStatusTips::decode(data.as_slice()).unwrap();
    let elements = tips.subscribers.into_iter().map(|element| {
        let platforms: Vec<_> =
            element.online_platform_ids.iter().map(|id: &i32| id.to_string()).collect();
        format!("{}:{}", element.user_id, platforms.join(","))
    });
    (frame["msgIncr"] == "", elements.collect())
}

async fn answer(client: &mut Client) -> Vec<String> {
    let (is_push, elements) = hears(client).await;
    assert!(!is_push, "a push came first: {elements:?}");
    elements
}

async fn push(client: &mut Client) -> String {
    let (is_push, elements) = hears(client).await;
    assert!(is_push, "an answer without a question: {elements:?}");
    assert_eq!(elements.len(), 1);
    elements[0].clone()
}

async fn ask(client: &mut Client, user: &str, subscribe: &[&str], unsubscribe: &[&str]) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let said = SubUserOnlineStatus {
        subscribe_user_ids: owned(subscribe),
        unsubscribe_user_ids: owned(unsubscribe),
    };
    let data = STANDARD.encode(said.encode_to_vec());
    client.request(user, SUB_USER_ONLINE_STATUS, &data).await.unwrap();
}

#[tokio::test]
async fn a_watcher_sees_a_user_come_move_and_go_and_nothing_else() {
    let herald = Herald::start(|_| {}).await;
    let mut watcher = herald.login("w", Platform::Web).await;
    let _page = herald.login("there", Platform::Web).await;
    ask(&mut watcher, "w", &["u", "there", "nobody", "u"], &[]).await;
    assert_eq!(answer(&mut watcher).await, ["u:", "there:5", "nobody:", "u:"]);
    let phone = herald.login("u", Platform::Ios).await;
    assert_eq!(push(&mut watcher).await, "u:1");
    let _tab = herald.login("u", Platform::Web).await;
    assert_eq!(push(&mut watcher).await, "u:1,5");
    // Nobody can see a second tab, a status of words, or a line that comes back in time.
    let _second = herald.login("u", Platform::Web).await;
    herald.set_status("u", Platform::Ios, json!({ "status": 1, "availability": "busy" })).await;
    phone.cut();
    let _phone = herald.login("u", Platform::Ios).await;
    herald.admin("POST", "/v1/users/u/kick", r#"{"platformID":5}"#).await;
    assert_eq!(push(&mut watcher).await, "u:1");
    herald.admin("POST", "/v1/users/u/kick", "").await;
    assert_eq!(push(&mut watcher).await, "u:");
}

#[tokio::test]
async fn who_stops_watching_hears_no_more() {
    let herald = Herald::start(|_| {}).await;
    let mut watcher = herald.login("w", Platform::Web).await;
    ask(&mut watcher, "w", &["a", "b"], &[]).await;
    assert_eq!(answer(&mut watcher).await, ["a:", "b:"]);
    ask(&mut watcher, "w", &[], &["a"]).await;
    assert_eq!(answer(&mut watcher).await, ["a:"], "the JS SDK fails on an empty answer");
    ask(&mut watcher, "w", &["c"], &["b", "c"]).await;
    assert_eq!(answer(&mut watcher).await, ["c:"], "first the one list, then the other");
    let mut clients = Vec::new();
    for user in ["a", "b", "c"] {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    assert_eq!(push(&mut watcher).await, "c:1");
}

#[tokio::test]
async fn an_invisible_user_is_offline_to_others_and_not_to_themselves() {
    let herald = Herald::start(|_| {}).await;
    let mut other = herald.login("w", Platform::Web).await;
    let mut own = herald.login("u", Platform::Web).await;
    for (client, user) in [(&mut other, "w"), (&mut own, "u")] {
        ask(client, user, &["u"], &[]).await;
        assert_eq!(answer(client).await, ["u:5"]);
    }
    let say = async |availability| {
        let status = json!({ "status": 1, "availability": availability });
        herald.set_status("u", Platform::Web, status).await;
    };
    say("invisible").await;
    assert_eq!(push(&mut other).await, "u:");
    let _phone = herald.login("u", Platform::Ios).await;
    assert_eq!(push(&mut own).await, "u:1,5", "the first thing they hear is the phone");
    say("online").await;
    assert_eq!(push(&mut other).await, "u:1,5");
}

#[tokio::test]
async fn more_than_a_connection_may_watch_is_told_as_offline() {
    let herald = Herald::start(|config| config.gateway.frame_bytes_max.0 = 1 << 20).await;
    let mut watcher = herald.login("w", Platform::Web).await;
    let _last = herald.login("u3000", Platform::Ios).await;
    let users: Vec<String> = (0..=3_000).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    ask(&mut watcher, "w", &users, &[]).await;
    let seen = answer(&mut watcher).await;
    assert_eq!((seen.len(), seen[3_000].as_str()), (3_001, "u3000:"));
    ask(&mut watcher, "w", &["u3000"], &["u0"]).await;
    assert_eq!(answer(&mut watcher).await, ["u3000:1"], "there is room again");
}

#[tokio::test]
async fn the_longest_question_gets_its_whole_answer() {
    let herald = Herald::start(|config| config.gateway.frame_bytes_max.0 = 1 << 20).await;
    let mut watcher = herald.login("w", Platform::Web).await;
    let users: Vec<String> = (0..80_000).map(|n| format!("{n:x}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    ask(&mut watcher, "w", &users, &[]).await;
    assert_eq!(answer(&mut watcher).await.len(), 80_000);
}

/// OpenIM D23: there both routes do nothing.
#[tokio::test]
async fn a_subscription_over_rest_is_pushed_to_the_connections_of_its_token() {
    let herald = Herald::start(|_| {}).await;
    let mine = identity("w", Platform::Web);
    let (mut page, mut tab) =
        (herald.try_login(&mine).await.unwrap(), herald.try_login(&mine).await.unwrap());
    let mut phone = herald.login("w", Platform::Ios).await;
    let _there = herald.login("there", Platform::Web).await;
    let ask = async |path: &str, token: &str, users: &[&str], genre: i32| {
        let asked = json!({ "userID": "w", "userIDs": users, "genre": genre });
        herald.rest(path, token, asked).await
    };
    let subscribed = ask("/user/subscribe_users_status", &mine.token, &["u", "there"], 1).await;
    let expected = json!([
        { "userID": "u", "status": 0, "platformIDs": [] },
        { "userID": "there", "status": 1, "platformIDs": [5] },
    ]);
    assert_eq!(subscribed["data"]["statusList"], expected);
    let _u = herald.login("u", Platform::Ios).await;
    assert_eq!(push(&mut page).await, "u:1");
    assert_eq!(push(&mut tab).await, "u:1");
    let list = |answer: Value| {
        let list = answer["data"]["statusList"].as_array().unwrap().clone();
        list.iter().map(|of| format!("{}:{}", of["userID"], of["status"])).collect::<Vec<_>>()
    };
    let watched = ask("/user/get_subscribe_users_status", &mine.token, &[], 0).await;
    assert_eq!(list(watched), [r#""there":1"#, r#""u":1"#]);
    let phones = token("w", Platform::Ios);
    let watched = ask("/user/get_subscribe_users_status", &phones, &[], 0).await;
    assert_eq!(list(watched), [""; 0], "the phone watches nobody");

    ask("/user/subscribe_users_status", &mine.token, &["u"], 2).await;
    let admin = token("imAdmin", Platform::Admin);
    ask("/user/subscribe_users_status", &admin, &["v"], 1).await;
    herald.admin("POST", "/v1/users/u/kick", "").await;
    let _v = herald.login("v", Platform::Web).await;
    for client in [&mut page, &mut tab, &mut phone] {
        assert_eq!(push(client).await, "v:5", "u is watched no more; an administrator means all");
    }
}

#[tokio::test]
async fn sync_routes_are_answered_empty_and_truthful_to_their_owner() {
    let herald = Herald::start(|_| {}).await;
    let (own, other) = (token("u", Platform::Web), token("w", Platform::Web));
    let ask = json!({ "userID": "u", "versionID": "", "version": 0 });
    let lists = [
        ("/friend/get_incremental_friends", "insert"),
        ("/group/get_incremental_join_groups", "update"),
        ("/conversation/get_incremental_conversations", "delete"),
        ("/friend/get_full_friend_user_ids", "userIDs"),
        ("/group/get_full_join_group_ids", "groupIDs"),
        ("/conversation/get_full_conversation_ids", "conversationIDs"),
        ("/conversation/get_not_notify_conversation_ids", "conversationIDs"),
        ("/conversation/get_all_conversations", "conversations"),
        ("/friend/get_black_list", "blacks"),
    ];
    for (path, list) in lists {
        let answer = herald.rest(path, &own, ask.clone()).await;
        assert_eq!((&answer["errCode"], &answer["data"][list]), (&json!(0), &json!([])), "{path}");
        assert_ne!(answer["data"]["full"], true, "{path}: the Go SDK would ask on and on");
        assert_eq!(herald.rest(path, &other, ask.clone()).await["errCode"], 1002, "{path}");
    }
    let configs = herald.rest("/user/get_user_client_config", &own, json!({ "userID": "" })).await;
    assert_eq!(configs["data"], json!({ "configs": {} }));
    for path in ["set", "del", "page"].map(|what| format!("/user/{what}_user_client_config")) {
        let refused = herald.rest(&path, &own, json!({ "userID": "u" })).await;
        assert_eq!(refused["errCode"], 1002, "{path}");
    }
    let sent = herald.rest("/msg/send_msg", &own, Value::Object(Default::default())).await;
    assert_eq!(
        (&sent["errCode"], &sent["errDlt"]),
        (&json!(1002), &json!("this server keeps presence, not messages"))
    );
}
