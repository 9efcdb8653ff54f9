//! How many requests an App gets for a mobile user whose line is lost 20 times an hour.

use super::phone::{Absence, Phone, Sdk};
use crate::{
    dice::Dice,
    plan::{Kind, Plan},
    storm::{boot, user},
    tell, verdicts,
    world::World,
};
use std::{sync::Arc, time::Duration};
use store::{CallbackQuery, Memory, Store};

/// Twenty an hour.
const LOSS_EVERY_MS: u64 = 180_000;
const LOSSES_PER_HOUR: u64 = 3_600_000 / LOSS_EVERY_MS;
/// Within its time, so that everything it causes is over before the next.
const LOST_AT_MS: std::ops::Range<u64> = 1_000..60_000;
/// Everybody has logged in.
const LOGINS_MS: u64 = 60_000;
const QUIET: Duration = Duration::from_secs(120);
const KINDS: [Kind; 4] = [Kind::Flag, Kind::QuietFlag, Kind::Connections, Kind::Platforms];

/// What one App was sent.
#[derive(Debug, Clone)]
pub struct Posts {
    /// Which kind of App.
    pub app: &'static str,
    /// By `online.scope` and `offline.scope`.
    pub scopes: String,
    /// Requests per user and hour, without the first login.
    pub per_user_hour: f64,
}

/// Lets so many users lose their lines for so many hours; the network is away for so long each
/// time. Says what each kind of App was sent.
pub fn posts(seed: u64, users: usize, hours: u64, away_ms: u64) -> Result<Vec<Posts>, String> {
    let plan = Plan::calm(users, &KINDS);
    tell(
        || World::planned(plan, Dice::new(seed), None),
        move |world| async move { play(&world, hours, away_ms).await },
    )
}

async fn play(world: &Arc<World>, hours: u64, away_ms: u64) -> Vec<Posts> {
    let node = boot(world, Memory::default(), 1).await;
    world.set_node(Some(Arc::clone(&node)));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..world.plan.users {
        let phone = Phone::new(world, user(number), Sdk::Native);
        running.spawn(moves_about(phone, hours * LOSSES_PER_HOUR, away_ms));
    }
    let stay = running.join_all().await;
    tokio::time::sleep(QUIET).await;
    verdicts::at_the_end(world).await;
    drop(stay);
    let query = CallbackQuery { limit: usize::MAX, ..CallbackQuery::default() };
    let records = node.disk.memory.callbacks(query).await.unwrap_or_default();
    let posts = |(kind, endpoint): (Kind, &Arc<server::callbacks::Endpoint>)| {
        let name = &endpoint.settings.name;
        let of = records.iter().filter(|record| record.id.endpoint == *name);
        let requests: usize = of.map(|record| record.attempts.len()).sum();
        let logins = world.plan.users;
        Posts {
            app: kind.name(),
            scopes: scopes(kind),
            per_user_hour: (requests - logins) as f64 / (world.plan.users as u64 * hours) as f64,
        }
    };
    KINDS.into_iter().zip(&node.endpoints).map(posts).collect()
}

fn scopes(kind: Kind) -> String {
    let interest = kind.interest(false, false);
    let name = |scope: Option<presence::Scope>| {
        scope.map_or_else(String::new, |scope| format!("{scope:?}").to_lowercase())
    };
    format!("{}/{}", name(interest.online), name(interest.offline))
}

async fn moves_about(phone: Phone, losses: u64, away_ms: u64) -> super::phone::Connected {
    let world = Arc::clone(&phone.world);
    let mut connected = phone.redial(0, Absence::Refuses).await;
    let begins = LOGINS_MS;
    for loss in 0..losses {
        let at = begins + loss * LOSS_EVERY_MS + world.within(LOST_AT_MS);
        tokio::time::sleep(Duration::from_millis(at.saturating_sub(world.ms()))).await;
        drop(connected.line);
        connected = phone.redial(at + away_ms, Absence::Refuses).await;
    }
    connected
}
