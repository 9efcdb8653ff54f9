//! The view in a database is the view in memory, whatever is delivered.
#![allow(clippy::unwrap_used)]

mod database;
mod told;

use database::{Database, Postgres, Sqlite, Value, apply, begin, key, row, rows, statements};
use herald_receiver::{
    Applied, Kind, View,
    sync::{Correction, Span},
};
use told::{Lcg, SCOPES, USERS, collapsed, delivery, event, history};

fn agrees_with_the_view_in_memory(database: &mut dyn Database, seeds: u64) {
    for (seed, scope) in (0..seeds).flat_map(|seed| SCOPES.map(|scope| (seed, scope))) {
        let random = &mut Lcg(seed);
        let history = history(random);
        let whole = random.below(2) == 0;
        let sent = if whole { history } else { collapsed(&history, scope) };
        begin(database, scope);
        let mut view = View::new(scope);
        for event in delivery(&sent, random) {
            let changed = apply(database, scope, &event);
            let told = view.apply(&event);
            let news = matches!(told, Applied::Changed | Applied::Unchanged);
            assert_eq!(changed == 1, news && event.kind != Kind::KickOff, "seed {seed}: {event:?}");
        }
        let sql = statements(scope);
        assert_eq!(database.query(sql.online, &[]), rows(&view), "seed {seed}, {scope:?}");
        for user in USERS {
            let told = database.query(sql.is_online, &[Value::Text(user.into())]);
            assert_eq!(told, [[i32::from(view.is_online(user)).to_string()]], "seed {seed}");
        }
        let forgotten = database.execute(sql.forget, &[Value::Number(9)]);
        assert_eq!(forgotten, view.forget_offline_before(9), "seed {seed}, {scope:?}");
    }
}

/// Corrections of any kind, before, between and after callbacks.
fn takes_corrections_as_the_view_in_memory(database: &mut dyn Database, seeds: u64) {
    for (seed, scope) in (0..seeds).flat_map(|seed| SCOPES.map(|scope| (seed, scope))) {
        let random = &mut Lcg(seed);
        let history = history(random);
        begin(database, scope);
        let (mut view, sql) = (View::new(scope), statements(scope));
        for event in delivery(&history, random) {
            apply(database, scope, &event);
            view.apply(&event);
            let about = &history[random.below(history.len())];
            let correction = Correction {
                user_id: about.user_id.clone(),
                subject: about.subject(scope).unwrap(),
                seq: random.below(12) as u64,
                online: random.below(2) == 0,
                background: random.below(2) == 0,
            };
            let fence = random.below(12) as u64;
            let mut values = key(&correction.user_id, &correction.subject);
            values.push(Value::Number(correction.seq as i64));
            values.extend([Value::Flag(correction.online), Value::Flag(correction.background)]);
            values.push(Value::Number(fence as i64));
            database.execute(sql.correct, &values);
            view.correct(&[correction], fence);
        }
        assert_eq!(database.query(sql.online, &[]), rows(&view), "seed {seed}, {scope:?}");
        for (after, upto) in [("", None), ("ann", Some("bob")), ("bob", None), ("", Some("ann"))] {
            let upto_value = upto.map_or(Value::NoText, |upto| Value::Text(upto.into()));
            let mut told = database.query(sql.held, &[Value::Text(after.into()), upto_value]);
            told.sort();
            let span = Span { after: after.into(), upto: upto.map(str::to_owned) };
            let held =
                view.held(&span).into_iter().map(|one| row(&one.user_id, &one.subject, one.seq));
            assert_eq!(told, held.collect::<Vec<_>>(), "seed {seed}, {scope:?}, {after} {upto:?}");
        }
    }
}

fn keeps_the_largest_seq(database: &mut dyn Database) {
    let seq = (1 << 53) - 1;
    for scope in SCOPES {
        begin(database, scope);
        assert_eq!(apply(database, scope, &event(Kind::Offline, "u", seq, 1, "c")), 1);
        assert_eq!(apply(database, scope, &event(Kind::Online, "u", seq - 1, 1, "c")), 0);
    }
}

#[test]
fn in_sqlite() {
    let mut database = Sqlite::start();
    agrees_with_the_view_in_memory(&mut database, 1_000);
    takes_corrections_as_the_view_in_memory(&mut database, 1_000);
    keeps_the_largest_seq(&mut database);
}

#[test]
fn in_postgresql() {
    let mut database = Postgres::start();
    agrees_with_the_view_in_memory(&mut database, 60);
    takes_corrections_as_the_view_in_memory(&mut database, 60);
    keeps_the_largest_seq(&mut database);
}
