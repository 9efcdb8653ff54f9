//! What one client, or one address, can take of the machine: every door has its bounds.
#![allow(clippy::unwrap_used)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use server::client::{Client, Heard};
use std::{net::SocketAddr, time::Duration};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wire::{
    identifier::SUB_USER_ONLINE_STATUS,
    message::{Message, SubUserOnlineStatus, SubUserOnlineStatusTips},
    platform::Platform,
};

/// Sends a head that announces a body, and none of it; the answer, which must not wait for it.
async fn without_its_body(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = vec![0; 64 * 1024];
    let count = timeout(Duration::from_secs(20), stream.read(&mut read)).await;
    String::from_utf8_lossy(&read[..count.expect("it waits for the body").unwrap()]).into_owned()
}

#[tokio::test]
async fn who_calls_is_known_before_a_body_is_read() {
    let herald = Herald::start(|_| {}).await;
    let user = token("u", Platform::Ios);
    let operation = "operationID: o\r\n";
    let rows = [
        ("/user/get_users_status", operation.to_owned(), "header must have token"),
        ("/user/get_users_status", String::new(), "header must have operationID"),
        ("/user/get_users_status", format!("{operation}token: no.to.ken\r\n"), "150"),
        ("/auth/force_logout", format!("{operation}token: {user}\r\n"), "administrator"),
        ("/friend/get_friend_list", operation.to_owned(), "header must have token"),
        ("/auth/parse_token", operation.to_owned(), "body: longer than 16384 bytes"),
    ];
    for (path, headers, words) in rows {
        let answer = without_its_body(herald.running.api, path, &headers).await;
        assert!(answer.contains(words), "{path}: {answer}");
    }
    let answer = without_its_body(herald.running.admin, "/v1/diff", "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

/// One user's long requests are refused before those of others are.
#[tokio::test]
async fn the_bodies_of_one_user_keep_out_nobody_else() {
    let herald = Herald::start(|_| {}).await;
    let held = (0..4).map(async |_| {
        let mut stream = TcpStream::connect(herald.running.api).await.unwrap();
        let token = token("greedy", Platform::Ios);
        let head = format!(
            "POST /user/get_users_status HTTP/1.1\r\nHost: x\r\noperationID: o\r\ntoken: {token}\r\n\
             Content-Length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&[b' '; 999_999]).await;
        stream
    });
    let mut held = futures_util::future::join_all(held).await;
    let mut told = String::new();
    for stream in &mut held {
        let mut read = [0; 4096];
        if let Ok(Ok(count)) = timeout(Duration::from_millis(300), stream.read(&mut read)).await {
            told.push_str(&String::from_utf8_lossy(&read[..count]));
        }
    }
    assert!(told.contains("too many long requests"), "{told}");
    let names: Vec<String> = (0..900).map(|n| format!("{n:0>100}")).collect();
    let asks = json!({ "userIDs": names });
    let answer = herald.rest("/user/get_users_status", &token("u", Platform::Ios), asks).await;
    assert_eq!(answer["errCode"], 0, "{answer}");
}

async fn watch(client: &mut Client, user: &str, names: Vec<String>) -> Vec<String> {
    let said = SubUserOnlineStatus { subscribe_user_ids: names, unsubscribe_user_ids: Vec::new() };
    let data = STANDARD.encode(said.encode_to_vec());
    client.request(user, SUB_USER_ONLINE_STATUS, &data).await.unwrap();
    let Heard::Frame(frame) = client.hear().await else { panic!("the line ended") };
    let data = STANDARD.decode(frame["data"].as_str().unwrap()).unwrap();
    let tips = SubUserOnlineStatusTips::decode(data.as_slice()).unwrap();
    tips.subscribers.into_iter().map(|element| element.user_id).collect()
}

#[tokio::test]
async fn only_names_that_somebody_can_have_are_watched() {
    let herald = Herald::start(|_| {}).await;
    let mut client = herald.login("w", Platform::Web).await;
    let names = ["x".repeat(257), "a\nb".into(), String::new(), "y".repeat(256), "u".into()];
    let answered = watch(&mut client, "w", names.to_vec()).await;
    assert_eq!(answered, ["y".repeat(256), "u".to_owned()]);
}

#[tokio::test]
async fn all_connections_of_a_user_watch_so_many_together() {
    let herald = Herald::start(|_| {}).await;
    let mut clients = Vec::new();
    for connection in 0..5 {
        let mut client = herald.login("w", Platform::Web).await;
        for part in 0..3 {
            let name = |n| format!("user-{connection}-{part}-{n}");
            assert_eq!(watch(&mut client, "w", (0..1_000).map(name).collect()).await.len(), 1_000);
        }
        clients.push(client);
    }
    // The last ones were answered, and are not watched.
    let _first = herald.login("user-0-0-0", Platform::Web).await;
    assert!(matches!(clients[0].hear().await, Heard::Frame(_)));
    let _last = herald.login("user-4-2-999", Platform::Web).await;
    let nothing = timeout(Duration::from_millis(300), clients[4].hear()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop(clients.remove(0));
    let mut client = herald.login("w", Platform::Web).await;
    eventually("there is room again", || async {
        herald.metric("herald_connections").await <= 7.0
    })
    .await;
    watch(&mut client, "w", vec!["later".into()]).await;
    let _later = herald.login("later", Platform::Web).await;
    assert!(matches!(client.hear().await, Heard::Frame(_)));
}

#[tokio::test]
async fn accounts_are_bounded_and_told_once() {
    let herald = Herald::start(|_| {}).await;
    let admin = json!({ "secret": SECRET, "userID": "imAdmin" });
    let admin = herald.rest("/auth/get_admin_token", "", admin).await;
    let admin = admin["data"]["token"].as_str().unwrap().to_owned();
    let register = async |user: Value| {
        herald.rest("/user/user_register", &admin, json!({ "users": [user] })).await
    };
    for (field, most) in [("nickname", 256), ("faceURL", 1024), ("ex", 4096)] {
        let mut user = json!({ "userID": "long", "nickname": "n" });
        user[field] = json!("x".repeat(most + 1));
        let answer = register(user).await;
        assert_eq!(answer["errCode"], 1001, "{answer}");
        assert!(answer["errDlt"].as_str().unwrap().contains(&format!("more than {most} bytes")));
    }
    let long = json!({ "userID": "u", "nickname": "n", "ex": "x".repeat(4096) });
    assert_eq!(register(long).await["errCode"], 0);
    let asks = json!({ "userIDs": vec!["u"; 300] });
    let answer = herald.rest("/user/get_users_info", &token("v", Platform::Ios), asks).await;
    assert_eq!(answer["data"]["usersInfo"].as_array().unwrap().len(), 1);
}
