//! The gateway, simulated: what `gateway::connection` asks of the driver and when, without sockets.
//! Logins are admitted by the real code.

use crate::{bite::Bite, ledger::short, node::Node, world::World};
use async_trait::async_trait;
use presence::{ConnId, Denied, End, Event, Login, Sight, UserId};
use server::{
    driver,
    login::{self, Interruption, PendingLogin, PendingSocket},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::Store;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};
use tokio_util::sync::CancellationToken;

/// The default of `gateway.read_timeout`.
const READ_TIMEOUT_MS: u64 = 30_000;

/// The client's end of a connection. Dropped: the line breaks.
pub(crate) struct Line {
    pub(crate) to_server: UnboundedSender<Said>,
    pub(crate) from_server: UnboundedReceiver<Told>,
}

/// What a client says.
pub(crate) enum Said {
    /// Closes properly.
    Close,
    /// Goes without a word, and the server does not notice.
    Vanish,
    /// True in the answer: it is logged out.
    LogOut(oneshot::Sender<bool>),
    Background(bool),
}

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// 2002.
    Kicked,
    /// 1012.
    Stopping,
}

/// Why a client is not admitted, as it reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// Nobody answers, or 500, or 1601: SDKs dial again.
    Unavailable,
    /// The token is not good: SDKs log out and need another one.
    BadToken,
    /// 1506, with the App's words: SDKs log out. The token stays good.
    Refused,
}

impl From<login::NotAdmitted> for NotAdmitted {
    fn from(why: login::NotAdmitted) -> NotAdmitted {
        match why {
            login::NotAdmitted::Denied(Denied::Token(_) | Denied::Kicked)
            | login::NotAdmitted::Interrupted(Interruption::Kicked) => NotAdmitted::BadToken,
            login::NotAdmitted::Denied(Denied::Refused(_)) => NotAdmitted::Refused,
            login::NotAdmitted::Denied(
                Denied::TooOften
                | Denied::TooManyQuestions
                | Denied::NoPlace
                | Denied::NotBefore(_),
            )
            | login::NotAdmitted::NoAnswer
            | login::NotAdmitted::TooOften
            | login::NotAdmitted::Interrupted(Interruption::Stopping | Interruption::HungUp)
            | login::NotAdmitted::NotStored(_) => NotAdmitted::Unavailable,
        }
    }
}

/// The registry: which sockets are open in one process.
pub(crate) struct Sockets {
    world: Arc<World>,
    dead: CancellationToken,
    open: Mutex<BTreeMap<ConnId, UnboundedSender<Told>>>,
}

impl Sockets {
    pub(crate) fn new(world: &Arc<World>, dead: &CancellationToken) -> Sockets {
        Sockets { world: Arc::clone(world), dead: dead.clone(), open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnId, UnboundedSender<Told>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self) -> usize {
        self.lock().len()
    }

    /// Spread over a while, as the real one does.
    pub(crate) async fn close_all(&self, over: Duration) {
        let everybody: Vec<ConnId> = self.lock().keys().copied().collect();
        for conn in everybody {
            let pause = self.world.within(0..over.as_millis() as u64 / 10);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.close(conn, Told::Stopping);
        }
        let rest: Vec<ConnId> = self.lock().keys().copied().collect();
        rest.into_iter().for_each(|conn| self.close(conn, Told::Stopping));
    }

    fn close(&self, conn: ConnId, told: Told) {
        if let Some(socket) = self.lock().get(&conn) {
            let _ = socket.send(told);
        }
    }
}

impl driver::Sockets for Sockets {
    fn kick(&self, conn: ConnId) {
        if self.dead.is_cancelled() {
            return;
        }
        self.world.note(&format!("kick {}", short(conn)));
        self.world.count("socket: kicked");
        self.world.socket_ends(conn, None);
        self.close(conn, Told::Kicked);
    }

