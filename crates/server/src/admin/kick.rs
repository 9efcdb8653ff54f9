//! `POST /v1/users/{id}/kick`: throws a user's connections out, all or some.

use super::{
    Admin,
    input::{Body, User},
    problem::Problem,
};
use axum::{Json, extract::State};
use presence::{ConnId, Event, Kick, Kind, Platform};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Without either field: everywhere.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Request {
    #[serde(rename = "platformID")]
    platform_id: Option<i64>,
    #[serde(rename = "connID")]
    conn_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    /// How many connections were thrown out.
    kicked: usize,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
    Body(request): Body<Request>,
) -> Result<Json<Answer>, Problem> {
    let kick = read(request.unwrap_or_default()).map_err(Problem::bad_request)?;
    let outcome = admin.driver.handle(&user, Event::Kicked(kick), None).await?;
    let kicked = outcome.changes.iter().filter(|change| change.kind == Kind::KickOff).count();
    Ok(Json(Answer { kicked }))
}

fn read(request: Request) -> Result<Kick, String> {
    match (request.platform_id, request.conn_id) {
        (None, None) => Ok(Kick::Everywhere),
        (Some(id), None) => {
            let platform = Platform::from_id(id).map(Kick::Platform);
            platform.ok_or_else(|| format!("platformID {id} is not 1 to 11"))
        }
        (None, Some(id)) => {
            let conn = ConnId::parse(&id).map(Kick::Connection);
            conn.ok_or_else(|| format!("connID {id:?} is not 32 hexadecimal digits"))
        }
        (Some(_), Some(_)) => Err("give platformID or connID, not both".into()),
    }
}
