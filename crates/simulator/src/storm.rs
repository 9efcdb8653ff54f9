//! The weather: when processes stop and crash, disks and lines fail, Apps misbehave, clocks step and
//! backends call; and the quiet after it, in which everything must become right.

use crate::{
    app::{Mode, SAVED_EVERY},
    client::spawn_devices,
    disk::Op,
    node::Node,
    verdicts,
    world::{StoreWeather, World},
};
use presence::{Author, Availability, Event, Kick, Permit, Platform, Status, Timestamp, UserId};
use server::callbacks::scopes;
use std::{future::Future, sync::Arc, time::Duration};
use store::{Account, CallbackQuery, CallbackState, EndpointChange, Memory, Replay, Store};

/// Ten minutes in all.
const STORM: Duration = Duration::from_secs(390);
/// After the storm, what was under way ends.
const CALM: Duration = Duration::from_secs(70);
/// No process ends after it, so that the next one has started when the storm is over.
const LAST_STOP: Duration = Duration::from_secs(310);
/// The longest that a process does not run: longer than any grace.
const FREEZE_MS_MAX: u64 = 65_000;
const QUIET: Duration = Duration::from_secs(140);
/// After so long an App is right that reads no snapshot.
const HEALED: Duration = Duration::from_secs(2 * 3600);
/// How often an App that must reads the snapshot, and an operator looks.
const LOOKS_EVERY: Duration = Duration::from_secs(3);

const SETTLED: [CallbackState; 4] = [
    CallbackState::Delivered,
    CallbackState::Dead,
    CallbackState::Expired,
    CallbackState::Superseded,
];

/// Lives through one run.
pub(crate) async fn play(world: Arc<World>) {
    let node = boot(&world, Memory::default(), 1).await;
    world.set_node(Some(node));
    for number in 0..world.plan.users {
        spawn_devices(&world, &user(number));
    }
    tokio::spawn(operate(Arc::clone(&world)));
    tokio::spawn(save(Arc::clone(&world)));
    tokio::spawn(verdicts::audit(Arc::clone(&world)));
    tokio::spawn(during_storm(Arc::clone(&world), backend(Arc::clone(&world))));
    tokio::spawn(during_storm(Arc::clone(&world), lesser_faults(Arc::clone(&world))));
    tokio::spawn(during_storm(Arc::clone(&world), administer(Arc::clone(&world))));
    processes(&world).await;
    calm_down(&world).await;
    let quiet = if world.plan.never_reads { HEALED } else { QUIET };
    tokio::time::sleep(quiet).await;
    verdicts::at_the_end(&world).await;
}

pub(crate) async fn during_storm(world: Arc<World>, what: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = world.quiet.cancelled() => {}
        () = what => {}
    }
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::new(format!("u{number}"))
}

/// Tries until a process has started.
pub(crate) async fn boot(world: &Arc<World>, mut memory: Memory, mut number: u32) -> Arc<Node> {
    loop {
        match Node::boot(world, memory, number).await {
            Ok(node) => return node,
            Err(left) => memory = left,
        }
        world.sleep(500..2_000).await;
        number += 1;
    }
}

/// Stops and crashes, until the storm is over; then a process runs.
async fn processes(world: &Arc<World>) {
    let faults = &world.plan.faults;
    let (last, ends) = (LAST_STOP.as_millis() as u64, STORM.as_millis() as u64);
    loop {
        let bell = tokio::select! {
            biased;
            () = world.crashes.notified() => true,
            () = world.sleep(5_000..120_000) => false,
        };
        let Some(node) = world.node().filter(|_| world.ms() < last) else { break };
        let stops = !bell && faults.stops && (!faults.crashes || world.percent(40));
        let memory = match (stops, faults.crashes) {
            (true, _) => {
                world.count("node: stop");
                node.stop(world).await
            }
            (_, true) => {
                world.count("node: crash");
                node.crash(world)
            }
            _ => continue,
        };
        let number = node.number + 1;
        drop(node);
        let away = world.pick(&[10, 1_000, 5_000, 40_000]);
        world.sleep(1..away).await;
        if faults.new_settings && world.percent(60) {
            world.change_settings();
        }
        world.set_node(Some(boot(world, memory, number).await));
    }
    tokio::time::sleep(Duration::from_millis(ends.saturating_sub(world.ms()))).await;
}

