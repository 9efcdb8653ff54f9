//! What must hold at any time while the store works (P5), and when everything has been quiet (P1,
//! P3).

use crate::{
    app::Subject,
    ledger::{Stage, WAIT_MS_MAX, short},
    node::Node,
    plan::Kind,
    world::World,
};
use presence::{ConnId, Connection, HoldReason, Session};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use store::{CallbackQuery, CallbackRecord, CallbackState, Store, UserQuery};

const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// How long after its time a departure may still be undecided: a tick, and its commit.
const LATE_MS_MAX: u64 = 1_000;
/// No run owes an endpoint so much.
const OWED_MAX: u64 = 100_000;
/// Fewer users than these with slow commits hold nobody's graces.
const SLOW_USERS_MIN: usize = 20;
/// The store must have worked for so long before it can be blamed.
const CALM: Duration = Duration::from_secs(5);

/// P5: who is gone counts as present no longer than promised.
pub(crate) async fn audit(world: Arc<World>) {
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        let Some(node) = world.node() else { continue };
        // A process that stops keeps those whom it sends away, for the next one.
        if world.store_calm_for() < CALM || node.doors.is_cancelled() {
            continue;
        }
        nobody_waits_for_ever(&world, &node);
        holds_are_right(&world, &node);
        let query = UserQuery { online_only: true, after: None, limit: usize::MAX };
        let users = node.disk.memory.users(query).await.unwrap_or_default();
        let now = node.clock.now().mono;
        let held_until = node.driver.held_until();
        for (user, state) in users {
            if world.is_slowed(&user) {
                continue;
            }
            for connection in state.connections() {
                let problem = match connection.session {
                    Session::AtGate | Session::Live => is_a_ghost(&world, &node, connection.id),
                    // While the App is asked about its return, its grace does not end.
                    Session::Lingering { until, .. } => {
                        let returns = |c: &Connection| {
                            let session = (connection.platform, connection.token);
                            c.session == Session::AtGate && (c.platform, c.token) == session
                        };
                        until.max(held_until).0 + LATE_MS_MAX < now.0
                            && !state.connections().iter().any(returns)
                    }
                    Session::Virtual { until } => until.0 + LATE_MS_MAX < now.0,
                };
                if problem {
                    let session = connection.session;
                    let conn = short(connection.id);
                    world.violated("P5", &format!("{conn} of {user} still counts: {session:?}"));
                }
            }
        }
    }
}

/// A login is decided, one way or the other, while its client waits for it.
fn nobody_waits_for_ever(world: &World, node: &Node) {
    let now = world.ms();
    let calm_ms = world.store_calm_for().as_millis() as u64;
    let late = |began: u64| began + WAIT_MS_MAX + LATE_MS_MAX < now && now - began < calm_ms;
    let waiting: Vec<_> = {
        let ledger = world.ledger();
        let late = ledger.waiting(node.number).filter(|(_, socket)| late(socket.began));
        late.map(|(conn, socket)| (*conn, socket.user.clone())).collect()
    };
    for (conn, user) in waiting.into_iter().filter(|(_, user)| !world.is_slowed(user)) {
        world.violated("P5", &format!("{} of {user} waits for ever", short(conn)));
    }
}

/// Few users are not so many that everybody's graces may be held for them.
fn holds_are_right(world: &World, node: &Node) {
    if node.driver.held() == Some(HoldReason::StoreSlow) && world.plan.users < SLOW_USERS_MIN {
        world.violated("P4", "graces are held for all because of the commits of a few");
    }
}

/// It counts as live, and its socket has been gone for a while, or never was.
fn is_a_ghost(world: &World, node: &Node, conn: ConnId) -> bool {
    let now = world.ms();
    match world.ledger().sockets.get(&conn) {
        Some(socket) if socket.node == node.number => match socket.stage {
            Stage::Waits | Stage::Open => false,
            Stage::Ended(at, _) => at + LATE_MS_MAX < now,
        },
        _ => true,
    }
}

