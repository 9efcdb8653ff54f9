//! Empties one endpoint's part of the outbox: claim, send, settle.
//!
//! Per endpoint: the oldest due callback of each user, leased, one in flight per user; many users
//! at once. While the endpoint backs off nothing is claimed, so the backlog stays on disk.

use super::{Answered, Endpoint, EndpointSettings, Sender, Sent, retelling::Retelling};
use crate::{
    clock::Clock,
    config::OnRefusal,
    driver::Driver,
    entropy::{self, Entropy},
    metrics::Metrics,
    supervision::contain,
};
use presence::{
    Attempt, ConnId, Connection, Kind, Now, Permit, Reason, Scope, Session, Subject, Timestamp,
    Verdict, retry_wait, verdict,
};
use std::{sync::Arc, time::Duration};
use store::{
    AttemptRecord, Claim, Claimed, Collapse, EndpointChange, Fate, Settlement, Store, StoreError,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Beyond the timeout of an attempt, for settling it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How much of what went wrong is kept: an App may answer pages of it.
const ERROR_CHARS_MAX: usize = 500;
/// How long an attempt that could not be recorded, or an outbox that could not be read, waits for the
/// next try.
const STORE_RETRY: Duration = Duration::from_millis(500);
/// How many callbacks are in flight to an endpoint that fails at whoever it is told of.
const SUSPECT_CONCURRENCY: usize = 2;
/// How long each of them waits for its next turn: others' go meanwhile.
const SUSPECT_WAIT: Duration = Duration::from_secs(2);
/// The longest sleep without looking: a net under everything that rings.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Works for one endpoint.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Dispatcher {
    pub store: Arc<dyn Store>,
    pub driver: Arc<Driver>,
    pub endpoint: Arc<Endpoint>,
    pub sender: Arc<dyn Sender>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub metrics: Arc<Metrics>,
}

