//! `POST /v1/diff?fields=user|platforms|connections`: the App sends a digest of who it believes to be
//! online ([`contract::buckets`], 512 KiB), and is told the truth about the buckets that differ.
//!
//! In each bucket that is told: who is not named is offline, unless the App has a callback of theirs
//! beyond the fence. Callbacks on their way make differences, too; those go by themselves.

use super::{Admin, PAGE_MAX, input::Params, online::OnlineView, problem::Problem};
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use contract::buckets::{BUCKETS, Buckets, bucket_of};
use presence::{User, UserId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use store::{StoreError, UserQuery};

/// Of more buckets than these a snapshot is the shorter answer.
const TOLD_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    fields: Fields,
}

/// What the App keeps of an online user.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Fields {
    #[default]
    User,
    Platforms,
    Connections,
}

#[derive(Serialize)]
pub(super) struct Answer {
    epoch: String,
    fence: u64,
    /// How many buckets differ.
    differing: usize,
    /// Whether only the first of them are told; read a snapshot instead, or ask again.
    truncated: bool,
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    bucket: u16,
    users: Vec<OnlineView>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Params(Wanted { fields }): Params<Wanted>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    let body = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    let believed = Buckets::from_bytes(&body).ok_or_else(|| {
        let (length, right) = (body.len(), BUCKETS * 8);
        Problem::bad_request(format!("the body has {length} bytes, and must have {right}"))
    })?;
    let fence = admin.driver.fence();
    let mut truth = Buckets::new();
    for_all_online(&admin, |user, state| truth.toggle(user.as_str(), &detail(state, fields)))
        .await?;
    let differing = believed.differing(&truth);
    let told = &differing[..differing.len().min(TOLD_MAX)];
    let mut users: BTreeMap<u16, Vec<OnlineView>> =
        told.iter().map(|bucket| (*bucket, Vec::new())).collect();
    // What changed since the first pass is told as it is now.
    for_all_online(&admin, |user, state| {
        if let Some(users) = users.get_mut(&bucket_of(user.as_str())) {
            users.push(OnlineView::new(user, state));
        }
    })
    .await?;
    Ok(Json(Answer {
        epoch: admin.epoch.clone(),
        fence,
        differing: differing.len(),
        truncated: told.len() < differing.len(),
        buckets: users.into_iter().map(|(bucket, users)| Bucket { bucket, users }).collect(),
    }))
}

/// A page at a time, so that nobody else waits long.
async fn for_all_online(
    admin: &Admin,
    mut call: impl FnMut(&UserId, &User),
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let query = UserQuery { online_only: true, after, limit: PAGE_MAX };
        let page = admin.store.users(query).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        page.iter().for_each(|(user, state)| call(user, state));
        tokio::task::yield_now().await;
    }
}

fn detail(state: &User, fields: Fields) -> String {
    let told = OnlineView::new(&UserId::new(""), state);
    match fields {
        Fields::User => String::new(),
        Fields::Platforms => told.platforms(),
        Fields::Connections => told.connections(),
    }
}
