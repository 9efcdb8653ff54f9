//! How a client whose token is good gets in: at once, or after the App was asked.
//!
//! What the App is asked is the callback itself. It is committed like any other before it is sent,
//! so a crash leaves nothing that the App believes and Herald has forgotten; but until the App has
//! answered nobody else sees the newcomer, and nobody is pushed out. The dispatcher carries the
//! answer out; here a login waits for it.

use crate::{
    callbacks::{Answer, Answered, Endpoint, GateSettings, NoPlace, NotShared},
    clock::Clock,
    driver::{Driver, Outcome},
    listener::REQUEST_TIMEOUT,
    metrics::Metrics,
};
use async_trait::async_trait;
use presence::{Admission, ConnId, Denied, End, Event, Instant, Login, Permit, Scope, UserId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::StoreError;
use tokio::time::sleep;

/// How often a login that waits looks whether the App can still be asked.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How many logins of one user may be on their way in: twice as many as it may have connections.
const PENDING_MAX: usize = 128;
/// When a login tries again whose question ended without an answer.
const SOON: Duration = Duration::from_millis(50);
/// An answer must be on its way before the request is given up.
const MARGIN: Duration = Duration::from_secs(2);

/// Admits logins.
pub struct Logins {
    driver: Arc<Driver>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    wait_max: Duration,
    /// How many logins of each user are on their way in.
    pending: Mutex<HashMap<UserId, usize>>,
}

/// A client whose token is good, not yet let in.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PendingLogin {
    pub user: UserId,
    pub login: Login,
    /// For tracing, as the client sent it.
    pub operation_id: String,
}

/// The socket of a client that is not let in yet.
#[async_trait]
pub trait PendingSocket: Send + Sync {
    /// Ends when the socket is to be closed. Cancelling loses nothing.
    async fn interrupted(&self) -> Interruption;
}

/// Why a client is not let in.
#[derive(Debug)]
pub enum NotAdmitted {
    /// Presence does not take it.
    Denied(Denied),
    /// The App did not answer in time.
    NoAnswer,
    /// The user comes back to a session more often than may be, for longer than a handshake may take.
    TooOften,
    /// Its socket is to be closed, while it waited.
    Interrupted(Interruption),
    /// It could not be stored.
    NotStored(StoreError),
}

/// Why a login need not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Somebody threw the user out.
    Kicked,
    /// The server stops.
    Stopping,
    /// Its client has hung up.
    HungUp,
}

/// Why a login is not inside yet.
enum Outside {
    /// It will not be.
    Refused(NotAdmitted),
    /// It is to be tried again then.
    NotBefore(Instant),
}

impl Logins {
    /// `handshake_timeout`: how long a client waits.
    pub fn new(
        driver: Arc<Driver>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        handshake_timeout: Duration,
    ) -> Logins {
        let wait_max = handshake_timeout.min(REQUEST_TIMEOUT - MARGIN);
        Logins { driver, clock, metrics, wait_max, pending: Mutex::default() }
    }

    /// `Ok`: durable, and the client may be told.
    pub async fn enter(
        &self,
        pending: &PendingLogin,
        socket: &dyn PendingSocket,
    ) -> Result<(), NotAdmitted> {
        let _turn = self.begin(&pending.user)?;
        let entry =
            Entry { logins: self, pending, socket, until: self.clock.now().mono + self.wait_max };
        loop {
            let tried = match self.driver.gate() {
                Some((app, settings)) => entry.ask(app, settings).await,
                None => entry.connect().await,
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(Outside::Refused(why)) => return Err(why),
                Err(Outside::NotBefore(at)) => entry.wait(at).await?,
            }
        }
    }
}

impl Logins {
    /// Counts a login on its way in: those of one user must not take up the places of others.
    fn begin<'a>(&'a self, user: &'a UserId) -> Result<Turn<'a>, NotAdmitted> {
        let mut pending = self.pending();
        let of_user = pending.entry(user.clone()).or_default();
        if *of_user >= PENDING_MAX {
            return Err(NotAdmitted::Denied(Denied::TooOften));
        }
        *of_user += 1;
        Ok(Turn { logins: self, user })
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login that is counted; not any more once it is dropped.
struct Turn<'a> {
    logins: &'a Logins,
    user: &'a UserId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut pending = self.logins.pending();
        if let Some(of_user) = pending.get_mut(self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                pending.remove(self.user);
            }
        }
    }
}