    fn tell_watchers(&self, _user: &UserId, _before: Sight, _now: Sight) {}
}

/// A client dials. On `Ok` it has its 101.
pub(crate) async fn dial(
    world: &Arc<World>,
    user: &UserId,
    login: Login,
) -> Result<Line, NotAdmitted> {
    world.sleep(1..60).await;
    let node = world.node().filter(|node| !node.doors.is_cancelled() && !world.is_cut_off());
    let node = node.ok_or(NotAdmitted::Unavailable)?;
    let (to_server, said) = unbounded_channel();
    let (tells, from_server) = unbounded_channel();
    let (admit, admitted) = oneshot::channel();
    let pending = PendingLogin { user: user.clone(), login, operation_id: String::new() };
    let served = Served { world: Arc::clone(world), node: Arc::clone(&node), pending, said, tells };
    node.spawn(served.live(admit));
    admitted.await.unwrap_or(Err(NotAdmitted::Unavailable))?;
    Ok(Line { to_server, from_server })
}

/// The server's end of a connection.
struct Served {
    world: Arc<World>,
    node: Arc<Node>,
    pending: PendingLogin,
    said: UnboundedReceiver<Said>,
    tells: UnboundedSender<Told>,
}

/// The server's end of a connection that is not admitted yet.
struct Waiting(tokio::sync::Mutex<UnboundedReceiver<Told>>);

#[async_trait]
impl PendingSocket for Waiting {
    async fn interrupted(&self) -> Interruption {
        match self.0.lock().await.recv().await {
            Some(Told::Kicked) => Interruption::Kicked,
            Some(Told::Stopping) | None => Interruption::Stopping,
        }
    }
}

/// How it went on.
enum Next {
    Stay,
    /// What presence is told; none: it knows.
    End(Option<End>),
}

impl Served {
    /// As `Newcomer::live`.
    async fn live(mut self, admit: oneshot::Sender<Result<(), NotAdmitted>>) {
        self.world.runs().await;
        let (socket, kicks) = unbounded_channel();
        let (world, user) = (Arc::clone(&self.world), self.pending.user.clone());
        let conn = self.pending.login.conn;
        self.node.sockets.lock().insert(conn, socket);
        world.socket_waits(&self.pending, self.node.number);
        let dial = world.dial_begins(&self.pending, self.node.number);
        let waiting = Waiting(tokio::sync::Mutex::new(kicks));
        let entered = self.enter(&waiting).await;
        world.login_took(&user, &dial);
        if let Err(problem) = entered {
            world.not_admitted(&self.node, &dial, problem);
            world.socket_ends(conn, None);
            self.node.sockets.lock().remove(&conn);
            world.count(match problem {
                NotAdmitted::Unavailable => "socket: to dial again",
                NotAdmitted::BadToken => "socket: bad token",
                NotAdmitted::Refused => "socket: refused by the App",
            });
            let _ = admit.send(Err(problem));
            return;
        }
        world.socket_opens(conn);
        world.note(&format!("{user} is admitted as {}", short(conn)));
        world.count("socket: admitted");
        let end = match admit.send(Ok(())) {
            Ok(()) => self.attend(&mut waiting.0.into_inner()).await,
            // A 101 that cannot be sent is a lost connection.
            Err(_) => Some(End::Lost),
        };
        world.note(&format!("{} of {user} ends {end:?}", short(conn)));
        world.socket_ends(conn, end);
        self.node.sockets.lock().remove(&conn);
        if let Some(end) = end {
            self.node.driver.lose(&user, conn, end).await;
        }
    }

    async fn enter(&self, waiting: &Waiting) -> Result<(), NotAdmitted> {
        let PendingLogin { user, login, .. } = &self.pending;
        if self.world.bite == Some(Bite::RefusalOfTheUser) && self.world.is_refused(user) {
            return Err(NotAdmitted::Refused);
        }
        if self.world.bite == Some(Bite::UnaskedBesidePending) && self.is_owed().await {
            let event = Event::Connected(login.clone());
            return match self.node.driver.handle(user, event, None).await {
                Ok(outcome) if outcome.denied.is_none() => Ok(()),
                _ => Err(NotAdmitted::Unavailable),
            };
        }
        self.node.logins.enter(&self.pending, waiting).await.map_err(|why| {
            self.world.note(&format!("{user} is not admitted: {why:?}"));
            why.into()
        })
    }

    /// Whether the App that is asked is owed something about the user.
    async fn is_owed(&self) -> bool {
        let Some((app, _)) = self.node.driver.gate() else { return false };
        let user = &self.pending.user;
        self.node.disk.memory.owes(&app.settings.name, user).await.unwrap_or(false)
    }

    async fn attend(&mut self, kicks: &mut UnboundedReceiver<Told>) -> Option<End> {
        loop {
            tokio::select! {
                biased;
                told = kicks.recv() => {
                    if let Some(told) = told {
                        let _ = self.tells.send(told);
                    }
                    return None;
                }
                said = self.said.recv() => {
                    self.world.runs().await;
                    match self.hear(said, kicks).await {
                        Next::Stay => {}
                        Next::End(end) => return end,
                    }
                }
            }
        }
    }

    async fn silent_for(&self, silence: Duration) {
        tokio::time::sleep(silence).await;
        self.world.runs().await;
    }

    async fn hear(&mut self, said: Option<Said>, kicks: &mut UnboundedReceiver<Told>) -> Next {
        let PendingLogin { user, login, .. } = &self.pending;
        let (driver, conn) = (&self.node.driver, login.conn);
        match said {
            Some(Said::Close) => Next::End(Some(End::Closed)),
            None => Next::End(Some(End::Lost)),
            Some(Said::Vanish) => {
                let silence = Duration::from_millis(self.world.within(1..READ_TIMEOUT_MS));
                tokio::select! {
                    biased;
                    // Told to nobody.
                    _ = kicks.recv() => Next::End(None),
                    () = self.silent_for(silence) => Next::End(Some(End::Lost)),
                }
            }
            Some(Said::LogOut(answer)) => {
                let event = Event::Disconnected { conn, end: End::LoggedOut };
                let done = driver.handle(user, event, None).await.is_ok();
                let _ = answer.send(done);
                if done { Next::End(None) } else { Next::Stay }
            }
            Some(Said::Background(background)) => {
                let event = Event::BackgroundSet { conn, background };
                let _ = driver.handle(user, event, None).await;
                Next::Stay
            }
        }
    }
}
