//! `herald conformance`: plays scripted callbacks against any App and judges its answers.
//!
//! The script is the table in `cases.rs`. It knows an App only by its answers, never looks into
//! it, and tells every test user offline at the end.

mod cases;
mod judge;
mod line;
mod script;

pub use cases::USER_PREFIX;

use crate::{clock::Clock, trust::Trust};
use cases::{CASES, Case, farewell};
use contract::signature::SigningSecret;
use line::{Reply, Silence};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};

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
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
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
#[error("the App cannot be reached: {0}")]
pub struct Unreachable(String);

/// Plays every case that concerns this App, and hands on each row as soon as it is known.
pub async fn play(
    tested: &Tested,
    clock: &dyn Clock,
    mut told: impl FnMut(&Row),
) -> Result<Vec<Row>, Unreachable> {
    let began_ms = clock.now().wall.0;
    let mut rows: Vec<Row> = Vec::new();
    let mut before = None;
    for case in CASES.iter().filter(|case| case.concerns(tested)) {
        let reply = ask(case, tested, clock, began_ms).await;
        if let (true, Err(Silence::Unreachable(why))) = (rows.is_empty(), &reply) {
            return Err(Unreachable(why.clone()));
        }
        let row = row(case, before.as_ref(), &reply);
        told(&row);
        rows.push(row);
        before = reply.ok();
    }
    let row = say_farewell(tested, clock, began_ms).await;
    told(&row);
    rows.push(row);
    Ok(rows)
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