/// A place for a question; given back when it is dropped.
struct Place {
    app: Arc<Endpoint>,
    conn: ConnId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.asked.leave(self.conn);
    }
}

/// One login on its way in.
struct Entry<'a> {
    logins: &'a Logins,
    pending: &'a PendingLogin,
    socket: &'a dyn PendingSocket,
    /// When its client gives up.
    until: Instant,
}

impl Entry<'_> {
    async fn wait(&self, at: Instant) -> Result<(), NotAdmitted> {
        if at >= self.until {
            return Err(NotAdmitted::TooOften);
        }
        tokio::select! {
            biased;
            why = self.socket.interrupted() => Err(NotAdmitted::Interrupted(why)),
            () = sleep(at.after(self.now())) => Ok(()),
        }
    }

    async fn ask(&self, app: Arc<Endpoint>, settings: GateSettings) -> Result<(), Outside> {
        let conn = self.pending.login.conn;
        if self.is_unavailable(&app) {
            return self.without_answer(settings, "let_in_unasked").await;
        }
        // Taken before the question is stored, for the answer may come at once.
        let answer = match app.asked.ask(&self.pending.user, conn) {
            Ok(answer) => answer,
            Err(NoPlace::OfUser) => return Err(Outside::NotBefore(self.now() + SOON)),
            Err(NoPlace::Full) => return self.without_place(&app, settings).await,
        };
        let place = Place { app: Arc::clone(&app), conn };
        let metrics = &self.logins.metrics;
        metrics.at_gate.inc();
        let entered = self.knock(&app, settings, answer).await;
        metrics.at_gate.dec();
        // Who tries again has asked nothing, or it would find its own question on its way out.
        if let Err(Outside::Refused(_)) = entered {
            self.withdraw(place);
        }
        entered
    }

    /// All places are taken: it may still share a question, or need none.
    async fn without_place(&self, app: &Endpoint, settings: GateSettings) -> Result<(), Outside> {
        match self.commit(self.knocked(app, false)).await {
            Ok(Outcome { admission: Admission::Shares(question), .. }) => {
                self.share(app, settings, question).await
            }
            Err(Outside::Refused(NotAdmitted::Denied(Denied::NoPlace))) => {
                self.without_answer(settings, "let_in_unasked").await
            }
            other => other.map(|_| ()),
        }
    }

    fn knocked(&self, app: &Endpoint, may_ask: bool) -> Event {
        let scope = app.settings.interest.online.unwrap_or(Scope::Connection);
        Event::Knocked { login: self.pending.login.clone(), scope, may_ask }
    }

    async fn knock(
        &self,
        app: &Endpoint,
        settings: GateSettings,
        answer: Answer,
    ) -> Result<(), Outside> {
        match self.commit(self.knocked(app, true)).await?.admission {
            Admission::Inside => Ok(()),
            Admission::Asked => {
                let conn = self.pending.login.conn;
                let answered =
                    self.answered(app, answer).await.map_err(|outside| match outside {
                        Outside::NotBefore(_) => Outside::Refused(NotAdmitted::NoAnswer),
                        refused @ Outside::Refused(_) => refused,
                    })?;
                // Those who share the question are answered, too.
                app.asked.answer(conn, answered.clone());
                self.conclude(settings, answered, Event::LetIn { conn }).await
            }
            Admission::Shares(question) => {
                // The place is for one who asks.
                app.asked.leave(self.pending.login.conn);
                self.share(app, settings, question).await
            }
        }
    }

    async fn share(
        &self,
        app: &Endpoint,
        settings: GateSettings,
        question: ConnId,
    ) -> Result<(), Outside> {
        let answer = match app.asked.share(question) {
            Ok(answer) => answer,
            Err(NotShared::NotAsked) => return Err(Outside::NotBefore(self.now() + SOON)),
            Err(NotShared::TooMany) => return Err(denied(Denied::TooManyQuestions)),
        };
        let answered = self.answered(app, answer).await?;
        self.conclude(settings, answered, Event::Connected(self.pending.login.clone())).await
    }

    /// Waits for what the App says; [`Answered::Failed`] also if it turns out to be away.
    async fn answered(&self, app: &Endpoint, mut answer: Answer) -> Result<Answered, Outside> {
        loop {
            let now = self.now();
            if now >= self.until {
                return Err(Outside::Refused(NotAdmitted::NoAnswer));
            }
            tokio::select! {
                biased;
                why = self.socket.interrupted() => {
                    return Err(Outside::Refused(NotAdmitted::Interrupted(why)));
                }
                answered = &mut answer => {
                    return answered.map_err(|_| Outside::NotBefore(self.now() + SOON));
                }
                () = sleep(self.until.after(now).min(LOOK_AGAIN)) => {
                    if self.is_unavailable(app) {
                        return Ok(Answered::Failed);
                    }
                }
            }
        }
    }

    async fn conclude(
        &self,
        settings: GateSettings,
        answered: Answered,
        event: Event,
    ) -> Result<(), Outside> {
        match answered {
            Answered::Agreed => {
                self.logins.metrics.gate("agreed");
                self.commit(event).await.map(|_| ())
            }
            Answered::Refused(refusal) => {
                self.logins.metrics.gate("refused");
                Err(denied(Denied::Refused(refusal)))
            }
            Answered::Failed if settings.failed_continue => {
                self.logins.metrics.gate("let_in_without_answer");
                self.commit(event).await.map(|_| ())
            }
            Answered::Failed => {
                self.logins.metrics.gate("turned_away");
                Err(Outside::Refused(NotAdmitted::NoAnswer))
            }
        }
    }

    /// The App is not asked at all.
    async fn without_answer(
        &self,
        settings: GateSettings,
        outcome: &'static str,
    ) -> Result<(), Outside> {
        if settings.failed_continue {
            self.logins.metrics.gate(outcome);
            return self.connect().await;
        }
        self.logins.metrics.gate("turned_away");
        Err(Outside::Refused(NotAdmitted::NoAnswer))
    }

    /// Whether the App cannot be asked: paused, or failing for longer than it may take to answer.
    fn is_unavailable(&self, app: &Endpoint) -> bool {
        let now = self.now();
        let health = app.health();
        let is_away = |since: Instant| since + app.settings.timeouts.online <= now;
        health.permit(now) == Permit::Paused || health.failing_since().is_some_and(is_away)
    }

    /// What it knocked with must not stay. Quiet, if it did not get that far or is gone already.
    fn withdraw(&self, place: Place) {
        let (driver, user) = (Arc::clone(&self.logins.driver), self.pending.user.clone());
        tokio::spawn(async move {
            driver.lose(&user, place.conn, End::Lost).await;
            // Given back only now: those who share the question must not find it still asked.
            drop(place);
        });
    }

    async fn connect(&self) -> Result<(), Outside> {
        self.commit(Event::Connected(self.pending.login.clone())).await.map(|_| ())
    }

    async fn commit(&self, event: Event) -> Result<Outcome, Outside> {
        let PendingLogin { user, operation_id, .. } = self.pending;
        let committed = self.logins.driver.handle(user, event, Some(operation_id.clone()));
        let committed = tokio::select! {
            committed = committed => committed,
            // It goes on: what it lets in after all is lost at once.
            () = sleep(self.until.after(self.now()).max(SOON)) => {
                let (driver, user) = (Arc::clone(&self.logins.driver), user.clone());
                let conn = self.pending.login.conn;
                tokio::spawn(async move { driver.lose(&user, conn, End::Lost).await });
                Err(StoreError::Unavailable("it does not answer in time".into()))
            }
        };
        let outcome = committed.map_err(|error| Outside::Refused(NotAdmitted::NotStored(error)))?;
        match outcome.denied {
            None => Ok(outcome),
            Some(Denied::NotBefore(at)) => Err(Outside::NotBefore(at)),
            Some(why) => Err(denied(why)),
        }
    }

    fn now(&self) -> Instant {
        self.logins.clock.now().mono
    }
}

fn denied(why: Denied) -> Outside {
    Outside::Refused(NotAdmitted::Denied(why))
}
