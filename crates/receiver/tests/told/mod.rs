//! Histories as Herald would tell them, and what the net makes of them: twice, late, in any order.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]
#![allow(clippy::unwrap_used)]

use herald_receiver::{Event, Kind, Receiver, Scope};
use std::collections::BTreeSet;

pub const SCOPES: [Scope; 3] = [Scope::User, Scope::Platform, Scope::Connection];
pub const USERS: [&str; 3] = ["ann", "bob", "zoë'"];
const CONNECTIONS: [&str; 3] = ["", "c1", "c2"];

/// One callback, read as an App reads it. Platform 0: not told. Every third one is of the background.
pub fn event(kind: Kind, user: &str, seq: u64, platform: usize, conn: &str) -> Event {
    let what = match kind {
        Kind::Online => "Online",
        Kind::Offline => "Offline",
        Kind::KickOff => "KickOff",
        Kind::Background => "Background",
    };
    let command = format!("callbackUser{what}Command");
    let body = serde_json::json!({
        "userID": user, "callbackCommand": command, "seq": seq, "connID": conn, "platformID": platform,
        "isAppBackground": matches!(kind, Kind::Online | Kind::Background) && seq.is_multiple_of(3),
    });
    Receiver::new().read(&format!("command={command}"), body.to_string().as_bytes()).unwrap()
}

/// Numbers that look random and are the same in every run (Knuth's MMIX constants).
pub struct Lcg(pub u64);

impl Lcg {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// What happened to three users, seq by seq and with gaps, as Herald would tell it.
pub fn history(random: &mut Lcg) -> Vec<Event> {
    let mut seqs = [0; 3];
    let length = 1 + random.below(20);
    let changes = (0..length).map(|_| {
        let user = random.below(3);
        seqs[user] += 1 + random.below(3) as u64;
        let (kind, platform, conn) = (random.below(4), 1 + random.below(2), random.below(3));
        event(Kind::ALL[kind], USERS[user], seqs[user], platform, CONNECTIONS[conn])
    });
    changes.collect()
}

/// Each event once to three times, in any order.
pub fn delivery(history: &[Event], random: &mut Lcg) -> Vec<Event> {
    let mut told: Vec<_> = history.to_vec();
    for _ in 0..random.below(2 * history.len()) {
        told.push(history[random.below(history.len())].clone());
    }
    for last in (1..told.len()).rev() {
        told.swap(last, random.below(last + 1));
    }
    told
}

/// What Herald sends after a long outage: of each subject the last word about being online, what came after
/// it about the background, and every kick-off.
pub fn collapsed(history: &[Event], scope: Scope) -> Vec<Event> {
    let mut spoken_for = BTreeSet::new();
    let mut left: Vec<Event> = history
        .iter()
        .rev()
        .filter(|event| {
            let mut is_last =
                |of| spoken_for.insert((event.user_id.clone(), event.subject(scope), of));
            match event.kind {
                Kind::KickOff => true,
                Kind::Background => is_last("background"),
                Kind::Online | Kind::Offline => {
                    is_last("background");
                    is_last("online")
                }
            }
        })
        .cloned()
        .collect();
    left.reverse();
    left
}