/// P1 and P3, when all is quiet.
pub(crate) async fn at_the_end(world: &Arc<World>) {
    let Some(node) = world.node() else {
        return world.violated("P3", "no process runs at the end");
    };
    let query = CallbackQuery { limit: usize::MAX, ..CallbackQuery::default() };
    let records = node.disk.memory.callbacks(query).await.unwrap_or_default();
    nothing_is_lost(world, &records);
    for (number, endpoint) in node.endpoints.iter().enumerate() {
        let stands = node.disk.memory.endpoint(&endpoint.settings.name).await.unwrap_or_default();
        let of = records.iter().filter(|record| record.id.endpoint == endpoint.settings.name);
        let expired = of.filter(|record| record.state == CallbackState::Expired).count();
        // What was told again since needs nothing else.
        let name = &endpoint.settings.name;
        let marks = node.disk.memory.backlog(name).await.unwrap_or_default().marks;
        if expired > 0 && marks > 0 && stands.resync.is_none() && world.apps[number].resyncs() == 0
        {
            let text = format!("{expired} callbacks expired, {marks} marks, and no App was told");
            world.violated("P1", &text);
        }
        if marks > 0 && world.plan.never_reads {
            world.violated(
                "P3",
                &format!("{name} was not told again how things are: {marks} marks"),
            );
        }
    }
    the_views_are_right(world, &node);
    the_background_is_right(world, &node).await;
}

/// P1: what was promised is delivered, or recorded as something that is not.
fn nothing_is_lost(world: &World, records: &[CallbackRecord]) {
    let known: BTreeSet<_> = records.iter().map(|record| &record.id).collect();
    let promised: Vec<_> = world.ledger().promised.keys().cloned().collect();
    for id in &promised {
        if !known.contains(id) {
            world.violated("P1", &format!("{id} was promised and is nowhere"));
        }
    }
    for CallbackRecord { id, state, .. } in records {
        let app = world.apps.iter().find(|app| world.plan.endpoint_name(app.number) == id.endpoint);
        let accepted = app.is_some_and(|app| app.accepted(id));
        match state {
            CallbackState::Pending => {
                world.violated("P1", &format!("{id} is still owed to an App that is well"));
            }
            CallbackState::Delivered if !accepted => {
                world.violated("P1", &format!("{id} counts as delivered, and no App took it"));
            }
            CallbackState::Delivered => world.count("callback delivered"),
            CallbackState::Dead => world.count("callback dead at the end"),
            CallbackState::Expired if world.plan.owed_max > OWED_MAX => {
                world.violated("P1", &format!("{id} expired before its time"));
            }
            CallbackState::Expired => world.count("callback expired"),
            CallbackState::Superseded => world.count("callback superseded"),
        }
    }
}

/// P3: what each App believes is what the sockets say.
fn the_views_are_right(world: &World, node: &Node) {
    for app in &world.apps {
        let truth = what_the_sockets_say(world, node, app.kind());
        let views = app.views();
        compare(world, app.kind().name(), "by seq", &truth, &views.by_seq());
        world.count("verdict: view by seq");
        if app.is_in_order() {
            compare(world, app.kind().name(), "in arrival order", &truth, &views.naive);
            world.count("verdict: view in arrival order");
        }
        if !truth.is_empty() {
            world.count("verdict: somebody is online");
        }
    }
}

/// P3: where it is told, each App knows who is in the background.
async fn the_background_is_right(world: &World, node: &Node) {
    let query = UserQuery { online_only: true, after: None, limit: usize::MAX };
    let users: BTreeMap<_, _> = match node.disk.users(query).await {
        Ok(users) if world.settings().background => users.into_iter().collect(),
        _ => return,
    };
    for app in world.apps.iter().filter(|app| app.knows_the_background()) {
        let mut truth = what_the_sockets_say(world, node, app.kind());
        truth.retain(|subject| {
            let user = users.get(subject.user());
            user.is_some_and(|user| user.is_in_background(subject.in_core()))
        });
        let views = app.views();
        compare(world, app.kind().name(), "background by seq", &truth, &views.hidden_by_seq());
        if app.is_in_order() {
            let how = "background in arrival order";
            compare(world, app.kind().name(), how, &truth, &views.naive_hidden);
        }
        if !truth.is_empty() {
            world.count("verdict: somebody is in the background");
        }
    }
}

/// What an App of this kind must believe.
pub(crate) fn what_the_sockets_say(world: &World, node: &Node, kind: Kind) -> BTreeSet<Subject> {
    let ledger = world.ledger();
    let open = ledger.open(node.number);
    open.map(|(conn, socket)| kind.subject(&socket.user, socket.platform, Some(*conn))).collect()
}

fn compare(
    world: &World,
    app: &str,
    how: &str,
    truth: &BTreeSet<Subject>,
    view: &BTreeSet<Subject>,
) {
    if truth != view {
        let missing: Vec<_> = truth.difference(view).collect();
        let wrong: Vec<_> = view.difference(truth).collect();
        let text = format!("the App `{app}`, {how}: misses {missing:?}, wrongly has {wrong:?}");
        world.violated("P3", &text);
    }
}
