//! `kill -9` while clients come and go and the App fails at times: nothing that a client was told
//! is lost, order is kept, and the App's view ends right (promises P1 to P4).
//!
//! `CRASH_CYCLES` says how often it is killed; `cargo xtask crash` runs the whole.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::Client;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use support::{
    crowd::{Crowd, STAY, user},
    process::Process,
    *,
};
use tokio::{task::JoinSet, time::sleep};

const USERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_told_to_a_client_is_lost_however_often_the_server_is_killed() {
    let cycles = std::env::var("CRASH_CYCLES").map_or(5, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    app.answer(|_, before| async move {
        sleep(Duration::from_millis(before as u64 % 7)).await;
        if before % 9 == 4 { answer(503, "") } else { ok() }
    });
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        ("HERALD_PRESENCE__RESTART_GRACE", "3s"),
        // Its users come and go without end.
        ("HERALD_PRESENCE__USER_BUDGET", "0"),
    ];
    let mut herald = Process::new(folder.path(), &app.url(), &settings);
    let crowd = Crowd::of(&herald);
    let mut users = JoinSet::new();
    for n in 0..USERS {
        users.spawn(Arc::clone(&crowd).live(n));
    }
    for cycle in 0..cycles {
        herald.start().await;
        sleep(Duration::from_millis(50 + crowd.chance(750))).await;
        herald.kill();
        eprintln!("cycle {cycle}: {} logins told so far", crowd.told.lock().unwrap().len());
    }
    // Of hundreds of kills much is owed, and each failure makes the endpoint wait.
    app.answer(|_, _| async { ok() });
    herald.start().await;
    crowd.stop.store(true, Relaxed);
    let stayed: Vec<Client> = users.join_all().await.into_iter().flatten().collect();
    assert_eq!(stayed.len(), STAY);

    let truth: Vec<String> = (0..STAY).map(user).collect();
    eventually("who left is offline", || async { herald.users_online().await == truth }).await;
    eventually("all is told", || async { herald.owed().await == 0 }).await;
    let report = check(&app, &crowd, &truth);
    eprintln!("{cycles} kills: {report}");
}

fn check(app: &App, crowd: &Crowd, truth: &[String]) -> String {
    let received = app.received();
    let mut last: HashMap<String, Received> = HashMap::new();
    let (mut naive, mut by_seq) = (BTreeMap::new(), BTreeMap::<String, (u64, bool)>::new());
    let mut operations = HashSet::new();
    let mut repeats = 0;
    for one in &received {
        let body = one.json();
        let user = body["userID"].as_str().unwrap().to_owned();
        let (seq, online) = (body["seq"].as_u64().unwrap(), one.what().starts_with("online"));
        if let Some(before) = last.insert(user.clone(), one.clone()) {
            let repeated = before.body == one.body;
            repeats += u64::from(repeated);
            let rises = seq > before.json()["seq"].as_u64().unwrap();
            assert!(rises || repeated, "order: {:?} then {:?}", before.body, one.body);
        }
        if !one.taken() {
            continue;
        }
        operations.insert(one.headers["operationid"].to_str().unwrap().to_owned());
        naive.insert(user.clone(), online);
        let newest = by_seq.entry(user).or_default();
        *newest = (*newest).max((seq, online));
    }
    let told = crowd.told.lock().unwrap();
    let lost: Vec<_> = told.difference(&operations).collect();
    assert!(lost.is_empty(), "told to a client and never to the App: {lost:?}");
    let naive: Vec<_> = naive.iter().filter(|(_, online)| **online).map(|(user, _)| user).collect();
    assert_eq!(naive, truth.iter().collect::<Vec<_>>(), "the view of a naive App");
    let by_seq: Vec<_> = by_seq.iter().filter(|(_, (_, on))| *on).map(|(user, _)| user).collect();
    assert_eq!(by_seq, truth.iter().collect::<Vec<_>>(), "the view by seq");
    format!(
        "{} logins and statuses told to clients, 0 lost; {} requests to the App, {repeats} repeats",
        told.len(),
        received.len()
    )
}
