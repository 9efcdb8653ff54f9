//! Clients that come and go without end, as the real ones do, while the server is stopped and killed.

use super::{process::Process, token};
use server::client::{Client, http};
use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;
use wire::platform::Platform;

/// Those who hold a connection when it is over.
pub const STAY: usize = 20;

/// Clients that come and go, and what they were told.
pub struct Crowd {
    gateway: SocketAddr,
    api: SocketAddr,
    /// The operationID of each login and each status that was answered with success.
    pub told: Mutex<HashSet<String>>,
    operations: AtomicU64,
    random: Random,
    pub stop: AtomicBool,
}

impl Crowd {
    pub fn of(herald: &Process) -> Arc<Crowd> {
        Arc::new(Crowd {
            gateway: herald.gateway,
            api: herald.api,
            told: Mutex::default(),
            operations: AtomicU64::new(0),
            random: Random::default(),
            stop: AtomicBool::new(false),
        })
    }

    /// Comes and goes until told to stop; the first few then hold a connection.
    pub async fn live(self: Arc<Crowd>, n: usize) -> Option<Client> {
        loop {
            let client = self.login(&user(n)).await;
            if self.stop.load(Relaxed) {
                match client {
                    Some(client) if n < STAY => return Some(client),
                    None if n < STAY => {
                        sleep(Duration::from_millis(20)).await;
                        continue;
                    }
                    _ => return None,
                }
            }
            let Some(client) = client else {
                sleep(Duration::from_millis(10 + self.chance(60))).await;
                continue;
            };
            sleep(Duration::from_millis(self.chance(200))).await;
            self.leaves(&user(n), client).await;
        }
    }

    /// In one of the ways in which clients go.
    pub async fn leaves(&self, user: &str, mut client: Client) {
        match self.chance(4) {
            0 => client.close().await,
            1 => client.cut(),
            2 => {
                self.set_status(user).await;
                client.cut();
            }
            _ => {
                let _ = client.request(user, wire::identifier::LOGOUT, "").await;
                client.close().await;
            }
        }
    }

    /// None: it was not let in.
    pub async fn login(&self, user: &str) -> Option<Client> {
        let operation = self.operation();
        let token = token(user, Platform::Ios);
        let url = format!(
            "ws://{}/?sendID={user}&token={token}&platformID=1&operationID={operation}\
             &isBackground=false&isMsgResp=true&sdkType=js",
            self.gateway
        );
        let client = Client::dial(&url).await.ok()?;
        self.told.lock().unwrap().insert(operation);
        Some(client)
    }

    async fn set_status(&self, user: &str) {
        let operation = self.operation();
        let token = token(user, Platform::Ios);
        let headers = [("operationID", operation.as_str()), ("token", &token)];
        // Each text is news, so each success owes a callback: the client is connected meanwhile.
        let status = serde_json::json!({
            "userID": user, "platformID": 1, "status": 1, "text": operation,
        });
        let path = "/user/set_user_status";
        let answer = http(self.api, "POST", path, &headers, &status.to_string()).await;
        if answer.is_ok_and(|(status, body)| status == 200 && body.contains("\"errCode\":0")) {
            self.told.lock().unwrap().insert(operation.clone());
        }
        let take_back = serde_json::json!({ "userID": user, "platformID": 1, "status": 0 });
        let _ = http(self.api, "POST", path, &headers, &take_back.to_string()).await;
    }

    fn operation(&self) -> String {
        format!("op-{}", self.operations.fetch_add(1, Relaxed))
    }

    pub fn chance(&self, limit: u64) -> u64 {
        self.random.below(limit)
    }
}

/// Numbers that look random.
#[derive(Default)]
pub struct Random(AtomicU64);

impl Random {
    /// A number below `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        // SplitMix64: a counter, well mixed.
        let x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 33) % limit
    }
}

pub fn user(n: usize) -> String {
    format!("u{n:02}")
}
