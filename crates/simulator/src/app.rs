//! The Apps: each keeps two views of who is online, naively in arrival order and by highest `seq`,
//! and misbehaves as the storm tells it to.

use crate::{
    node::Node,
    plan::{Kind, Refuses},
    world::World,
};
use presence::{Attempt, Change, ConnId, Platform, Refusal, UserId};
use server::callbacks::Sent;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::{CallbackId, EndpointChange, Store, UserQuery};
use tokio::sync::oneshot;

/// How often an App saves its view, and so how much it forgets when it rolls back.
pub(crate) const SAVED_EVERY: Duration = Duration::from_secs(5);
/// How many of those it keeps.
const SAVED_MAX: usize = 4;

/// What an App keeps one word about: a user, one of their platforms, or one of their connections
/// (all virtual ones are one).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    User(UserId),
    Platform(UserId, Platform),
    Connection(UserId, Option<ConnId>),
}

impl Subject {
    pub(crate) fn user(&self) -> &UserId {
        let (Subject::User(user) | Subject::Platform(user, _) | Subject::Connection(user, _)) =
            self;
        user
    }
}

impl Subject {
    /// The same, as the core names it.
    pub(crate) fn in_core(&self) -> presence::Subject {
        match self {
            Subject::User(_) => presence::Subject::User,
            Subject::Platform(_, platform) => presence::Subject::Platform(*platform),
            Subject::Connection(_, conn) => presence::Subject::Connection(*conn),
        }
    }
}

impl Kind {
    pub(crate) fn subject(
        self,
        user: &UserId,
        platform: Platform,
        conn: Option<ConnId>,
    ) -> Subject {
        match self {
            Kind::Flag | Kind::QuietFlag => Subject::User(user.clone()),
            Kind::Platforms => Subject::Platform(user.clone(), platform),
            Kind::Connections => Subject::Connection(user.clone(), conn),
        }
    }
}

/// How an App is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Well,
    /// No connection.
    Unreachable,
    /// A connection, and then nothing.
    Hangs,
    /// The whole answer takes up to so long, in milliseconds.
    Slow(u64),
    /// This HTTP status, whether or not the callback was applied.
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    TooMany(u64),
    /// 410: Herald pauses.
    Gone,
}

/// One App.
pub(crate) struct App {
    pub(crate) number: usize,
    state: Mutex<State>,
}

struct State {
    kind: Kind,
    /// It was another one before, and does not know who is in the background.
    has_changed: bool,
    mode: Mode,
    views: Views,
    saved: VecDeque<Views>,
    /// Rises when it restarts: what was being worked on then is gone.
    life: u64,
    /// Something was applied out of its order, so the naive view may be wrong.
    out_of_order: bool,
    /// Its view is wrong until it has read a snapshot.
    to_resync: bool,
    resyncs: u64,
    /// Callbacks that it always fails at.
    fails_at: BTreeSet<CallbackId>,
    accepted: BTreeSet<CallbackId>,
    /// Users all of whose logins it refuses.
    banned: BTreeSet<UserId>,
}

#[derive(Clone, Default)]
pub(crate) struct Views {
    pub(crate) naive: BTreeSet<Subject>,
    /// Of these it believes that they are in the background.
    pub(crate) naive_hidden: BTreeSet<Subject>,
    latest: BTreeMap<Subject, Latest>,
}

/// The newest that is known of a subject.
#[derive(Clone, Copy, Default)]
struct Latest {
    seq: u64,
    online: bool,
    hidden: bool,
}

impl Views {
    fn apply(&mut self, subject: &Subject, latest: Latest) {
        mark(&mut self.naive, subject, latest.online);
        mark(&mut self.naive_hidden, subject, latest.online && latest.hidden);
        let known = self.latest.entry(subject.clone()).or_default();
        if latest.seq > known.seq {
            *known = latest;
        }
    }

    /// Nobody knows then whose newest connection is in the background.
    fn by_user(&mut self) {
        let user = |subject: &Subject| Subject::User(subject.user().clone());
        self.naive = self.naive.iter().map(user).collect();
        let mut latest = BTreeMap::new();
        for (subject, Latest { seq, online, .. }) in &self.latest {
            let of_user: &mut Latest = latest.entry(user(subject)).or_default();
            of_user.seq = of_user.seq.max(*seq);
            of_user.online |= *online;
        }
        self.latest = latest;
    }

    pub(crate) fn by_seq(&self) -> BTreeSet<Subject> {
        self.those(|latest| latest.online)
    }

    pub(crate) fn hidden_by_seq(&self) -> BTreeSet<Subject> {
        self.those(|latest| latest.online && latest.hidden)
    }

    fn those(&self, of: impl Fn(&Latest) -> bool) -> BTreeSet<Subject> {
        let those = self.latest.iter().filter(|(_, latest)| of(latest));
        those.map(|(subject, _)| subject.clone()).collect()
    }

