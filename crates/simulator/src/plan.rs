//! What kind of run a seed means: the operator's settings, and which faults it may have at all.

use crate::{dice::Dice, proxy::Proxy};
use presence::{Interest, LoginPolicy, MassLossPolicy, Policy, Scope};
use std::time::Duration;
use store::EndpointName;

/// As in `server::running`.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// The defaults of `presence.offline_grace`, `presence.restart_grace` and
/// `callbacks.collapse_after`.
pub(crate) const OFFLINE_GRACE: Duration = Duration::from_secs(20);
pub(crate) const RESTART_GRACE: Duration = Duration::from_secs(60);
const COLLAPSE_AFTER: Duration = Duration::from_secs(300);
/// The endpoint that is told of everything in every run: by it the checkers know of every change.
const TOLD_OF_ALL: usize = 1;
/// The default of `callbacks.retention`: longer than any run.
pub(crate) const RETENTION: Duration = Duration::from_secs(72 * 3_600);
/// The default of `callbacks.*.timeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// What kind of App an endpoint tells: the table of the contract's §8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One flag per user, told every login.
    Flag,
    /// One flag per user, told no repeats.
    QuietFlag,
    /// A set of connections.
    Connections,
    /// A state per platform.
    Platforms,
}

impl Kind {
    pub(crate) fn interest(self, kick_off: bool, tells_background: bool) -> Interest {
        let (online, offline) = match self {
            Kind::Flag => (Scope::Connection, Scope::User),
            Kind::QuietFlag => (Scope::User, Scope::User),
            Kind::Connections => (Scope::Connection, Scope::Connection),
            Kind::Platforms => (Scope::Platform, Scope::Platform),
        };
        let (online, offline) = (Some(online), Some(offline));
        Interest { online, offline, kick_off, background: tells_background }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Flag => "flag",
            Kind::QuietFlag => "quiet-flag",
            Kind::Connections => "connections",
            Kind::Platforms => "platforms",
        }
    }
}

/// How the App is asked before anybody is admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    /// Which endpoint is asked.
    pub(crate) endpoint: usize,
    pub(crate) failed_continue: bool,
    pub(crate) waiting_max: usize,
}

/// Whom Apps refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refuses {
    Nobody,
    /// So many of a hundred online callbacks.
    Logins(u64),
    /// All logins of some users, for a while.
    Users,
}

/// What an operator may change from one process to the next.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) kick_off: bool,
    pub(crate) background: bool,
    /// None: Apps are told afterwards.
    pub(crate) gate: Option<Gate>,
    pub(crate) closes_on_refusal: bool,
    pub(crate) collapse_after: Option<Duration>,
}

impl Settings {
    /// An operator changes something. Where an App is told apart less, it is replaced by one that keeps
    /// a flag for each user.
    pub(crate) fn change(&mut self, dice: &mut Dice) {
        match dice.below(5) {
            0 => self.closes_on_refusal = !self.closes_on_refusal,
            1 => self.kick_off = !self.kick_off,
            2 => {
                let collapse_after = self.collapse_after.is_none().then(|| dice.ms(1_000..60_000));
                self.collapse_after = collapse_after;
            }
            3 => {
                let endpoint = dice.below(self.kinds.len());
                let gate = Gate { endpoint, failed_continue: dice.percent(50), waiting_max: 1_000 };
                self.gate = self.gate.is_none().then_some(gate);
            }
            _ => {
                let number = dice.below(self.kinds.len());
                if number != TOLD_OF_ALL {
                    self.kinds[number] = dice.pick(&[Kind::Flag, Kind::QuietFlag]);
                }
            }
        }
    }

    pub(crate) fn interest(&self, endpoint: usize) -> Interest {
        self.kinds[endpoint].interest(self.kick_off, self.background)
    }

    /// At which scope the App that is asked is told of logins; none: none is asked.
    pub(crate) fn gate_scope(&self) -> Option<Scope> {
        self.gate.and_then(|gate| self.interest(gate.endpoint).online)
    }
}

/// Everything that is settled before the first event.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) users: usize,
    /// What kind of App each endpoint tells at first; its name stays.
    pub(crate) endpoints: Vec<Kind>,
    pub(crate) policy: Policy,
    /// Those of the first process.
    pub(crate) settings: Settings,
    pub(crate) online_timeout: Duration,
    pub(crate) refuses: Refuses,
    /// Apps refuse, and fail, by `actionCode`: their dialect knows no other way.
    pub(crate) refuses_by_code: bool,
    pub(crate) owed_max: u64,
    /// How long an offline user is remembered, in milliseconds.
    pub(crate) forget_after_ms: u64,
    /// How often what is over is forgotten: [`store::Memory`] looks at its whole history for it.
    pub(crate) prune_every: Duration,
    /// Whether a trace is kept: of a long run it would be gigabytes.
    pub(crate) traced: bool,
    /// What stands between Herald and the Apps; none: nothing.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) faults: Faults,
    /// Apps read no snapshot, and nobody tells the dead again: in time they are right all the same.
    pub(crate) never_reads: bool,
}

