//! `herald conformance`: plays scripted callbacks against any App and judges its answers.
//!
//! The script is the table in `cases.rs`. It knows an App by its answers and, if it is told
//! where, by whom it shows as online (`view.rs`); it never looks into it, and tells every test user offline at the end.

mod cases;
mod judge;
mod line;
mod script;
mod view;

pub use cases::USER_PREFIX;
pub use view::View;

use crate::{clock::Clock, trust::Trust};
use cases::{CASES, Case, FAREWELL_SEQ, farewell};
use contract::signature::SigningSecret;
use line::{Reply, Silence};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How long an App may take to listen.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to show what it was told.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The App that is tried.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Its callback URL.
    pub url: String,
    /// Whom it may be, where that begins with `https`; none: it does not.
    pub tls: Option<Arc<Trust>>,
    /// What it checks signatures with; none signs nothing.
    pub secret: Option<SigningSecret>,
    /// What it checks `sdkName` against; `""` sends none.
    pub sdk_name: String,
    /// Whether it takes background callbacks.
    pub background: bool,
    /// Where it shows who is online; none: only its answers are looked at.
    pub view: Option<View>,
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Under which heading it stands.
    pub section: &'static str,
    /// The case.
    pub name: &'static str,
    /// What was sent, in short: seq is counted from the begin of the run.
    pub sent: String,
    /// What must happen.
    pub expected: &'static str,
    /// What happened.
    pub got: String,
    /// Whether that is good.
    pub passed: bool,
}

/// Nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The App does not listen.
    #[error("the App cannot be reached: {0}")]
    App(String),
    /// Nobody could see what it shows.
    #[error("the App's view cannot be read: {0}")]
    View(String),
}

/// Plays every case that concerns this App, and hands on each row as soon as it is known.
pub async fn play(
    tested: &Tested,
    clock: &dyn Clock,
    mut told: impl FnMut(&Row),
) -> Result<Vec<Row>, Unreachable> {
    let began_ms = clock.now().wall.0;
    let mut rows: Vec<Row> = Vec::new();
    let mut before = None;
    let mut has_looked = false;
    for case in CASES.iter().filter(|case| case.concerns(tested)) {
        let reply = match rows.is_empty() {
            true => ask_at_first(case, tested, clock, began_ms).await,
            false => ask(case, tested, clock, began_ms).await,
        };
        if let (true, Err(Silence::Unreachable(why))) = (rows.is_empty(), &reply) {
            return Err(Unreachable::App(why.clone()));
        }
        let mut row = row(case, before.as_ref(), &reply);
        if let (false, Some(view)) = (has_looked, &tested.view) {
            // Else each case would wait for it.
            let seen = view.shows(&case.user_id(), tested.tls.as_ref()).await;
            seen.map_err(Unreachable::View)?;
            has_looked = true;
        }
        if row.passed {
            look(case, tested, &mut row).await;
        }
        told(&row);
        rows.push(row);
        before = reply.ok();
    }
    let row = say_farewell(tested, clock, began_ms).await;
    told(&row);
    rows.push(row);
    // The next run begins with a seq above all of this one, or an App that is right would skip it.
    while clock.now().wall.0 <= began_ms + FAREWELL_SEQ {
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    Ok(rows)
}

/// An App that was just started may not listen yet.
async fn ask_at_first(
    case: &Case,
    tested: &Tested,
    clock: &dyn Clock,
    began_ms: u64,
) -> Result<Reply, Silence> {
    for _ in 0..STARTS_WITHIN.as_millis() / AGAIN_AFTER.as_millis() {
        match ask(case, tested, clock, began_ms).await {
            Err(Silence::Unreachable(_)) => tokio::time::sleep(AGAIN_AFTER).await,
            asked => return asked,
        }
    }
    ask(case, tested, clock, began_ms).await
}

/// At how the App shows the user, where that matters.
async fn look(case: &Case, tested: &Tested, row: &mut Row) {
    let (Some(view), Some(expected)) = (&tested.view, case.seen_online) else { return };
    let word = |online| if online { "online" } else { "offline" };
    let mut seen = view.shows(&case.user_id(), tested.tls.as_ref()).await;
    for _ in 0..SHOWS_WITHIN.as_millis() / AGAIN_AFTER.as_millis() {
        if seen == Ok(expected) {
            break;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        seen = view.shows(&case.user_id(), tested.tls.as_ref()).await;
    }
    let seen = match seen {
        Ok(online) if online == expected => {
            row.got += &format!(", shown {}", word(online));
            return;
        }
        Ok(online) => {
            format!("the view shows the user {}, and must {}", word(online), word(expected))
        }
        Err(why) => format!("the view cannot be read: {why}"),
    };
    row.passed = false;
    row.got += &format!(": {seen}");
}

async fn ask(
    case: &Case,
    tested: &Tested,
    clock: &dyn Clock,
    began_ms: u64,
) -> Result<Reply, Silence> {
    line::send(case.request(tested, began_ms, clock.now().wall.0 / 1000), tested.tls.as_ref()).await
}

fn row(case: &Case, before: Option<&Reply>, reply: &Result<Reply, Silence>) -> Row {
    let verdict = judge::judge(case, before, reply);
    Row {
        section: case.section(),
        name: case.name,
        sent: case.in_short(),
        expected: case.expected.words(),
        got: verdict.got,
        passed: verdict.passed,
    }
}

/// One row for all users: the first that fails, or the last.
async fn say_farewell(tested: &Tested, clock: &dyn Clock, began_ms: u64) -> Row {
    let users: BTreeSet<_> = CASES.iter().map(|case| case.user).collect();
    let sent = format!("offline for each of {} users", users.len());
    let mut last = None;
    for user in users {
        let case = farewell(user);
        let row = row(&case, None, &ask(&case, tested, clock, began_ms).await);
        last = last.filter(|row: &Row| !row.passed).or(Some(row));
    }
    Row { sent, ..last.expect("the table has users") }
}
