//! `GET /v1/snapshot?limit=&cursor=`: all who are online, page by page, with one fence.
//!
//! The fence is a `seq` below that of every change since the first page. So an App that has read all
//! pages knows: who is on none of them is offline, unless it has a callback of theirs beyond the
//! fence; who is on one is as it says, unless it has a newer callback of theirs.

use super::{Admin, PAGE_MAX, input::Params, online::OnlineView, problem::Problem};
use axum::{Json, extract::State};
use presence::UserId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::UserQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Page {
    /// Another one than before: the store was lost meanwhile.
    epoch: String,
    fence: u64,
    users: Vec<OnlineView>,
    /// Send it as `cursor` for the next page; absent on the last one.
    cursor: Option<String>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Params(params): Params<Wanted>,
) -> Result<Json<Page>, Problem> {
    let (fence, after) = match &params.cursor {
        None => (admin.driver.fence(), None),
        Some(cursor) => read(cursor).ok_or_else(|| {
            Problem::bad_request("cursor: send the one of the page before, as it is")
        })?,
    };
    let limit = params.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let users = admin.store.users(UserQuery { online_only: true, after, limit }).await?;
    let last = users.last().filter(|_| users.len() == limit);
    Ok(Json(Page {
        epoch: admin.epoch.clone(),
        fence,
        cursor: last.map(|(user, _)| format!("{fence}:{user}")),
        users: users.iter().map(|(user, state)| OnlineView::new(user, state)).collect(),
    }))
}

fn read(cursor: &str) -> Option<(u64, Option<UserId>)> {
    let (fence, user) = cursor.split_once(':')?;
    Some((fence.parse().ok()?, Some(UserId::new(user))))
}
