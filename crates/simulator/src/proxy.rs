//! A proxy between Herald and the Apps that loses answers, sends requests twice and holds copies up,
//! and never stops doing so: is each App right in the end?
//!
//! Start at [`proxied`].

use crate::{
    app::{App, Request, Subject},
    client::spawn_devices,
    dice::Dice,
    network::unanswered,
    node::Node,
    plan::{Kind, Plan},
    storm::{backend, boot, during_storm, user},
    tell,
    verdicts::{self, what_the_sockets_say},
    world::World,
};
use presence::UserId;
use server::callbacks::Sent;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use store::{Memory, Store};
use tokio::sync::oneshot;

/// How long a copy may be held up.
const HELD_UP_MS: u64 = 60_000;
/// After the last deed every grace and lease ends within it, and after the last callback every copy
/// that is held up arrives.
const QUIET: Duration = Duration::from_secs(210);
/// So many users for one backend that sets their statuses and kicks them.
const USERS_PER_BACKEND: usize = 10;

/// What the proxy does.
#[derive(Debug, Clone, Copy)]
pub struct Proxy {
    /// Of a hundred answers so many are lost; the App has applied the request.
    pub lost_percent: u64,
    /// Of a hundred requests so many arrive twice.
    pub twice_percent: u64,
    /// Whether the second copy may arrive later, after newer requests.
    pub reorders: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Proxied {
    pub users: usize,
    /// Changes that were told to at least one App.
    pub transitions: u64,
    pub posts: u64,
    pub answers_lost: u64,
    pub arrived_twice: u64,
    /// How long it took until everything owed was told, in simulated seconds.
    pub seconds: u64,
    /// Open sockets at the end: an empty house is easy to be right about.
    pub sockets: usize,
    pub views: Vec<ViewAtEnd>,
}

/// What one App believes in the end.
#[derive(Debug, Clone)]
pub struct ViewAtEnd {
    /// Which kind of App.
    pub app: &'static str,
    /// Users about whom it is wrong, where it keeps the highest `seq`.
    pub wrong_by_seq: usize,
    /// Users about whom it is wrong, where it applies in arrival order.
    pub wrong_in_order: usize,
}

/// Lets so many users make so many transitions, which three kinds of App are told through the proxy,
/// and waits until everything owed is told.
pub fn proxied(
    seed: u64,
    users: usize,
    transitions: u64,
    collapse: bool,
    proxy: Proxy,
) -> Result<Proxied, String> {
    let mut plan = Plan::calm(users, &[Kind::Flag, Kind::Connections, Kind::Platforms]);
    plan.proxy = Some(proxy);
    let settings = &mut plan.settings;
    settings.collapse_after = settings.collapse_after.filter(|_| collapse);
    let world = || World::planned(plan, Dice::new(seed), None);
    tell(world, move |world| play(world, transitions))
}

async fn play(world: Arc<World>, transitions: u64) -> Proxied {
    let node = boot(&world, Memory::default(), 1).await;
    world.set_node(Some(Arc::clone(&node)));
    for number in 0..world.plan.users {
        spawn_devices(&world, &user(number));
    }
    for _ in 0..world.plan.users.div_ceil(USERS_PER_BACKEND) {
        tokio::spawn(during_storm(Arc::clone(&world), backend(Arc::clone(&world))));
    }
    while changes(&world) < transitions {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.becomes_quiet();
    tokio::time::sleep(QUIET).await;
    while owed(&node).await > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seconds = world.ms() / 1_000;
    tokio::time::sleep(QUIET).await;
    verdicts::at_the_end(&world).await;
    let sockets = world.ledger().open(node.number).count();
    Proxied {
        users: world.plan.users,
        transitions: changes(&world),
        posts: world.times("proxy: request"),
        answers_lost: world.times("proxy: answer lost"),
        arrived_twice: world.times("proxy: arrived twice"),
        seconds,
        sockets,
        views: world.apps.iter().map(|app| view(&world, &node, app)).collect(),
    }
}

fn changes(world: &World) -> u64 {
    world.times("change: online") + world.times("change: offline")
}

async fn owed(node: &Node) -> u64 {
    let mut owed = 0;
    for endpoint in &node.endpoints {
        let backlog = node.disk.memory.backlog(&endpoint.settings.name).await;
        owed += backlog.map_or(0, |backlog| backlog.owed);
    }
    owed
}

fn view(world: &World, node: &Node, app: &App) -> ViewAtEnd {
    let truth = what_the_sockets_say(world, node, app.kind());
    let views = app.views();
    ViewAtEnd {
        app: app.kind().name(),
        wrong_by_seq: differing(&truth, &views.by_seq()).len(),
        wrong_in_order: differing(&truth, &views.naive).len(),
    }
}

/// The users about whom two views differ.
fn differing<'a>(one: &'a BTreeSet<Subject>, other: &'a BTreeSet<Subject>) -> BTreeSet<&'a UserId> {
    one.symmetric_difference(other).map(Subject::user).collect()
}

impl Proxy {
    /// Passes a request on, as badly as it does.
    pub(crate) async fn pass(self, world: &Arc<World>, app: &Arc<App>, request: Request) -> Sent {
        world.count("proxy: request");
        if world.percent(self.twice_percent) {
            world.count("proxy: arrived twice");
            let copy = arrive(Arc::clone(world), Arc::clone(app), request.clone());
            if self.reorders {
                app.goes_out_of_order();
                let held_up = Duration::from_millis(world.within(0..HELD_UP_MS));
                tokio::spawn(async move {
                    tokio::time::sleep(held_up).await;
                    copy.await;
                });
            } else {
                copy.await;
            }
        }
        let sent = arrive(Arc::clone(world), Arc::clone(app), request).await;
        if !world.percent(self.lost_percent) {
            return sent;
        }
        world.count("proxy: answer lost");
        // The line breaks, or nothing comes until Herald has waited long enough.
        if world.percent(50) {
            std::future::pending::<()>().await;
        }
        unanswered("the answer was lost")
    }
}

/// The App works on one copy of a request.
async fn arrive(world: Arc<World>, app: Arc<App>, request: Request) -> Sent {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(app.serve(world, request, answer));
    answered.await.unwrap_or_else(|_| unanswered("the exchange broke off"))
}
