//! `GET /v1/users?state=online&cursor=&limit=`: users by name.

use super::{Admin, PAGE_DEFAULT, PAGE_MAX, input::Params, problem::Problem, view::UserView};
use axum::{Json, extract::State};
use presence::UserId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::UserQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Page {
    users: Vec<UserView>,
    /// Send it as `cursor` for the next page; absent on the last one.
    cursor: Option<String>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Params(params): Params<Wanted>,
) -> Result<Json<Page>, Problem> {
    let online_only = match params.state.as_deref() {
        None => false,
        Some("online") => true,
        Some(other) => {
            return Err(Problem::bad_request(format!("state={other}: only online is known")));
        }
    };
    let limit = params.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let after = params.cursor.map(UserId::new);
    let users = admin.store.users(UserQuery { online_only, after, limit }).await?;
    let now = admin.clock.now().wall;
    let more = users.last().filter(|_| users.len() == limit);
    Ok(Json(Page {
        cursor: more.map(|(user, _)| user.to_string()),
        users: users
            .iter()
            .map(|(user, state)| UserView::new(user, state, now, &*admin.addresses))
            .collect(),
    }))
}
