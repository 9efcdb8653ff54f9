//! The gateway, simulated: what `gateway::connection` asks of the driver and when, without sockets.

use crate::{ledger::short, node::Node, world::World};
use presence::{ConnId, Denied, End, Event, Login, Sight, UserId};
use server::driver::{self, Outcome};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
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

/// Why nobody was let in.
pub(crate) enum NotAdmitted {
    /// Nobody answers, or 500.
    Unavailable,
    /// The token is not good.
    Denied,
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
    let conn = login.conn;
    let served = Served {
        world: Arc::clone(world),
        node: Arc::clone(&node),
        user: user.clone(),
        conn,
        said,
        tells,
    };
    node.spawn(served.live(login, admit));
    admitted.await.unwrap_or(Err(NotAdmitted::Unavailable))?;
    Ok(Line { to_server, from_server })
}

/// The server's end of a connection.
struct Served {
    world: Arc<World>,
    node: Arc<Node>,
    user: UserId,
    conn: ConnId,
    said: UnboundedReceiver<Said>,
    tells: UnboundedSender<Told>,
}

/// How it went on.
enum Next {
    Stay,
    /// What presence is told; none: it knows.
    End(Option<End>),
}

impl Served {
    /// As `Newcomer::live`.
    async fn live(mut self, login: Login, admit: oneshot::Sender<Result<(), NotAdmitted>>) {
        let (socket, mut kicks) = unbounded_channel();
        let (world, conn) = (Arc::clone(&self.world), self.conn);
        self.node.sockets.lock().insert(conn, socket);
        world.socket_waits(conn, &self.user, login.platform, self.node.number);
        let began = world.ms();
        let handled = self.node.driver.handle(&self.user, Event::Connected(login), None).await;
        let problem = match handled {
            Ok(Outcome { denied: None, .. }) => None,
            // An SDK dials again, as it does when nothing can be stored.
            Ok(Outcome { denied: Some(Denied::TooOften), .. }) | Err(_) => {
                Some(NotAdmitted::Unavailable)
            }
            Ok(_) => Some(NotAdmitted::Denied),
        };
        world.login_took(&self.user, began);
        if let Some(problem) = problem {
            world.socket_ends(conn, None);
            self.node.sockets.lock().remove(&conn);
            world.count("socket: not let in");
            let _ = admit.send(Err(problem));
            return;
        }
        world.socket_opens(conn);
        world.note(&format!("{} is let in as {}", self.user, short(conn)));
        world.count("socket: let in");
        let end = match admit.send(Ok(())) {
            Ok(()) => self.attend(&mut kicks).await,
            // A 101 that cannot be sent is a lost connection.
            Err(_) => Some(End::Lost),
        };
        world.note(&format!("{} of {} ends {end:?}", short(conn), self.user));
        world.socket_ends(conn, end);
        self.node.sockets.lock().remove(&conn);
        if let Some(end) = end {
            self.node.driver.lose(&self.user, conn, end).await;
        }
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
                said = self.said.recv() => match self.hear(said, kicks).await {
                    Next::Stay => {}
                    Next::End(end) => return end,
                }
            }
        }
    }

    async fn hear(&mut self, said: Option<Said>, kicks: &mut UnboundedReceiver<Told>) -> Next {
        let (driver, conn) = (&self.node.driver, self.conn);
        match said {
            Some(Said::Close) => Next::End(Some(End::Closed)),
            None => Next::End(Some(End::Lost)),
            Some(Said::Vanish) => {
                let silence = Duration::from_millis(self.world.within(1..READ_TIMEOUT_MS));
                tokio::select! {
                    biased;
                    // Told to nobody.
                    _ = kicks.recv() => Next::End(None),
                    () = tokio::time::sleep(silence) => Next::End(Some(End::Lost)),
                }
            }
            Some(Said::LogOut(answer)) => {
                let event = Event::Disconnected { conn, end: End::LoggedOut };
                let done = driver.handle(&self.user, event, None).await.is_ok();
                let _ = answer.send(done);
                if done { Next::End(None) } else { Next::Stay }
            }
            Some(Said::Background(background)) => {
                let event = Event::BackgroundSet { conn, background };
                let _ = driver.handle(&self.user, event, None).await;
                Next::Stay
            }
        }
    }
}
