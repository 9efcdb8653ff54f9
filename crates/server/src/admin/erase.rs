//! `DELETE /v1/users/{id}/data`: logs a person out and erases all that is kept about them.

use super::{Admin, input::User, problem::Problem};
use axum::{Json, extract::State};
use presence::{Event, Kick, Kind};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use store::{Erased, Erasure};

/// Who reads the events has read that they are offline before that is erased.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// Apps are told meanwhile that they are offline; for 2 s at most.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 40;

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
    /// How many stored rows that could not be read.
    set_aside: u64,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
) -> Result<Json<Answer>, Problem> {
    let out = admin.driver.handle(&user, Event::Kicked(Kick::Everywhere), None).await?;
    admin.driver.handle(&user, Event::StatusCleared { platform: None }, None).await?;
    let kicked = out.changes.iter().filter(|change| change.kind == Kind::KickOff).count();
    if !out.changes.is_empty() {
        tokio::time::sleep(READ_WITHIN).await;
    }
    for _ in 0..LOOKS_MAX {
        match admin.driver.erase(&user).await? {
            Erasure::Done(Erased { state, account, callbacks, set_aside }) => {
                return Ok(Json(Answer { kicked, state, account, callbacks, set_aside }));
            }
            Erasure::StillNeeded => tokio::time::sleep(LOOKS_EVERY).await,
        }
    }
    Err(Problem::conflict(
        "nothing was erased: the user is online again, or an App is still to be told that they are offline, or \
         failed at that and is to be told again (see GET /v1/users/{id}/why and GET /v1/callbacks?user=…); ask \
         again when it is told",
    ))
}
