//! False offlines: users who lost their line, came back within the grace, and were told offline all
//! the same.

use super::phone::{Absence, Phone, Sdk};
use crate::{
    dice::Dice,
    node::Node,
    plan::{Kind, OFFLINE_GRACE, Plan, RESTART_GRACE},
    storm::{boot, user},
    tell, verdicts,
    world::World,
};
use presence::ConnId;
use std::{
    collections::BTreeSet,
    iter::Sum,
    ops::Add,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{CallbackQuery, Memory, Store};

/// How long somebody is connected before the line is lost, in milliseconds.
const CONNECTED_MS: std::ops::Range<u64> = 5_000..60_000;
/// How long a process takes to be back, in milliseconds.
const RESTARTS_IN_MS: std::ops::Range<u64> = 500..10_000;
/// Between restarts, so that everybody is back and told.
const RESTART_EVERY: Duration = Duration::from_secs(150);
/// Whoever comes back is back, and every grace is over.
const QUIET: Duration = Duration::from_secs(200);

/// What clients lose their connections by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Their own lines: the network is away for up to so many milliseconds, and Herald notices at
    /// once.
    Lines {
        /// How long at most.
        away_ms: u64,
    },
    /// Herald restarts: by turns stopped and killed.
    Restarts,
}

/// How many lost their connections, and what was told of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Connections lost.
    pub lost: u64,
    /// Their clients were back within the grace: nothing may be told.
    pub back_in_time: u64,
    /// Clients who were back later, or would be: they were away.
    pub back_later: u64,
    /// Offlines at the scope of the user for those who were back in time.
    pub false_offlines: u64,
    /// Offlines for those who were not.
    pub due_offlines: u64,
}

impl Add for Losses {
    type Output = Losses;

    fn add(self, other: Losses) -> Losses {
        Losses {
            lost: self.lost + other.lost,
            back_in_time: self.back_in_time + other.back_in_time,
            back_later: self.back_later + other.back_later,
            false_offlines: self.false_offlines + other.false_offlines,
            due_offlines: self.due_offlines + other.due_offlines,
        }
    }
}

impl Sum for Losses {
    fn sum<I: Iterator<Item = Losses>>(losses: I) -> Losses {
        losses.fold(Losses::default(), Add::add)
    }
}

/// One connection that was lost.
struct Loss {
    conn: ConnId,
    at: u64,
    /// When the client reached Herald again.
    back_at: u64,
}

type Book = Arc<Mutex<Vec<Loss>>>;

/// Lets each of so many users lose the connection so many times.
pub fn losses(seed: u64, users: usize, times: u64, trouble: Trouble) -> Result<Losses, String> {
    // An endpoint that is told nothing but that users come and go.
    let mut plan = Plan::calm(users, &[Kind::QuietFlag]);
    // The grace alone is to be long enough.
    plan.policy.mass_loss.share = 1.0;
    tell(
        || World::planned(plan, Dice::new(seed), None),
        move |world| async move {
            let node = boot(&world, Memory::default(), 1).await;
            world.set_node(Some(node));
            match trouble {
                Trouble::Lines { away_ms } => lines(&world, times, away_ms).await,
                Trouble::Restarts => restarts(&world, times).await,
            }
        },
    )
}

/// Half of them redial as native SDKs do, half as scripts.
fn phones(world: &Arc<World>) -> impl Iterator<Item = Phone> {
    let sdk = |number| if number % 2 == 0 { Sdk::Native } else { Sdk::Script };
    (0..world.plan.users).map(move |number| Phone::new(world, user(number), sdk(number)))
}

async fn lines(world: &Arc<World>, times: u64, away_ms: u64) -> Losses {
    let book = Book::default();
    let mut running = tokio::task::JoinSet::new();
    for phone in phones(world) {
        running.spawn(loses_lines(phone, times, away_ms, Arc::clone(&book)));
    }
    let stay = running.join_all().await;
    tokio::time::sleep(QUIET).await;
    let losses = judge(world, &book, |loss| loss.at + ms(OFFLINE_GRACE)).await;
    drop(stay);
    losses
}

async fn loses_lines(
    phone: Phone,
    times: u64,
    away_ms: u64,
    book: Book,
) -> super::phone::Connected {
    let world = Arc::clone(&phone.world);
    world.sleep(0..60_000).await;
    let mut connected = phone.redial(0, Absence::Refuses).await;
    for _ in 0..times {
        world.sleep(CONNECTED_MS).await;
        let conn = connected.conn;
        drop(connected.line);
        let at = world.ms();
        let away_until = at + world.within(0..away_ms + 1);
        let absence = world.pick(&[Absence::Refuses, Absence::Swallows]);
        connected = phone.redial(away_until, absence).await;
        note(&book, Loss { conn, at, back_at: connected.reached_at });
    }
    connected
}

/// The grace after a restart begins with the new process.
async fn restarts(world: &Arc<World>, times: u64) -> Losses {
    let book = Book::default();
    for phone in phones(world) {
        tokio::spawn(is_cut_off(phone, Arc::clone(&book)));
    }
    tokio::time::sleep(QUIET).await;
    let mut booted = Vec::new();
    for time in 0..times {
        let Some(node) = world.node() else { break };
        let memory = if time % 2 == 0 { node.stop(world).await } else { node.crash(world) };
        let number = node.number + 1;
        drop(node);
        world.sleep(RESTARTS_IN_MS).await;
        booted.push(world.ms());
        world.set_node(Some(boot(world, memory, number).await));
        tokio::time::sleep(RESTART_EVERY).await;
    }
    tokio::time::sleep(QUIET).await;
    judge(world, &book, |loss| {
        let boot = booted.iter().find(|at| **at >= loss.at);
        boot.map_or(0, |at| at + ms(RESTART_GRACE))
    })
    .await
}

async fn is_cut_off(phone: Phone, book: Book) {
    let world = Arc::clone(&phone.world);
    world.sleep(0..60_000).await;
    let mut connected = phone.redial(0, Absence::Refuses).await;
    loop {
        // Both the farewell and the end of the process end it.
        let _ = connected.line.from_server.recv().await;
        let (conn, at) = (connected.conn, world.ms());
        drop(connected.line);
        connected = phone.redial(0, Absence::Refuses).await;
        note(&book, Loss { conn, at, back_at: connected.reached_at });
    }
}

fn note(book: &Book, loss: Loss) {
    book.lock().unwrap_or_else(PoisonError::into_inner).push(loss);
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// What was told is what the endpoint was sent.
async fn judge(world: &Arc<World>, book: &Book, grace_ends: impl Fn(&Loss) -> u64) -> Losses {
    verdicts::at_the_end(world).await;
    let told = match world.node() {
        Some(node) => told_offline(&node).await,
        None => BTreeSet::new(),
    };
    let mut losses = Losses::default();
    for loss in book.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let in_time = loss.back_at <= grace_ends(loss);
        let told = told.contains(&loss.conn);
        losses.lost += 1;
        losses.back_in_time += u64::from(in_time);
        losses.back_later += u64::from(!in_time);
        losses.false_offlines += u64::from(told && in_time);
        losses.due_offlines += u64::from(told && !in_time);
    }
    losses
}

async fn told_offline(node: &Node) -> BTreeSet<ConnId> {
    let query = CallbackQuery { limit: usize::MAX, ..CallbackQuery::default() };
    let records = node.disk.memory.callbacks(query).await.unwrap_or_default();
    let offline = records.iter().filter(|record| record.change.kind == presence::Kind::Offline);
    offline.filter_map(|record| record.change.conn).collect()
}
