//! The tools by which an App finds out whether its view is right, and makes it so.
#![allow(clippy::unwrap_used)]

mod support;

use contract::buckets::{Buckets, bucket_of};
use serde_json::{Value, json};
use server::{client::Client, config::Secret};
use std::collections::BTreeMap;
use support::*;
use wire::platform::Platform;

async fn crowd(herald: &Herald, users: &[&str]) -> Vec<Client> {
    let mut clients = Vec::new();
    for user in users {
        clients.push(herald.login(user, Platform::Ios).await);
    }
    clients
}

fn names(users: &Value) -> Vec<String> {
    let users = users.as_array().unwrap().iter();
    users.map(|user| user["userID"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_snapshot_tells_all_who_are_online_page_by_page_with_one_fence() {
    let herald = Herald::start(|_| {}).await;
    let _clients = crowd(&herald, &["a", "b:c", "d"]).await;
    let (status, first) = herald.admin("GET", "/v1/snapshot?limit=2", "").await;
    assert_eq!((status, names(&first["users"])), (200, vec!["a".into(), "b:c".into()]));
    // Who comes and goes between two pages is told beyond the fence.
    let _late = herald.login("aa", Platform::Web).await;
    let cursor = first["cursor"].as_str().unwrap().replace(':', "%3A");
    let (_, second) =
        herald.admin("GET", &format!("/v1/snapshot?limit=2&cursor={cursor}"), "").await;
    assert_eq!((names(&second["users"]), &second["cursor"]), (vec!["d".into()], &Value::Null));
    let fence = first["fence"].as_u64().unwrap();
    assert_eq!((&second["fence"], &second["epoch"]), (&json!(fence), &first["epoch"]));
    let seq = async |user: &str| {
        herald.admin("GET", &format!("/v1/users/{user}"), "").await.1["seq"].as_u64().unwrap()
    };
    assert!(seq("aa").await > fence);
    let (_, a) = herald.admin("GET", "/v1/users/a", "").await;
    let expected = json!({
        "userID": "a", "seq": a["seq"], "platformIDs": [1], "connIDs": [a["connections"][0]["connID"]],
        "isAppBackground": false, "backgroundPlatformIDs": [], "backgroundConnIDs": [],
    });
    assert_eq!(first["users"][0], expected);
    // Without a connection: as it is named in callbacks.
    herald.set_status("v", Platform::Web, json!({ "status": 1 })).await;
    let (_, last) = herald.admin("GET", &format!("/v1/snapshot?cursor={fence}%3Ad"), "").await;
    assert_eq!(last["users"][0]["connIDs"], json!([""]));
    for bad in ["cursor=x", "cursor=x%3Ay", "page=2"] {
        assert_eq!(herald.admin("GET", &format!("/v1/snapshot?{bad}"), "").await.0, 400, "{bad}");
    }
}

/// The digest of an App that believes these to be online, as raw bytes.
async fn diff(herald: &Herald, fields: &str, believed: &BTreeMap<String, String>) -> Value {
    let mut buckets = Buckets::new();
    believed.iter().for_each(|(user, detail)| buckets.toggle(user, detail));
    herald.tell_admin(&format!("/v1/diff{fields}"), &buckets.to_bytes()).await.1
}

#[tokio::test]
async fn a_diff_tells_the_truth_about_what_is_believed_wrongly_and_nothing_else() {
    let herald = Herald::start(|_| {}).await;
    let users = ["a", "b", "c", "d"];
    let _clients = crowd(&herald, &users).await;
    let mut believed: BTreeMap<String, String> =
        users.iter().map(|user| ((*user).to_owned(), String::new())).collect();
    let same = diff(&herald, "", &believed).await;
    assert_eq!((&same["differing"], &same["buckets"]), (&json!(0), &json!([])));

    believed.remove("b");
    believed.insert("ghost".into(), String::new());
    let told = diff(&herald, "?fields=user", &believed).await;
    assert_eq!((&told["differing"], &told["truncated"]), (&json!(2), &json!(false)));
    let buckets = told["buckets"].as_array().unwrap();
    let online = |user: &str| {
        let bucket = buckets.iter().find(|one| one["bucket"] == bucket_of(user)).unwrap();
        names(&bucket["users"])
    };
    assert_eq!(online("b"), ["b"]);
    assert_eq!(online("ghost"), [""; 0], "who is not named is offline");
    assert!(told["fence"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_diff_is_as_fine_as_what_the_app_keeps() {
    let herald = Herald::start(|_| {}).await;
    let _phone = herald.login("u", Platform::Ios).await;
    let _page = herald.login("u", Platform::Web).await;
    let (_, snapshot) = herald.admin("GET", "/v1/snapshot", "").await;
    let conns = &snapshot["users"][0]["connIDs"];
    let conns = format!("{},{}", conns[0].as_str().unwrap(), conns[1].as_str().unwrap());
    for (fields, detail, differing) in [
        ("platforms", "1,5", 0),
        ("platforms", "1", 1),
        ("connections", conns.as_str(), 0),
        ("connections", "", 1),
    ] {
        let believed = BTreeMap::from([("u".to_owned(), detail.to_owned())]);
        let told = diff(&herald, &format!("?fields={fields}"), &believed).await;
        assert_eq!(told["differing"], differing, "{fields} {detail}");
    }
    for (path, body) in [("/v1/diff", &[0; 9][..]), ("/v1/diff?fields=all", &[0; 524_288][..])] {
        assert_eq!(herald.tell_admin(path, body).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn an_epoch_outlives_a_restart_and_ends_with_the_store() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url.clone())).await;
    let epoch =
        async |herald: &Herald| herald.admin("GET", "/v1/snapshot", "").await.1["epoch"].clone();
    let first = epoch(&herald).await;
    let _client = herald.login("u", Platform::Ios).await;
    herald.all_told().await;
    assert_eq!(app.received()[0].headers["herald-epoch"], first.as_str().unwrap());
    let herald = herald.restart().await;
    assert_eq!(epoch(&herald).await, first);
    let another = Herald::start(|config| config.callbacks.url = Some(url)).await;
    assert_ne!(epoch(&another).await, first);
}

#[tokio::test]
async fn why_tells_the_changes_of_a_user_with_what_became_of_them() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    herald.login("u", Platform::Ios).await.close().await;
    app.hears(&["online u", "offline u"]).await;
    herald.all_told().await;
    let (_, why) = herald.admin("GET", "/v1/users/u/why", "").await;
    assert_eq!(why["now"], "offline; the last change: Offline, closed");
    let callbacks = why["callbacks"].as_array().unwrap();
    let told = |at: usize| {
        (callbacks[at]["reason"].clone(), callbacks[at]["attempts"][0]["status"].clone())
    };
    assert_eq!(told(0), (json!("closed"), json!(200)));
    assert_eq!(told(1), (json!("login"), json!(200)));
    let (_, nobody) = herald.admin("GET", "/v1/users/nobody/why", "").await;
    assert!(nobody["now"].as_str().unwrap().starts_with("offline, and never told online"));
}

#[tokio::test]
async fn what_the_app_is_told_can_be_read_in_order_with_the_same_ids() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.secrets = vec![Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    })
    .await;
    let (_, start) = herald.admin("GET", "/v1/events", "").await;
    assert_eq!(start["events"], json!([]));
    let after = |page: &Value| format!("/v1/events?after={}", page["cursor"].as_str().unwrap());
    let start = after(&start);
    let mut clients = crowd(&herald, &["a", "b"]).await;
    clients.remove(0).close().await;
    let told = app.hears(&["online a", "online b", "offline a"]).await;
    herald.all_told().await;
    let (_, page) = herald.admin("GET", &format!("{start}&limit=2"), "").await;
    let (_, rest) = herald.admin("GET", &after(&page), "").await;
    let events: Vec<_> =
        [&page, &rest].iter().flat_map(|page| page["events"].as_array().unwrap().clone()).collect();
    let what = |event: &Value| {
        let body = &event["callback"];
        format!(
            "{} {}",
            body["callbackCommand"].as_str().unwrap(),
            body["userID"].as_str().unwrap()
        )
    };
    let expected = [
        "callbackUserOnlineCommand a",
        "callbackUserOnlineCommand b",
        "callbackUserOfflineCommand a",
    ];
    assert_eq!(events.iter().map(what).collect::<Vec<_>>(), expected);
    assert_eq!(events[0]["callback"]["epoch"], page["epoch"]);
    let mut ids: Vec<_> =
        told.iter().map(|told| told.headers["webhook-id"].to_str().unwrap()).collect();
    let mut read: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    read.sort_unstable();
    assert_eq!(ids, read);
    // What is not kept any more must not be skipped in silence.
    assert_eq!(
        herald.admin("POST", "/v1/callbacks/purge", r#"{"state":"delivered"}"#).await.0,
        200
    );
    assert_eq!(herald.admin("GET", &start, "").await.0, 410);
    assert_eq!(herald.admin("GET", &after(&rest), "").await.0, 200);
    let now = herald.admin("GET", "/v1/events", "").await;
    assert_eq!((now.0, herald.admin("GET", &after(&now.1), "").await.0), (200, 200));
    // As a store gave it that is lost, and as nobody did.
    assert_eq!(herald.admin("GET", "/v1/events?after=1.another", "").await.0, 410);
    for bad in ["after=x", "after=1", "after=-1.x", "after=+1.x", "limit=x", "page=1"] {
        assert_eq!(herald.admin("GET", &format!("/v1/events?{bad}"), "").await.0, 400, "{bad}");
    }
    assert_eq!(herald.admin("GET", "/v1/events?endpoint=other", "").await.0, 404);
}

#[tokio::test]
async fn a_stream_of_events_follows_what_happens_and_can_be_resumed() {
    let app = App::start().await;
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let (_, start) = herald.admin("GET", "/v1/events", "").await;
    let start = format!("after={}", start["cursor"].as_str().unwrap());
    let _a = crowd(&herald, &["a"]).await;
    let mut stream = streamed(&herald, &start).await;
    let (first, user) = next_event(&mut stream).await;
    assert_eq!(user, "a");
    let _b = crowd(&herald, &["b"]).await;
    let second = next_event(&mut stream).await;
    assert_eq!(second.1, "b");
    drop(stream);
    let mut stream = streamed(&herald, &format!("after={first}")).await;
    assert_eq!(next_event(&mut stream).await, second);
    // The server stops all the same.
    herald.running.stop().await;
}

type Stream = tokio::io::Lines<tokio::io::BufReader<tokio::net::TcpStream>>;

async fn streamed(herald: &Herald, query: &str) -> Stream {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
    let mut line = tokio::net::TcpStream::connect(herald.running.admin).await.unwrap();
    let request = format!(
        "GET /v1/events?{query} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\
         Accept: text/event-stream\r\n\r\n",
        herald.running.admin_token
    );
    line.write_all(request.as_bytes()).await.unwrap();
    tokio::io::BufReader::new(line).lines()
}

/// The id and the user of the next event.
async fn next_event(stream: &mut Stream) -> (String, String) {
    let mut id = None;
    while let Some(line) = stream.next_line().await.unwrap() {
        if let Some(text) = line.strip_prefix("id: ") {
            id = Some(text.to_owned());
        }
        if let Some(json) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(json).unwrap();
            let user = event["callback"]["userID"].as_str().unwrap().to_owned();
            return (id.take().or(event["cursor"].as_str().map(str::to_owned)).unwrap(), user);
        }
    }
    panic!("the stream ended");
}
