//! A callback URL with its settings, and how it is doing.

use super::Asked;
use crate::config::OnRefusal;
use contract::signature::SigningSecret;
use presence::{Health, Interest, Kind, Pace, RefusalLimit, Refusals, Scope};
use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{EndpointName, EndpointState};
use tokio::sync::Notify;

/// One receiver of callbacks.
pub struct Endpoint {
    /// What the operator configured.
    pub settings: EndpointSettings,
    /// Rung when something is queued, settled or resumed.
    pub news: Notify,
    /// Who waits for its answer.
    pub asked: Asked,
    health: Mutex<Health>,
    pace: Mutex<Pace>,
    refusals: Mutex<Refusals>,
    /// As in the store, for the header that tells the App.
    needs_resync: AtomicBool,
    /// A mark may be due at once.
    look_at_marks: AtomicBool,
    /// As in the store: its App fails at whoever it is told of.
    is_suspect: AtomicBool,
    /// As in the store: callbacks up to that row are from before a time without it.
    anew_row: AtomicU64,
    epoch: OnceLock<String>,
}

/// What the operator configured for an endpoint. Not `Debug`: the URL may hold a secret.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct EndpointSettings {
    pub name: EndpointName,
    pub target: contract::Target,
    pub dialect: contract::Dialect,
    /// The switches and scopes.
    pub interest: Interest,
    pub timeouts: Timeouts,
    pub on_refusal: OnRefusal,
    /// Whether the App is asked before anybody is let in, and how; none: it is told afterwards.
    pub gate: Option<GateSettings>,
    /// How much it may refuse.
    pub refusal_limit: RefusalLimit,
    /// What requests are signed with, the newest first; none: they are not.
    pub secrets: Vec<SigningSecret>,
    /// How many users' callbacks are in flight at once.
    pub concurrency_max: usize,
    /// Whether the App is told how things are where a callback was given up.
    pub retell: bool,
    /// How long callbacks wait until those that say nothing new are left out; none: for ever.
    pub collapse_after: Option<Duration>,
}

/// How the App is asked.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct GateSettings {
    /// Whether those are let in about whom the App cannot be asked, or does not answer well.
    pub failed_continue: bool,
    /// How many may wait for its answer.
    pub waiting_max: usize,
}

/// How long the App may take for each kind of callback, answer read included.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Timeouts {
    pub online: Duration,
    pub offline: Duration,
    pub kick_off: Duration,
    pub background: Duration,
}

impl Timeouts {
    /// The same for every kind.
    pub fn all(timeout: Duration) -> Timeouts {
        Timeouts { online: timeout, offline: timeout, kick_off: timeout, background: timeout }
    }

    pub(crate) fn longest(self) -> Duration {
        let Timeouts { online, offline, kick_off, background } = self;
        online.max(offline).max(kick_off).max(background)
    }
}

impl Endpoint {
    /// A healthy endpoint.
    pub fn new(settings: EndpointSettings) -> Endpoint {
        let (health, pace, refusals, needs_resync, look_at_marks, epoch) = Default::default();
        let (anew_row, is_suspect) = Default::default();
        let asked = Asked::new(settings.gate.map_or(0, |gate| gate.waiting_max));
        let news = Notify::new();
        Endpoint {
            settings,
            news,
            asked,
            health,
            pace,
            refusals,
            needs_resync,
            look_at_marks,
            is_suspect,
            anew_row,
            epoch,
        }
    }

    /// Whether it may be sent to.
    pub fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much it is sent at the same time.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it refused lately.
    pub fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of everything that the store has ever held; empty until it is known.
    pub fn epoch(&self) -> &str {
        self.epoch.get().map_or("", String::as_str)
    }

    /// Said once, before anything is sent.
    pub fn set_epoch(&self, epoch: &str) {
        let _ = self.epoch.set(epoch.to_owned());
    }

    /// Whether the App's view may be wrong for good, unless it reads who is online.
    pub fn needs_resync(&self) -> bool {
        self.needs_resync.load(Relaxed)
    }

    /// Whether its App fails at whoever it is told of is to be stored; what was stored before, if it is not that.
    pub(super) fn note_suspicion(&self, is_suspect: bool) -> Option<bool> {
        let before = self.is_suspect.swap(is_suspect, Relaxed);
        (before != is_suspect).then_some(before)
    }

    /// Whether a callback of that row was queued before a time in which it was not told of everything.
    pub(super) fn is_from_before(&self, row: u64) -> bool {
        row <= self.anew_row.load(Relaxed)
    }

    /// A callback was settled after which there may be more to tell again.
    pub(super) fn look_at_marks(&self) {
        self.look_at_marks.store(true, Relaxed);
    }

    /// Whether that was so since it was last asked.
    pub(super) fn is_to_look_at_marks(&self) -> bool {
        self.look_at_marks.swap(false, Relaxed)
    }

    /// What its App keeps one word about.
    pub fn scope(&self) -> Scope {
        self.settings.interest.keeps()
    }

    /// Takes over how it stands in the store.
    pub(super) fn stands(&self, state: &EndpointState) {
        self.needs_resync.store(state.resync.is_some(), Relaxed);
        self.anew_row.store(state.anew_row, Relaxed);
        if state.paused {
            self.health().pause();
        }
    }

    /// How long the App may take for a callback.
    pub fn timeout(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Online => self.settings.timeouts.online,
            Kind::Offline => self.settings.timeouts.offline,
            Kind::KickOff => self.settings.timeouts.kick_off,
            Kind::Background => self.settings.timeouts.background,
        }
    }
}