/// Which kinds of fault a run may have. Each is left out of some runs, so that it hides nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) store_fails: bool,
    pub(crate) store_slow: bool,
    /// One operation of the store, or one user's commits, fail or are slow while all others work.
    pub(crate) store_partly: bool,
    pub(crate) crashes: bool,
    pub(crate) stops: bool,
    pub(crate) clock_steps: bool,
    /// The wall clock jumps by days.
    pub(crate) clock_days: bool,
    /// Processes do not run for a while.
    pub(crate) freezes: bool,
    /// Operators change settings before a process starts.
    pub(crate) new_settings: bool,
    /// Operators replay and purge.
    pub(crate) replays: bool,
    pub(crate) cuts: bool,
    pub(crate) apps_troubled: bool,
    pub(crate) apps_roll_back: bool,
    /// Apps apply requests that Herald has given up.
    pub(crate) late: bool,
    pub(crate) duplicates: bool,
    pub(crate) fails_one: bool,
    /// Answers that are no consent: pages of a proxy.
    pub(crate) odd_answers: bool,
    /// Clients dial twice at once, or give up and dial again while the App is asked.
    pub(crate) double_dials: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Plan {
        let login = dice.pick(&[
            LoginPolicy::None,
            LoginPolicy::SamePlatformKicks,
            LoginPolicy::SameClassKicks,
            LoginPolicy::PcAndOther,
        ]);
        let mut endpoints = vec![Kind::Flag, Kind::Connections, Kind::Platforms];
        if dice.percent(30) {
            endpoints.push(Kind::QuietFlag);
        }
        let new_settings = dice.percent(40);
        if new_settings {
            // One that may become another kind of App.
            endpoints.push(Kind::Connections);
        }
        let gate = dice.percent(60).then(|| {
            let waiting_max = if dice.percent(20) { dice.within(1..4) as usize } else { 1_000 };
            let endpoint = dice.below(endpoints.len());
            Gate { endpoint, failed_continue: dice.percent(50), waiting_max }
        });
        let refuses = match dice.below(5) {
            0 | 1 => Refuses::Nobody,
            2 | 3 => Refuses::Logins(dice.pick(&[3, 10, 30])),
            _ => Refuses::Users,
        };
        let mut plan = Plan {
            users: dice.within(3..13) as usize,
            settings: Settings {
                kinds: endpoints.clone(),
                kick_off: dice.percent(50),
                background: false,
                gate,
                closes_on_refusal: dice.percent(70),
                collapse_after: dice.percent(60).then(|| dice.ms(1_000..60_000)),
            },
            endpoints,
            online_timeout: Duration::from_secs(dice.pick(&[2, 5, 5])),
            refuses,
            refuses_by_code: dice.percent(30),
            policy: Policy {
                offline_grace: OFFLINE_GRACE,
                restart_grace: RESTART_GRACE,
                virtual_lease: Duration::from_secs(dice.within(30..90)),
                login,
                known_tokens_only: dice.percent(20),
                logout_denies_token: dice.percent(50),
                refused_for: Duration::from_secs(dice.pick(&[0, 60])),
                user_budget: dice.pick(&[0, 10, 30]),
                mass_loss: MassLossPolicy {
                    min_connections: dice.pick(&[4, 1_000]),
                    ..MassLossPolicy::default()
                },
                ..Policy::default()
            },
            owed_max: if dice.percent(20) { dice.within(5..60) } else { 1_000_000 },
            forget_after_ms: if dice.percent(40) { dice.within(5_000..60_000) } else { 1 << 40 },
            prune_every: PRUNE_EVERY,
            traced: true,
            proxy: None,
            faults: Faults {
                store_fails: dice.percent(50),
                store_slow: dice.percent(40),
                store_partly: dice.percent(40),
                crashes: dice.percent(60),
                stops: dice.percent(40),
                clock_steps: dice.percent(40),
                clock_days: dice.percent(20),
                freezes: dice.percent(30),
                new_settings,
                replays: dice.percent(50),
                cuts: dice.percent(50),
                apps_troubled: dice.percent(75),
                apps_roll_back: dice.percent(30),
                late: dice.percent(40),
                duplicates: dice.percent(50),
                fails_one: dice.percent(40),
                odd_answers: dice.percent(30),
                double_dials: dice.percent(50),
            },
            never_reads: false,
        };
        plan.never_reads = dice.percent(30);
        // Nothing else brings back what an App has lost itself.
        plan.faults.apps_roll_back &= !plan.never_reads;
        plan
    }
}

impl Plan {
    /// Some Apps want to know who is in the background: a third of all seeds, in blocks of 64. No die is thrown,
    /// so that all others fall as they did before this was there.
    pub(crate) fn with_background(mut self, seed: u64) -> Plan {
        self.settings.background = seed / 64 % 3 == 1;
        self.policy.tells_background = self.settings.background;
        self
    }

    /// Settings as an operator leaves them, and no faults but those that are asked for.
    pub(crate) fn calm(users: usize, endpoints: &[Kind]) -> Plan {
        Plan {
            users,
            endpoints: endpoints.to_vec(),
            policy: Policy {
                offline_grace: OFFLINE_GRACE,
                restart_grace: RESTART_GRACE,
                virtual_lease: Duration::from_secs(60),
                ..Policy::default()
            },
            settings: Settings {
                kinds: endpoints.to_vec(),
                kick_off: false,
                background: false,
                gate: None,
                closes_on_refusal: false,
                collapse_after: Some(COLLAPSE_AFTER),
            },
            online_timeout: TIMEOUT,
            refuses: Refuses::Nobody,
            refuses_by_code: false,
            owed_max: u64::MAX,
            forget_after_ms: 1 << 40,
            prune_every: Duration::from_secs(24 * 3600),
            traced: false,
            proxy: None,
            faults: Faults::default(),
            never_reads: false,
        }
    }

    pub(crate) fn endpoint_name(&self, number: usize) -> EndpointName {
        let (before, kind) = (&self.endpoints[..number], self.endpoints[number]);
        match before.contains(&kind) {
            true => EndpointName::new(format!("{}-{number}", kind.name())),
            false => EndpointName::new(kind.name()),
        }
    }
}