/// Everything else that goes wrong for a while, one after another and over each other.
async fn lesser_faults(world: Arc<World>) {
    loop {
        world.sleep(500..20_000).await;
        let faults = &world.plan.faults;
        let lasts = Duration::from_millis(world.within(500..25_000));
        match world.below(11) {
            0 if faults.store_fails => {
                let fail_percent = world.pick(&[10, 50, 100]);
                world.set_store_weather(StoreWeather { fail_percent, ..StoreWeather::default() });
                tokio::time::sleep(lasts).await;
                world.set_store_weather(StoreWeather::default());
            }
            1 if faults.store_slow => {
                let slow_ms = world.pick(&[100, 1_000, 6_000]);
                world.set_store_weather(StoreWeather { slow_ms, ..StoreWeather::default() });
                tokio::time::sleep(lasts).await;
                world.set_store_weather(StoreWeather::default());
            }
            2 if faults.clock_steps => {
                let by = world.pick(&[-3_600_000, -300_000, -5_000, -50, 50, 5_000, 300_000]);
                world.note(&format!("the wall clock steps by {by} ms"));
                world.count("clock: step");
                world.step_wall(by);
            }
            9 if faults.clock_days => {
                jump(&world).await;
            }
            10 if faults.freezes => {
                let for_ms = world.within(1_000..FREEZE_MS_MAX);
                world.note(&format!("the process does not run for {for_ms} ms"));
                world.count("node: freeze");
                world.freeze(for_ms);
                tokio::time::sleep(Duration::from_millis(for_ms)).await;
            }
            3 if faults.cuts => {
                world.note("clients are cut off");
                world.count("network: clients cut off");
                world.cut_off(true);
                tokio::time::sleep(lasts).await;
                world.cut_off(false);
            }
            4..=6 if faults.apps_troubled => {
                tokio::spawn(during_storm(
                    Arc::clone(&world),
                    trouble(Arc::clone(&world), 2 * lasts),
                ));
            }
            8 if faults.store_partly => {
                world.set_store_weather(partly(&world));
                tokio::time::sleep(lasts).await;
                world.set_store_weather(StoreWeather::default());
            }
            7 if faults.apps_roll_back => {
                let app = &world.apps[world.below(world.apps.len())];
                world.note(&format!("app {} restarts and rolls back", app.number));
                world.count("app: restart with rollback");
                app.roll_back();
            }
            _ => {}
        }
    }
}

/// The wall clock jumps by days, often for a moment only.
async fn jump(world: &World) {
    const DAY_MS: i64 = 24 * 3_600_000;
    let by = DAY_MS * world.pick(&[-4, 4, 92]);
    world.note(&format!("the wall clock jumps by {by} ms"));
    world.count("clock: jump");
    world.step_wall(by);
    world.sleep(1_000..20_000).await;
    if world.percent(70) {
        world.note("the wall clock jumps back");
        world.step_wall(-by);
    }
}

/// One operation of the store fails or is slow, or one user's commits are slow, while all else works.
fn partly(world: &World) -> StoreWeather {
    let slow_ms = world.pick(&[100, 1_000, 6_000]);
    let only = Some(world.pick(Op::ALL));
    match world.below(3) {
        0 => StoreWeather { fail_percent: world.pick(&[30, 100]), only, ..StoreWeather::default() },
        1 => StoreWeather { slow_ms, only, ..StoreWeather::default() },
        _ => {
            let user = Some(user(world.below(world.plan.users)));
            StoreWeather { slow_ms, only: Some(Op::Commit), user, ..StoreWeather::default() }
        }
    }
}

