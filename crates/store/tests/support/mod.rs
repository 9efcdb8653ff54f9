//! What tests of a store with files share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use presence::*;
use std::time::Duration;
use store::*;

pub fn name(user: &str) -> UserId {
    UserId::new(user)
}

pub fn main() -> EndpointName {
    EndpointName::new("main")
}

pub fn logged_in(at: u64) -> Event {
    Event::Connected(Login {
        conn: ConnId(u128::from(at).to_be_bytes()),
        platform: Platform::Ios,
        token: TokenHash([1; 16]),
        issued_at: Timestamp(1),
        background: false,
        address: None,
    })
}

/// One user logs in at that time, or fails to.
pub async fn try_login(store: &dyn Store, user: &str, at: u64) -> Result<(), StoreError> {
    step(store, user, logged_in(at), at).await
}

pub async fn login(store: &dyn Store, user: &str, at: u64) {
    try_login(store, user, at).await.unwrap();
}

/// All of a user's connections log out.
pub async fn logout(store: &dyn Store, user: &str, at: u64) {
    let state = store.load(&name(user)).await.unwrap().value;
    for connection in state.connections() {
        let event = Event::Disconnected { conn: connection.id, end: End::LoggedOut };
        step(store, user, event, at).await.unwrap();
    }
}

pub async fn step(store: &dyn Store, user: &str, event: Event, at: u64) -> Result<(), StoreError> {
    let loaded = store.load(&name(user)).await?;
    store.commit(decided(loaded, user, event, at)).await
}

/// What an event does to a user, ready to be stored.
pub fn decided(loaded: Versioned<User>, user: &str, event: Event, at: u64) -> Commit {
    let policy = Policy {
        offline_grace: Duration::from_secs(10),
        restart_grace: Duration::from_secs(10),
        virtual_lease: Duration::from_secs(10),
        login: LoginPolicy::None,
        ..Policy::default()
    };
    let Versioned { version, value: mut state } = loaded;
    let effects = state.apply(event, Now { mono: Instant(at), wall: Timestamp(at) }, &policy);
    let callback = |change| NewCallback {
        endpoint: main(),
        change,
        operation_id: "op".into(),
        due_at: Instant(0),
        asks: false,
        speaks_for: Vec::new(),
    };
    Commit {
        user: name(user),
        based_on: version,
        state,
        wake_at: effects.wake_at,
        callbacks: effects.changes.into_iter().map(callback).collect(),
        settles: None,
        answers: None,
        at: Timestamp(at),
    }
}

pub async fn claim(store: &dyn Store) -> Vec<Claimed> {
    let (now, lease) = (Instant(0), Duration::from_secs(10));
    store.claim(Claim { endpoint: main(), now, lease, limit: 100 }).await.unwrap()
}

pub fn settlement(claimed: &Claimed, fate: Fate) -> Settlement {
    let attempt = AttemptRecord {
        at: Timestamp(1),
        took_ms: 2,
        status: Some(200),
        answer: None,
        error: None,
        verdict: "delivered".into(),
    };
    Settlement {
        lease: claimed.lease.clone(),
        subject: Subject::of(&claimed.change, Scope::User),
        change: claimed.change.clone(),
        attempt: Some(attempt),
        fate,
        at: Timestamp(3),
    }
}

pub async fn deliver_all(store: &dyn Store) {
    loop {
        let claimed = claim(store).await;
        if claimed.is_empty() {
            return;
        }
        for callback in claimed {
            store.settle(settlement(&callback, Fate::Delivered)).await.unwrap();
        }
    }
}

pub async fn online(store: &dyn Store) -> Vec<String> {
    let query = UserQuery { online_only: true, after: None, limit: 100 };
    let users = store.users(query).await.unwrap();
    users.into_iter().map(|(user, _)| user.to_string()).collect()
}