impl Dispatcher {
    /// Runs until told to stop; then what is in flight is finished.
    pub async fn run(self, stop: CancellationToken) {
        let mut in_flight = JoinSet::new();
        let mut retelling = Retelling::default();
        self.take_over_suspicion().await;
        while !stop.is_cancelled() {
            // Ask to be woken before looking, so that news in between is not missed.
            let news = self.endpoint.news.notified();
            retelling.look(&self).await;
            let room = self.room(in_flight.len());
            let claimed = match self.claim(room).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read; it is read again soon");
                    // What is due stays due, so without a pause this would spin.
                    stop.run_until_cancelled(tokio::time::sleep(STORE_RETRY)).await;
                    continue;
                }
            };
            let found = !claimed.is_empty();
            for callback in claimed {
                let (dispatcher, stop) = (self.clone(), stop.clone());
                in_flight.spawn(async move { dispatcher.attempt(callback, &stop).await });
            }
            if found {
                continue;
            }
            if in_flight.is_empty() {
                self.forget_trouble_if_nothing_is_owed().await;
            }
            let sleep = tokio::time::sleep(self.idle_for(room).await);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = news => {}
                _ = in_flight.join_next(), if !in_flight.is_empty() => {}
                () = sleep => {}
            }
            while in_flight.try_join_next().is_some() {}
        }
        while in_flight.join_next().await.is_some() {}
    }

    /// Ends a trouble whose wait is over where nothing is owed any more, because all of it expired. Telling
    /// again, and logins that would ask, hold back while there is trouble: no probe would ever be sent.
    async fn forget_trouble_if_nothing_is_owed(&self) {
        let permit = self.endpoint.health().permit(self.clock.now().mono);
        if !matches!(permit, Permit::Probe | Permit::Suspect) {
            return;
        }
        let backlog = self.store.backlog(&self.endpoint.settings.name).await;
        if backlog.is_ok_and(|backlog| backlog.owed == 0) {
            self.endpoint.health().forget_trouble();
        }
    }

    /// How many more may be sent now.
    fn room(&self, in_flight: usize) -> usize {
        match self.endpoint.health().permit(self.clock.now().mono) {
            Permit::Open => {
                let most = self.endpoint.settings.concurrency_max;
                self.endpoint.pace().limit(most).saturating_sub(in_flight)
            }
            Permit::Suspect => SUSPECT_CONCURRENCY.saturating_sub(in_flight),
            Permit::Probe => usize::from(in_flight == 0),
            Permit::Wait(_) | Permit::Paused => 0,
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        if let Ok(state) = self.store.endpoint(&self.endpoint.settings.name).await {
            self.endpoint.stands(&state);
            if state.paused {
                return Ok(Vec::new());
            }
        }
        self.collapse(limit).await;
        let timeouts = self.endpoint.settings.timeouts;
        let claim = Claim {
            endpoint: self.endpoint.settings.name.clone(),
            now: self.clock.now().mono,
            lease: timeouts.longest() + LEASE_MARGIN,
            limit,
        };
        self.store.claim(claim).await
    }

    /// After an outage: leaves out what those who may be claimed next need not be told any more.
    async fn collapse(&self, limit: usize) {
        let EndpointSettings { name, interest, collapse_after, .. } = &self.endpoint.settings;
        let Some(after) = *collapse_after else { return };
        let now = self.clock.now();
        let queued_before = Timestamp(now.wall.0.saturating_sub(after.as_millis() as u64));
        let oldest = self.store.backlog(name).await.ok().and_then(|backlog| backlog.oldest_at);
        if oldest.is_none_or(|oldest| oldest >= queued_before) {
            return;
        }
        let wish = Collapse {
            endpoint: name.clone(),
            due: now.mono,
            queued_before,
            scope: interest.keeps(),
            users_max: limit,
            at: now.wall,
        };
        loop {
            match self.store.collapse(wish.clone()).await {
                // Of a very long line some is left for the next time.
                Ok(superseded @ 1..) => self.metrics.superseded.inc_by(superseded),
                Ok(0) => return,
                Err(error) => return tracing::error!(%error, "nothing could be left out"),
            };
        }
    }

    /// How long there is nothing to do unless something rings.
    async fn idle_for(&self, room: usize) -> Duration {
        let now = self.clock.now().mono;
        let permit = self.endpoint.health().permit(now);
        let next = match permit {
            Permit::Wait(at) => Some(at),
            // The end of one that is in flight wakes us.
            _ if room == 0 => None,
            _ => self.store.next_due(&self.endpoint.settings.name).await.ok().flatten(),
        };
        next.map_or(LOOK_AGAIN, |at| at.after(now).min(LOOK_AGAIN))
    }

    /// One attempt. After a panic its lease runs out: it is sent again then, and not at once.
    async fn attempt(&self, callback: Claimed, stop: &CancellationToken) {
        let told = callback.change.conn.filter(|_| callback.change.kind == Kind::Online);
        let id = callback.lease.id.clone();
        if contain("attempt", self.deliver(callback, stop)).await.is_ok() {
            return;
        }
        tracing::error!(callback.id = %id, "an attempt ended in a panic; it is made again later");
        if let Some(conn) = told {
            self.endpoint.asked.answer(conn, Answered::Failed);
        }
    }

    /// What an attempt does, and what it means.
    #[tracing::instrument(name = "callback.send", skip_all, fields(
        callback.id = %callback.lease.id, operation.id = callback.operation_id))]
    async fn deliver(&self, callback: Claimed, stop: &CancellationToken) {
        if let Some(fate) = self.unwanted(&callback).await {
            return self.leave_out(callback, fate).await;
        }
        let began = self.clock.now();
        let mut sent = self.sender.send(&self.endpoint, &callback).await;
        sent.error = sent.error.map(|words| words.chars().take(ERROR_CHARS_MAX).collect());
        let now = self.clock.now();
        let questions = self.questions(&callback, stop).await;
        let can_refuse = self.can_refuse(&callback, &questions);
        let verdict = match verdict(sent.attempt, callback.tries + 1, can_refuse) {
            // Only a going online can be refused.
            Verdict::Refused if callback.change.kind != Kind::Online => Verdict::Delivered,
            verdict => self.unless_too_many(verdict, &callback, now),
        };
        let verdict = self.note_health(verdict, &callback, &sent, began, now);
        self.keep_suspicion().await;
        let took_ms = now.mono.0 - began.mono.0;
        self.metrics.attempt(&self.endpoint.settings.name, verdict, took_ms);
        tracing::info!(verdict = name(verdict), took_ms, error = sent.error, "callback attempted");
        if verdict == Verdict::Pause {
            self.pause().await;
        }
        let settlement = Settlement {
            attempt: Some(record(&sent, verdict, began, took_ms)),
            fate: self.fate(verdict, &callback, now),
            ..self.settlement(&callback, now)
        };
        let is_over = !matches!(settlement.fate, Fate::RetryAt { .. });
        let settled = loop {
            match self.settle(verdict, &questions, &callback, &sent, settlement.clone()).await {
                // The store may be back long before the lease runs out. It goes no further than that.
                Err(StoreError::Unavailable(why)) if !stop.is_cancelled() => {
                    tracing::warn!(why, "an attempt waits to be recorded");
                    let wait = tokio::time::sleep(STORE_RETRY);
                    stop.run_until_cancelled(wait).await;
                }
                settled => break settled,
            }
        };
        if is_over && settled.is_ok() {
            self.note_over(&callback);
        }
        if let Err(error) = &settled {
            // The lease runs out and it is sent again: at least once.
            tracing::error!(%error, "an attempt could not be recorded");
        }
        // One that is not carried out says nothing else than that the App was told.
        let verdict = match verdict {
            Verdict::Refused if !can_refuse => Verdict::Delivered,
            verdict => verdict,
        };
        self.answer(verdict, questions, settled.is_ok(), sent);
    }

    fn settlement(&self, callback: &Claimed, now: Now) -> Settlement {
        Settlement {
            lease: callback.lease.clone(),
            subject: Subject::of(&callback.change, self.endpoint.scope()),
            change: callback.change.clone(),
            attempt: None,
            fate: Fate::Delivered,
            at: now.wall,
        }
    }

    fn note_over(&self, callback: &Claimed) {
        if callback.change.reason == Reason::Resync || callback.replayed {
            self.endpoint.look_at_marks();
        }
    }

    /// What was queued under other settings, and is not told under these.
    async fn unwanted(&self, callback: &Claimed) -> Option<Fate> {
        let (interest, change) = (self.endpoint.settings.interest, &callback.change);
        if !interest.selects(change) {
            // Who is not told of the background any more keeps no word about it.
            let keeps_it = change.kind != Kind::Background || interest.background;
            return Some(Fate::Unwanted { retell: keeps_it });
        }
        // What became of it since may not have been told.
        if self.endpoint.is_from_before(callback.lease.row()) && !callback.replayed {
            return Some(Fate::Unwanted { retell: true });
        }
        // No offline would ever follow the online of somebody who has left.
        let may_stay = change.kind == Kind::Online && interest.offline.is_none();
        if !may_stay || !callback.is_inherited || callback.replayed {
            return None;
        }
        let user = self.store.load(&callback.lease.id.user).await.ok()?.value;
        (!user.is_online()).then_some(Fate::Unwanted { retell: false })
    }

    async fn leave_out(&self, callback: Claimed, fate: Fate) {
        let settlement = Settlement { fate, ..self.settlement(&callback, self.clock.now()) };
        match self.store.settle(settlement).await {
            Ok(()) => {
                self.note_over(&callback);
                self.endpoint.look_at_marks();
                self.metrics.superseded.inc();
                tracing::info!("by its present settings the endpoint is not told of this");
            }
            // The lease runs out, and it is looked at again.
            Err(error) => tracing::error!(%error, "a callback could not be left out"),
        }
    }

    /// Tells the logins that wait what the App said.
    fn answer(&self, verdict: Verdict, questions: Questions, settled: bool, sent: Sent) {
        let asked = &self.endpoint.asked;
        if verdict == Verdict::Refused && settled {
            // Any endpoint may refuse, also when another one is asked.
            let gate = self.driver.gate().map(|(gate, _)| gate);
            let waiting = questions.own.into_iter().chain(questions.others);
            for (gate, conn) in waiting.filter_map(|conn| Some((gate.as_ref()?, conn))) {
                gate.asked.answer(conn, Answered::Refused(sent.refusal.clone()));
            }
            return;
        }
        if self.endpoint.settings.gate.is_none() {
            return;
        }
        let consents = settled && sent.consents;
        let answered = match verdict {
            Verdict::Delivered | Verdict::RefusalHeld if consents => Answered::Agreed,
            _ => Answered::Failed,
        };
        if let Some(conn) = questions.own {
            asked.answer(conn, answered);
        }
        if matches!(verdict, Verdict::Delivered | Verdict::RefusalHeld | Verdict::Dead) {
            // The App was not asked about them, and will not be: their clients dial again.
            questions.others.into_iter().for_each(|conn| asked.leave(conn));
        }
    }

    /// An App that refuses nearly everybody is broken.
    fn unless_too_many(&self, verdict: Verdict, callback: &Claimed, now: Now) -> Verdict {
        let refuses = verdict == Verdict::Refused;
        let is_answer = refuses || verdict == Verdict::Delivered;
        if !is_answer || callback.change.kind != Kind::Online || callback.replayed {
            return verdict;
        }
        let EndpointSettings { name, refusal_limit, on_refusal, gate, .. } =
            &self.endpoint.settings;
        if *on_refusal == OnRefusal::Ignore && gate.is_none() {
            return verdict;
        }
        let mut refusals = self.endpoint.refusals();
        let were_held = refusals.are_too_many(now.mono, *refusal_limit);
        let user = self.driver.hash(&callback.lease.id.user);
        if refusals.answered(user, refuses, now.mono, *refusal_limit) {
            return verdict;
        }
        if !were_held {
            tracing::error!(
                endpoint = %name,
                "the App refuses so many users that it must be broken; nobody is logged out by it \
                 any more (callbacks.refusal)"
            );
        }
        Verdict::RefusalHeld
    }

    /// Also for after a restart.
    async fn pause(&self) {
        let endpoint = &self.endpoint.settings.name;
        let change = EndpointChange::Paused(true);
        if let Err(error) = self.store.change_endpoint(endpoint, change).await {
            tracing::error!(%error, %endpoint, "a pause will be forgotten at a restart");
        }
    }

    /// What the attempt says about the endpoint; the verdict in the light of that.
    fn note_health(
        &self,
        verdict: Verdict,
        callback: &Claimed,
        sent: &Sent,
        began: Now,
        now: Now,
    ) -> Verdict {
        let mut health = self.endpoint.health();
        let endpoint = &self.endpoint.settings.name;
        let failing_since = health.failing_since();
        let was_suspect = health.permit(now.mono) == Permit::Suspect;
        let mut verdict = verdict;
        match verdict {
            Verdict::BackOff => {
                let chance = entropy::chance(&*self.entropy);
                health.failed(began.mono, now.mono, sent.retry_after, chance);
                self.endpoint.pace().turned_away(began.mono, now.mono);
                if failing_since.is_none() {
                    let error = sent.error.as_deref();
                    tracing::warn!(%endpoint, error, "the App cannot be told; holding its callbacks");
                }
                return verdict;
            }
            Verdict::Pause => {
                tracing::error!(%endpoint, "the App answered 410: nothing is sent until it is resumed");
                health.pause();
                return verdict;
            }
            Verdict::Again | Verdict::Dead | Verdict::Suspect => {
                let user = self.driver.hash(&callback.lease.id.user);
                if health.failed_at(user, began.mono) {
                    verdict = Verdict::Suspect;
                    if !was_suspect {
                        let error = sent.error.as_deref();
                        tracing::warn!(
                            %endpoint, error,
                            "the App fails at whoever it is told of; nothing is given up meanwhile"
                        );
                    }
                }
            }
            Verdict::Delivered | Verdict::Refused | Verdict::RefusalHeld => {
                health.succeeded(began.mono);
                if was_suspect {
                    tracing::warn!(%endpoint, "the App takes callbacks again");
                }
            }
        }
        if health.failing_since().is_some() {
            return verdict;
        }
        let most = self.endpoint.settings.concurrency_max;
        let mut pace = self.endpoint.pace();
        match failing_since {
            Some(since) => {
                pace.recovered(now.mono);
                let away_ms = now.mono.0.saturating_sub(since.0);
                tracing::warn!(%endpoint, away_ms, "the App answers again");
            }
            None => pace.answered(began.mono, now.mono, most),
        }
        verdict
    }

    fn fate(&self, verdict: Verdict, callback: &Claimed, now: Now) -> Fate {
        match verdict {
            Verdict::Delivered | Verdict::Refused | Verdict::RefusalHeld => Fate::Delivered,
            // Its mark stays.
            verdict if self.leaves_retold(verdict, callback) => Fate::Dropped,
            Verdict::Dead => {
                let id = &callback.lease.id;
                tracing::warn!(callback.id = %id, "the App failed at a callback as often as it may");
                Fate::Dead
            }
            Verdict::Suspect => Fate::RetryAt { at: now.mono + SUSPECT_WAIT, counts: false },
            Verdict::Again => {
                Fate::RetryAt { at: now.mono + retry_wait(callback.tries + 1), counts: true }
            }
            // Nothing is sent until an operator resumes; then everything is.
            Verdict::Pause => Fate::RetryAt { at: now.mono, counts: false },
            Verdict::BackOff => {
                let wait = self.endpoint.health().callback_wait(callback.attempts + 1);
                Fate::RetryAt { at: now.mono + wait, counts: false }
            }
        }
    }

    /// Whether a callback that told again how things are is left for later.
    fn leaves_retold(&self, verdict: Verdict, callback: &Claimed) -> bool {
        let fails = match verdict {
            Verdict::Again | Verdict::Dead | Verdict::Suspect => true,
            Verdict::BackOff => self.endpoint.health().leaves_retold(callback.attempts + 1),
            _ => false,
        };
        fails && callback.change.reason == Reason::Resync && !callback.replayed
    }

    /// A refusal and what it ends are one commit. Whom the App agreed to is let in by the login that waits
    /// for the answer: nobody is pushed out for a client that has given up.
    async fn settle(
        &self,
        verdict: Verdict,
        questions: &Questions,
        callback: &Claimed,
        sent: &Sent,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        let EndpointSettings { interest, on_refusal, .. } = &self.endpoint.settings;
        match verdict {
            Verdict::Refused if self.can_refuse(callback, questions) => {
                let scope = interest.online.unwrap_or(Scope::Connection);
                let only_at_gate = *on_refusal == OnRefusal::Ignore;
                let refusal = sent.refusal.clone();
                self.driver.refuse(callback, scope, only_at_gate, refusal, settlement).await
            }
            _ => self.store.settle(settlement).await,
        }
    }

    /// Whether a refusal of this callback is carried out.
    fn can_refuse(&self, callback: &Claimed, questions: &Questions) -> bool {
        let is_asked = self.endpoint.settings.gate.is_some() && !questions.are_none();
        callback.change.kind == Kind::Online
            && !callback.replayed
            && (self.endpoint.settings.on_refusal == OnRefusal::Disconnect || is_asked)
    }

    /// The connections at the gate that this callback speaks for. Read until the store answers, for what
    /// the App said must not depend on it.
    async fn questions(&self, callback: &Claimed, stop: &CancellationToken) -> Questions {
        if self.driver.gate().is_none() || callback.change.kind != Kind::Online {
            return Questions::default();
        }
        let scope = self.endpoint.settings.interest.online.unwrap_or(Scope::Connection);
        let speaks_for =
            |seq: u64| seq == callback.change.seq || callback.spoken_for.contains(&seq);
        let waits = |c: &&Connection| c.session == Session::AtGate && speaks_for(c.told.at(scope));
        let is_own = |c: &&Connection| c.told.connection == callback.change.seq;
        loop {
            match self.store.load(&callback.lease.id.user).await {
                Ok(user) => {
                    let waiting = user.value.connections().iter().filter(waits);
                    let (own, others): (Vec<_>, Vec<_>) = waiting.partition(is_own);
                    let others = others.into_iter().map(|c| c.id).collect();
                    return Questions { own: own.first().map(|c| c.id), others };
                }
                Err(StoreError::Unavailable(why)) if !stop.is_cancelled() => {
                    tracing::warn!(why, "an answer waits for the store to say whom it is about");
                    stop.run_until_cancelled(tokio::time::sleep(STORE_RETRY)).await;
                }
                Err(error) => {
                    tracing::error!(%error, "nobody knows whom an answer is about");
                    return Questions::default();
                }
            }
        }
    }
}

/// The logins that wait for the App and that a callback speaks for.
#[derive(Default)]
struct Questions {
    /// Its own: the App is asked about it.
    own: Option<ConnId>,
    /// Those whose callbacks were left out for this one, or were covered by it.
    others: Vec<ConnId>,
}

impl Questions {
    fn are_none(&self) -> bool {
        self.own.is_none() && self.others.is_empty()
    }
}

fn record(sent: &Sent, verdict: Verdict, began: Now, took_ms: u64) -> AttemptRecord {
    let status = match sent.attempt {
        Attempt::Answered { status, .. } | Attempt::Unread { status } => Some(status),
        Attempt::Unanswered => None,
    };
    AttemptRecord {
        at: began.wall,
        took_ms,
        status,
        answer: sent.answer.clone(),
        error: sent.error.clone(),
        verdict: name(verdict).to_owned(),
    }
}

/// The word for a verdict in logs, metrics and the API.
pub(crate) fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Refused => "refused",
        Verdict::RefusalHeld => "refusal_held",
        Verdict::Again => "again",
        Verdict::Dead => "dead",
        Verdict::Suspect => "suspect",
        Verdict::BackOff => "back_off",
        Verdict::Pause => "pause",
    }
}
