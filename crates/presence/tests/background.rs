//! What Apps believe about front and background, of each kind that the contract's table names: right after each
//! step, whatever came before, and told no more than once a second.
#![allow(clippy::unwrap_used)]

use presence::{
    Author, Availability, Change, ConnId, Connection, End, Event, Instant, Interest, Kick, Kind,
    Login, LoginPolicy, Now, Platform, Policy, Reason, Refusal, Refused, Scope, Status, Subject,
    Timestamp, TokenHash, User,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// What one App keeps, applying what it hears in order.
struct App {
    interest: Interest,
    keeps: Scope,
    background: BTreeMap<Subject, bool>,
}

impl App {
    fn new(online: Scope, keeps: Scope) -> App {
        let interest = Interest {
            online: Some(online),
            offline: Some(keeps),
            kick_off: false,
            background: true,
        };
        App { interest, keeps, background: BTreeMap::new() }
    }

    fn hear(&mut self, change: &Change) {
        if !self.interest.selects(change) {
            return;
        }
        let subject = Subject::of(change, self.keeps);
        match change.kind {
            Kind::Online => drop(self.background.insert(subject, change.background)),
            Kind::Background => {
                let known = self.background.insert(subject, change.background);
                assert_eq!(known, Some(!change.background), "it is news: {change:?}");
            }
            Kind::Offline => drop(self.background.remove(&subject)),
            Kind::KickOff => {}
        }
    }

    fn agrees_with(&self, connections: &[Connection], is_settled: bool) {
        let mut expected: BTreeMap<Subject, bool> = BTreeMap::new();
        let virtual_first = |c: &&Connection| (c.told_id().is_some(), c.since);
        let mut by_age: Vec<(usize, &Connection)> = connections.iter().enumerate().collect();
        by_age.sort_by_key(|(at, c)| (virtual_first(c).0, *at));
        for (_, connection) in by_age {
            let subject = match self.keeps {
                Scope::User => Subject::User,
                Scope::Platform => Subject::Platform(connection.platform),
                Scope::Connection => Subject::Connection(connection.told_id()),
            };
            let told = connection.switch.map_or(connection.background, |switch| switch.told);
            assert!(!is_settled || told == connection.background, "never told: {connection:?}");
            expected.insert(subject, told);
        }
        assert_eq!(self.background, expected, "an App that keeps each {:?}", self.keeps);
    }
}

fn policy() -> Policy {
    Policy { login: LoginPolicy::None, user_budget: 0, tells_background: true, ..Policy::default() }
}

fn event() -> impl Strategy<Value = Event> {
    let conn = || (1..6u8).prop_map(|n| ConnId([n; 16]));
    let platform = || prop_oneof![Just(Platform::Ios), Just(Platform::Web)];
    let login = (conn(), platform(), 1..4u8, any::<bool>()).prop_map(
        |(conn, platform, token, background)| Login {
            conn,
            platform,
            token: TokenHash([token; 16]),
            issued_at: Timestamp(1),
            background,
            address: None,
        },
    );
    let status = (platform(), any::<bool>()).prop_map(|(platform, online)| Event::StatusSet {
        platform,
        status: Status {
            availability: if online { Availability::Online } else { Availability::Away },
            ..Status::default()
        },
        by: Author::Admin,
    });
    let end = prop_oneof![Just(End::Lost), Just(End::LoggedOut)];
    let refusal = || Refusal { msg: "no".into(), detail: "".into() };
    prop_oneof![
        4 => login.clone().prop_map(Event::Connected),
        2 => login.prop_map(|login| Event::Knocked { login, scope: Scope::Connection, may_ask: true }),
        2 => conn().prop_map(|conn| Event::LetIn { conn }),
        8 => (conn(), any::<bool>()).prop_map(|(conn, background)| Event::BackgroundSet { conn, background }),
        3 => (conn(), end).prop_map(|(conn, end)| Event::Disconnected { conn, end }),
        2 => status,
        1 => Just(Event::StatusCleared { platform: None }),
        1 => platform().prop_map(|platform| Event::Kicked(Kick::Platform(platform))),
        1 => (0..99_000u64).prop_map(move |seq| Event::Refused(Refused {
            seqs: vec![seq], scope: Scope::Connection, only_at_gate: false, refusal: refusal(),
        })),
        1 => Just(Event::Restarted),
        2 => Just(Event::Ticked),
    ]
}

/// Each login is another connection; what follows is about the last one that was called so.
#[derive(Default)]
struct Names {
    logins: u8,
    last: HashMap<ConnId, ConnId>,
}

impl Names {
    fn in_life(&mut self, mut event: Event) -> Event {
        match &mut event {
            Event::Connected(login) | Event::Knocked { login, .. } => {
                self.logins += 1;
                let conn = ConnId([100 + self.logins; 16]);
                self.last.insert(login.conn, conn);
                login.conn = conn;
            }
            Event::LetIn { conn }
            | Event::BackgroundSet { conn, .. }
            | Event::Disconnected { conn, .. } => *conn = *self.last.get(conn).unwrap_or(conn),
            _ => {}
        }
        event
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn apps_of_every_kind_know_who_is_in_the_background(
        steps in prop::collection::vec((prop_oneof![3 => 0..400u64, 1 => 400..30_000u64], event()), 1..60),
    ) {
        let mut user = User::default();
        let mut apps = [
            App::new(Scope::Connection, Scope::User),
            App::new(Scope::User, Scope::User),
            App::new(Scope::Connection, Scope::Connection),
            App::new(Scope::Platform, Scope::Platform),
            App::new(Scope::Connection, Scope::Platform),
            App::new(Scope::Platform, Scope::User),
        ];
        let mut told_at: HashMap<ConnId, u64> = HashMap::new();
        let mut names = Names::default();
        let mut at = 1_000;
        for (wait, event) in steps {
            at += wait;
            let event = names.in_life(event);
            let now = Now { mono: Instant(at), wall: Timestamp(at) };
            let is_restart = event == Event::Restarted;
            let effects = user.apply(event, now, &policy());
            for change in &effects.changes {
                apps.iter_mut().for_each(|app| app.hear(change));
                let own = change.kind == Kind::Background && change.edges.connection;
                if let (true, Some(conn), false) = (own, change.conn, is_restart) {
                    let before = told_at.insert(conn, at);
                    prop_assert!(before.is_none_or(|before| at >= before + 1_000), "{change:?}");
                }
                prop_assert!(change.kind != Kind::Background || change.reason != Reason::Resync);
            }
            apps.iter().for_each(|app| app.agrees_with(user.connections(), false));
        }
        let later = Now { mono: Instant(at + 1_000), wall: Timestamp(at + 1_000) };
        let effects = user.apply(Event::Ticked, later, &policy());
        for change in &effects.changes {
            apps.iter_mut().for_each(|app| app.hear(change));
        }
        apps.iter().for_each(|app| app.agrees_with(user.connections(), true));
    }
}