    /// Who is on the snapshot is as it says, unless something newer is known; who is not is offline,
    /// unless something beyond the fence is known.
    fn merge(&mut self, snapshot: &BTreeMap<Subject, Latest>, fence: u64) {
        for (_, latest) in self
            .latest
            .iter_mut()
            .filter(|(subject, latest)| !snapshot.contains_key(subject) && latest.seq <= fence)
        {
            latest.online = false;
        }
        for (subject, told) in snapshot {
            let latest = self.latest.entry(subject.clone()).or_default();
            if told.seq >= latest.seq {
                *latest = *told;
            }
        }
    }
}

fn mark(set: &mut BTreeSet<Subject>, subject: &Subject, is_in: bool) {
    if is_in {
        set.insert(subject.clone());
    } else {
        set.remove(subject);
    }
}

/// One callback on its way.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) id: CallbackId,
    pub(crate) change: Change,
    /// The header `herald-resync`.
    pub(crate) resync: bool,
}

impl App {
    pub(crate) fn new(number: usize, kind: Kind) -> App {
        let state = State {
            kind,
            has_changed: false,
            mode: Mode::Well,
            views: Views::default(),
            saved: VecDeque::new(),
            life: 0,
            out_of_order: false,
            to_resync: false,
            resyncs: 0,
            fails_at: BTreeSet::new(),
            accepted: BTreeSet::new(),
            banned: BTreeSet::new(),
        };
        App { number, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which one of its lives this is.
    pub(crate) fn life(&self) -> u64 {
        self.state().life
    }

    pub(crate) fn kind(&self) -> Kind {
        self.state().kind
    }

    pub(crate) fn knows_the_background(&self) -> bool {
        !self.state().has_changed
    }

    /// Another App takes its place, and what it knew: whoever was online anywhere is online.
    pub(crate) fn becomes(&self, kind: Kind) {
        let mut state = self.state();
        if state.kind == kind {
            return;
        }
        state.kind = kind;
        state.has_changed = true;
        state.life += 1;
        state.views.by_user();
        state.saved.iter_mut().for_each(Views::by_user);
    }

    pub(crate) fn mode(&self) -> Mode {
        self.state().mode
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state().mode = mode;
    }

    pub(crate) fn views(&self) -> Views {
        self.state().views.clone()
    }

    pub(crate) fn accepted(&self, id: &CallbackId) -> bool {
        self.state().accepted.contains(id)
    }

    pub(crate) fn resyncs(&self) -> u64 {
        self.state().resyncs
    }

    /// Whether an App that applies in arrival order can be right.
    pub(crate) fn is_in_order(&self) -> bool {
        !self.state().out_of_order
    }

    pub(crate) fn goes_out_of_order(&self) {
        self.state().out_of_order = true;
    }

    /// From now on it fails at nothing.
    pub(crate) fn is_mended(&self) {
        self.state().fails_at.clear();
    }

    pub(crate) fn save(&self) {
        let mut state = self.state();
        let views = state.views.clone();
        state.saved.push_back(views);
        if state.saved.len() > SAVED_MAX {
            state.saved.pop_front();
        }
    }

    /// It restarts, and its last seconds are lost.
    pub(crate) fn roll_back(&self) {
        let mut state = self.state();
        state.views = state.saved.front().cloned().unwrap_or_default();
        // It may lack departures, so nobody in it is online until a callback or the snapshot says so.
        state.views.latest.values_mut().for_each(|latest| latest.online = false);
        state.saved.clear();
        state.life += 1;
        state.to_resync = true;
    }

    /// Somebody tells it to read who is online.
    pub(crate) fn must_resync(&self) {
        self.state().to_resync = true;
    }

    pub(crate) fn wants_resync(&self) -> bool {
        self.state().to_resync
    }

    /// Reads who is online, as `GET /v1/snapshot` tells it, and says so.
    pub(crate) async fn resync(&self, world: &World, node: &Node) {
        let fence = node.driver.fence();
        let query = UserQuery { online_only: true, after: None, limit: usize::MAX };
        let Ok(users) = node.disk.users(query).await else { return };
        let mut snapshot = BTreeMap::new();
        for (user, state) in &users {
            for connection in state.connections() {
                let subject = self.kind().subject(user, connection.platform, connection.told_id());
                let hidden = state.is_in_background(subject.in_core());
                snapshot.insert(subject, Latest { seq: state.last_seq(), online: true, hidden });
            }
        }
        // Who applies naively takes no callbacks while it reads.
        let hidden = snapshot.iter().filter(|(_, told)| told.hidden);
        let hidden = hidden.map(|(subject, _)| subject.clone()).collect();
        self.state().views.naive = snapshot.keys().cloned().collect();
        self.state().views.naive_hidden = hidden;
        let life = self.life();
        world.sleep(1..3_000).await;
        if self.life() != life {
            return;
        }
        self.state().views.merge(&snapshot, fence);
        {
            let mut state = self.state();
            // What was saved before would bring back what the snapshot has put right.
            state.saved.clear();
            state.to_resync = false;
            state.resyncs += 1;
        }
        world.note(&format!("app {} has read the snapshot", self.number));
        world.count("app: resync from a snapshot");
        let name = world.plan.endpoint_name(self.number);
        let resynced = EndpointChange::Resynced { at: world.wall(), fence: Some(fence) };
        if node.disk.change_endpoint(&name, resynced).await.is_err() {
            self.state().to_resync = true;
        }
    }

    /// Works on one request. No answer is sent: the line breaks.
    pub(crate) async fn serve(
        self: Arc<Self>,
        world: Arc<World>,
        request: Request,
        answer: oneshot::Sender<Sent>,
    ) {
        let (life, resyncs) = (self.life(), self.resyncs());
        let mode = self.mode();
        let pause = match mode {
            Mode::Slow(most_ms) => world.within(1..most_ms),
            Mode::Hangs => 6_000 + world.within(0..20_000),
            _ => world.within(1..40),
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let late = answer.is_closed();
        // What Herald has given up is not applied over a snapshot that was read meanwhile.
        let is_left = late && (!world.plan.faults.late || self.resyncs() != resyncs);
        if self.life() != life || is_left {
            return;
        }
        if request.resync {
            self.state().to_resync = true;
        }
        if late {
            world.count("app: applied late");
            self.goes_out_of_order();
        }
        let sent = self.decide(&world, mode, &request);
        if world.plan.faults.apps_troubled && !world.is_quiet() && world.percent(1) {
            world.count("app: answer lost");
            return;
        }
        world.sleep(1..20).await;
        let _ = answer.send(sent);
    }

    fn decide(&self, world: &World, mode: Mode, request: &Request) -> Sent {
        let faults = &world.plan.faults;
        let storm = !world.is_quiet();
        let by_code = world.plan.refuses_by_code;
        if faults.fails_one && storm && world.percent(3) {
            self.state().fails_at.insert(request.id.clone());
        }
        if self.state().fails_at.contains(&request.id) {
            world.count("app: actionCode 1");
            if by_code {
                // Where that is a refusal, it knows of the login all the same.
                self.apply(world, request);
                self.state().accepted.insert(request.id.clone());
            }
            return answered(200, 1, by_code, None);
        }
        match mode {
            Mode::Status(status) => {
                world.count("app: error status");
                if world.percent(30) {
                    self.apply(world, request);
                }
                return answered(status, 0, false, None);
            }
            Mode::TooMany(seconds) => {
                world.count("app: 429");
                return answered(429, 0, false, Some(Duration::from_secs(seconds)));
            }
            Mode::Gone => {
                world.count("app: 410");
                return answered(410, 0, false, None);
            }
            Mode::Well | Mode::Slow(_) | Mode::Hangs | Mode::Unreachable => {}
        }
        self.apply(world, request);
        self.state().accepted.insert(request.id.clone());
        if storm && self.refuses(world, request) {
            world.count(if by_code { "app: refusal by code" } else { "app: refusal" });
            return answered(200, i64::from(by_code), true, None);
        }
        let mut sent = answered(200, 0, false, None);
        if faults.odd_answers && storm && world.percent(3) {
            world.count("app: an answer that is no consent");
            sent.consents = false;
        }
        sent
    }

    fn refuses(&self, world: &World, request: &Request) -> bool {
        let user = &request.id.user;
        let is_online = request.change.kind == presence::Kind::Online;
        match world.plan.refuses {
            Refuses::Nobody => false,
            // An offline that is refused is delivered.
            Refuses::Logins(_) if !is_online => world.percent(1),
            Refuses::Logins(percent) => world.percent(percent),
            Refuses::Users => {
                if world.percent(10) {
                    let banned = &mut self.state().banned;
                    if !banned.remove(user) {
                        banned.insert(user.clone());
                    }
                }
                is_online && self.state().banned.contains(user)
            }
        }
    }

    fn apply(&self, world: &World, request: &Request) {
        let Request { id, change, .. } = request;
        world.note(&format!("app {} applies {:?} {}", self.number, change.kind, id));
        let online = match change.kind {
            presence::Kind::Online | presence::Kind::Background => true,
            presence::Kind::Offline => false,
            presence::Kind::KickOff => return,
        };
        let subject = self.kind().subject(&id.user, change.platform, change.conn);
        let latest = Latest { seq: id.seq, online, hidden: change.background };
        self.state().views.apply(&subject, latest);
    }
}

fn answered(status: u16, action_code: i64, refuses: bool, retry_after: Option<Duration>) -> Sent {
    let attempt = Attempt::Answered { status, action_code, refuses };
    let refusal = Refusal::default();
    Sent { attempt, retry_after, answer: None, error: None, refusal, consents: true }
}
