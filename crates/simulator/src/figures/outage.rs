//! How long until every App's view is right after it was away, and after a restart of Herald.

use super::phone::{Absence, Phone, Sdk};
use crate::{
    app::{App, Mode, Subject},
    dice::Dice,
    node::Node,
    plan::{Kind, Plan},
    sockets::Said,
    storm::{boot, user},
    tell,
    verdicts::what_the_sockets_say,
    world::World,
};
use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};
use store::{Memory, Store, UserQuery};

const KINDS: [Kind; 3] = [Kind::Flag, Kind::Connections, Kind::Platforms];
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// Nothing takes longer, or the figure is that it did.
const LOOKS_FOR: Duration = Duration::from_secs(600);
/// Each user loses the line twenty times an hour.
const LOSS_EVERY_MS: Range<u64> = 60_000..300_000;
/// A short loss, and one that outlasts the grace.
const AWAY_MS: [u64; 2] = [0, 60_000];
/// Of a hundred losses so many are logouts.
const LOGOUTS_PERCENT: u64 = 5;
/// How long a process takes to be back.
const RESTARTS_IN_MS: Range<u64> = 1_000..10_000;
/// Everybody has logged in.
const LOGINS: Duration = Duration::from_secs(120);

/// When one App's view was right.
#[derive(Debug, Clone)]
pub struct RightAfter {
    /// Which kind of App.
    pub app: &'static str,
    /// In simulated seconds, by `seq`; none: not within ten minutes.
    pub by_seq: Option<f64>,
    /// The same, where the App applies in arrival order.
    pub in_order: Option<f64>,
}

/// The Apps are away for so long while so many users come and go, which they go on to do. Right is
/// what Herald itself would say at that moment (`GET /v1/snapshot`).
pub fn after_app_outage(
    seed: u64,
    users: usize,
    away: Duration,
) -> Result<Vec<RightAfter>, String> {
    let plan = Plan::calm(users, &KINDS);
    tell(
        || World::planned(plan, Dice::new(seed), None),
        move |world| async move {
            let node = start(&world).await;
            for number in 0..users {
                tokio::spawn(comes_and_goes(Phone::new(&world, user(number), Sdk::Native)));
            }
            tokio::time::sleep(LOGINS).await;
            world.apps.iter().for_each(|app| app.set_mode(Mode::Unreachable));
            tokio::time::sleep(away).await;
            world.apps.iter().for_each(|app| app.set_mode(Mode::Well));
            right_after(&world, &node, Truth::Herald).await
        },
    )
}

/// Herald is killed and started again; of a hundred clients so many do not come back. Right is what
/// the sockets say; the time counts from the start of the new process.
pub fn after_restart(
    seed: u64,
    users: usize,
    stay_away_percent: u64,
) -> Result<Vec<RightAfter>, String> {
    let plan = Plan::calm(users, &KINDS);
    tell(
        || World::planned(plan, Dice::new(seed), None),
        move |world| async move {
            let node = start(&world).await;
            for number in 0..users {
                let sdk = world.pick(&[Sdk::Native, Sdk::Script]);
                let comes_back = !world.percent(stay_away_percent);
                tokio::spawn(redials(Phone::new(&world, user(number), sdk), comes_back));
            }
            tokio::time::sleep(LOGINS).await;
            let memory = node.crash(&world);
            drop(node);
            world.sleep(RESTARTS_IN_MS).await;
            let node = boot(&world, memory, 2).await;
            world.set_node(Some(Arc::clone(&node)));
            right_after(&world, &node, Truth::Sockets).await
        },
    )
}

/// Whose word is right.
#[derive(Clone, Copy)]
enum Truth {
    Herald,
    Sockets,
}

async fn start(world: &Arc<World>) -> Arc<Node> {
    let node = boot(world, Memory::default(), 1).await;
    world.set_node(Some(Arc::clone(&node)));
    node
}

async fn comes_and_goes(phone: Phone) {
    let world = Arc::clone(&phone.world);
    world.sleep(0..60_000).await;
    loop {
        let connected = phone.redial(0, Absence::Refuses).await;
        world.sleep(LOSS_EVERY_MS).await;
        if world.percent(LOGOUTS_PERCENT) {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let _ = connected.line.to_server.send(Said::LogOut(answer));
            let _ = answered.await;
        }
        drop(connected);
        let away = world.pick(&AWAY_MS);
        tokio::time::sleep(Duration::from_millis(away)).await;
    }
}

async fn redials(phone: Phone, comes_back: bool) {
    phone.world.sleep(0..60_000).await;
    let mut connected = phone.redial(0, Absence::Refuses).await;
    loop {
        let _ = connected.line.from_server.recv().await;
        if !comes_back {
            return;
        }
        connected = phone.redial(0, Absence::Refuses).await;
    }
}

/// Looks until all are right.
async fn right_after(world: &World, node: &Node, truth: Truth) -> Vec<RightAfter> {
    let began = world.ms();
    let never =
        |app: &Arc<App>| RightAfter { app: app.kind().name(), by_seq: None, in_order: None };
    let mut right: Vec<_> = world.apps.iter().map(never).collect();
    while world.ms() - began < LOOKS_FOR.as_millis() as u64 {
        let seconds = (world.ms() - began) as f64 / 1_000.0;
        for (app, right) in world.apps.iter().zip(&mut right) {
            let truth = match truth {
                Truth::Herald => what_herald_says(node, app.kind()).await,
                Truth::Sockets => what_the_sockets_say(world, node, app.kind()),
            };
            let views = app.views();
            if right.by_seq.is_none() && views.by_seq() == truth {
                right.by_seq = Some(seconds);
            }
            if right.in_order.is_none() && views.naive == truth {
                right.in_order = Some(seconds);
            }
        }
        if right.iter().all(|right| right.by_seq.is_some() && right.in_order.is_some()) {
            break;
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    right
}

async fn what_herald_says(node: &Node, kind: Kind) -> BTreeSet<Subject> {
    let query = UserQuery { online_only: true, after: None, limit: usize::MAX };
    let users = node.disk.memory.users(query).await.unwrap_or_default();
    let subjects = users.iter().flat_map(|(user, state)| {
        let connections = state.connections().iter();
        connections.map(move |c| kind.subject(user, c.platform, c.told_id()))
    });
    subjects.collect()
}
