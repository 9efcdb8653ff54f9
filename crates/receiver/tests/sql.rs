//! The view in a database is the view in memory, whatever is delivered.
#![allow(clippy::unwrap_used)]

mod database;
mod told;

use database::{Database, Postgres, Sqlite, Value, apply, begin, rows, statements};
use herald_receiver::{Applied, Kind, View};
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
    keeps_the_largest_seq(&mut database);
}

#[test]
fn in_postgresql() {
    let mut database = Postgres::start();
    agrees_with_the_view_in_memory(&mut database, 60);
    keeps_the_largest_seq(&mut database);
}