/// One App is in trouble for a while.
async fn trouble(world: Arc<World>, lasts: Duration) {
    let app = Arc::clone(&world.apps[world.below(world.apps.len())]);
    let mode = match world.below(7) {
        0 => Mode::Unreachable,
        1 => Mode::Hangs,
        2 => Mode::Slow(world.pick(&[500, 3_000, 7_000])),
        3 | 4 => Mode::Status(world.pick(&[500, 502, 503, 504, 302, 401, 404, 400])),
        5 => Mode::TooMany(world.pick(&[0, 1, 7, 20])),
        _ => Mode::Gone,
    };
    world.note(&format!("app {} is {mode:?} for {} ms", app.number, lasts.as_millis()));
    app.set_mode(mode);
    tokio::time::sleep(lasts).await;
    app.set_mode(Mode::Well);
    world.endpoint_is_troubled(app.number);
    world.note(&format!("app {} is well", app.number));
}

/// What backends and operators ask for that has nothing to do with presence.
async fn administer(world: Arc<World>) {
    loop {
        world.sleep(200..10_000).await;
        let Some(node) = world.node() else { continue };
        let disk = Arc::clone(&node.disk);
        let user = user(world.below(world.plan.users));
        let endpoint = world.plan.endpoint_name(world.below(world.apps.len()));
        match world.below(10) {
            8 | 9 if world.plan.faults.replays => _ = node.ask(replay(&world, &node)).await,
            0 | 1 => {
                let account = account(&user, world.wall());
                if let Some(Ok(_)) = node.ask(disk.register(vec![account])).await {
                    world.count("backend: registers");
                    world.is_registered(&user);
                }
            }
            2 => {
                let users = std::slice::from_ref(&user);
                if let Some(Ok(found)) = node.ask(disk.accounts(users)).await {
                    world.check_registered(&user, found[0].is_some());
                }
            }
            3 => _ = node.ask(disk.probe()).await,
            4 => _ = node.ask(disk.users_online()).await,
            5 => {
                node.ask(disk.endpoints()).await;
                node.ask(disk.backlog(&endpoint)).await;
                node.ask(disk.owes(&endpoint, &user)).await;
            }
            6 => _ = node.ask(disk.callbacks_after(&endpoint, 0, 10)).await,
            _ => _ = node.ask(purge(&world, &node)).await,
        }
    }
}

fn account(user: &UserId, created_at: Timestamp) -> Account {
    let (nickname, face_url, ex) = Default::default();
    Account {
        user: user.clone(),
        nickname,
        face_url,
        ex,
        app_manager_level: 0,
        global_recv_msg_opt: 0,
        created_at,
    }
}

/// An operator replays some of what is settled, whatever came of it.
async fn replay(world: &World, node: &Node) {
    let state = Some(world.pick(&SETTLED));
    let query = CallbackQuery { state, limit: 40, ..CallbackQuery::default() };
    let Ok(records) = node.disk.callbacks(query).await else { return };
    if records.is_empty() {
        return;
    }
    let picked = (0..world.within(1..4)).map(|_| records[world.below(records.len())].id.clone());
    let ids: Vec<_> = picked.collect();
    world.note(&format!("operator: replays {ids:?}"));
    let replay = Replay { ids, scopes: scopes(&node.endpoints), at: world.wall() };
    if node.disk.replay(replay).await.is_ok_and(|replayed| replayed.queued > 0) {
        world.count("operator: replay");
        node.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
    }
}

/// An operator purges some of what is settled.
async fn purge(world: &World, node: &Node) {
    let settled: &[CallbackState] =
        if world.plan.faults.replays { &SETTLED } else { &[CallbackState::Superseded] };
    let state = Some(world.pick(settled));
    let query = CallbackQuery { state, limit: 3, ..CallbackQuery::default() };
    let Ok(records) = node.disk.callbacks(query).await else { return };
    for record in &records {
        let _ = node.disk.callback(&record.id).await;
    }
    // Before they are gone: the process may die before it says so.
    let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    world.purged(&ids);
    if let Ok(purged @ 1..) = node.disk.purge(records.iter().map(|r| r.row).collect()).await {
        world.note(&format!("operator: purged {purged}"));
        world.count("operator: purge");
    }
}

