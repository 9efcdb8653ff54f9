//! `DELETE /v1/users/{id}/data?force=`: logs a person out and erases all that is kept about them.

use super::{
    Admin,
    input::{Params, User},
    problem::Problem,
};
use axum::{Json, extract::State};
use presence::{Event, Kick, Kind};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use store::{Erased, Erasure};

/// Who reads the events has read that they are offline before that is erased.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// Apps are told meanwhile that they are offline; for 2 s at most.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 40;

/// With `force` also if an App is still to be told that they are offline.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    force: bool,
}

/// What was erased.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// How many connections were thrown out before.
    kicked: usize,
    /// Whether presence was known: status, sessions, denied tokens, when they were last online.
    state: bool,
    account: bool,
    /// How many callbacks of the history.
    callbacks: u64,
    /// How many of these were still owed.
    owed: u64,
    /// How many stored rows that could not be read.
    set_aside: u64,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Answer>, Problem> {
    let out = admin.driver.handle(&user, Event::Kicked(Kick::Everywhere), None).await?;
    admin.driver.handle(&user, Event::StatusCleared { platform: None }, None).await?;
    let kicked = out.changes.iter().filter(|change| change.kind == Kind::KickOff).count();
    if !out.changes.is_empty() {
        tokio::time::sleep(READ_WITHIN).await;
    }
    for _ in 0..LOOKS_MAX {
        match admin.driver.erase(&user, wanted.force).await? {
            Erasure::Done(Erased { state, account, callbacks, owed, set_aside }) => {
                return Ok(Json(Answer { kicked, state, account, callbacks, owed, set_aside }));
            }
            Erasure::StillNeeded => tokio::time::sleep(LOOKS_EVERY).await,
        }
    }
    Err(Problem::conflict(
        "not erased: the user is online again, or an App is still to be told that they are offline (GET \
         /v1/users/{id}/why, GET /v1/callbacks?user=…; an endpoint may have left the configuration). Ask again when it \
         is told, or with ?force=true: then it is not told, and asked to read who is online",
    ))
}