/// What backends ask for over REST.
pub(crate) async fn backend(world: Arc<World>) {
    loop {
        world.sleep(200..12_000).await;
        let Some(node) = world.node() else { continue };
        let user = user(world.below(world.plan.users));
        let platform = world.pick(&[Platform::Ios, Platform::Web, Platform::Windows]);
        let event = match world.below(10) {
            0..5 => {
                world.count("backend: status set");
                Event::StatusSet { platform, status: status(&world), by: Author::Admin }
            }
            5 | 6 => {
                world.count("backend: status cleared");
                Event::StatusCleared { platform: world.percent(50).then_some(platform) }
            }
            7 => {
                world.count("backend: kick");
                Event::Kicked(Kick::Everywhere)
            }
            8 => {
                world.count("backend: kick");
                Event::Kicked(Kick::Platform(platform))
            }
            _ => {
                world.count("backend: forced logout");
                let until = Timestamp(world.wall().0 / 1000 * 1000);
                Event::Kicked(Kick::Tokens(platform, until))
            }
        };
        world.note(&format!("backend: {user} {event:?}"));
        let _ = node.ask(node.driver.handle(&user, event, None)).await;
    }
}

fn status(world: &World) -> Status {
    let availability = world.pick(&[
        Availability::Online,
        Availability::Online,
        Availability::Busy,
        Availability::Invisible,
    ]);
    let ends = world.percent(50).then(|| Timestamp(world.wall().0 + world.within(1_000..60_000)));
    Status { availability, expires_at: ends, ..Status::default() }
}

/// Apps save their views now and then.
async fn save(world: Arc<World>) {
    loop {
        tokio::time::sleep(SAVED_EVERY).await;
        world.apps.iter().for_each(|app| app.save());
    }
}

/// Operators resume what is paused; Apps that must read the snapshot.
async fn operate(world: Arc<World>) {
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        let Some(node) = world.node() else { continue };
        for (app, endpoint) in world.apps.iter().zip(&node.endpoints) {
            let name = &endpoint.settings.name;
            let stands = node.ask(node.disk.endpoint(name)).await;
            let Some(Ok(stands)) = stands else { continue };
            // As the management API shows it: in the store, or only here, where that failed.
            let permit = endpoint.health().permit(node.clock.now().mono);
            let is_paused = stands.paused || permit == Permit::Paused;
            if is_paused && app.mode() != Mode::Gone {
                world.count("operator: resume");
                world.endpoint_is_troubled(app.number);
                let change = EndpointChange::Paused(false);
                if let Some(Ok(())) = node.ask(node.disk.change_endpoint(name, change)).await {
                    endpoint.health().resume();
                    endpoint.news.notify_one();
                    // Not before: an endpoint that cannot be resumed stays paused.
                    world.app_is_resumed(app.number);
                }
            }
            if app.wants_resync() && !world.plan.never_reads {
                node.ask(app.resync(&world, &node)).await;
            }
        }
    }
}

/// The end of all faults.
async fn calm_down(world: &Arc<World>) {
    world.note("the storm is over");
    world.becomes_quiet();
    world.set_store_weather(StoreWeather::default());
    world.cut_off(false);
    for app in &world.apps {
        app.set_mode(Mode::Well);
        app.is_mended();
        world.endpoint_is_troubled(app.number);
    }
    // What is under way ends before the dead are told again.
    tokio::time::sleep(CALM).await;
    if !world.plan.never_reads {
        replay_the_dead(world).await;
    }
}

/// Again for all that is dead at the end.
async fn replay_the_dead(world: &Arc<World>) {
    let Some(node) = world.node() else { return };
    let state = Some(CallbackState::Dead);
    let query = CallbackQuery { state, limit: usize::MAX, ..CallbackQuery::default() };
    let dead = node.disk.memory.callbacks(query).await.unwrap_or_default();
    for record in dead.iter().rev() {
        let number = node.endpoints.iter().position(|e| e.settings.name == record.id.endpoint);
        let app = &world.apps[number.unwrap_or(0)];
        // It cannot know that its snapshot was newer, and is to read another one instead.
        if app.resyncs() > 0 {
            app.must_resync();
            continue;
        }
        world.count("operator: replay of a dead callback");
        for _ in 0..20 {
            let (ids, scopes) = (vec![record.id.clone()], scopes(&node.endpoints));
            let replay = Replay { ids, scopes, at: world.wall() };
            if node.disk.replay(replay).await.is_ok_and(|replayed| replayed.in_flight == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    node.endpoints.iter().for_each(|endpoint| endpoint.news.notify_one());
}
