//! `GET /v1/users/{id}/why`: how a user came to be where they are: each change that was told, newest
//! first, with what became of its callbacks; and what each App was last told, beside what is true.

use super::{
    Admin, PAGE_MAX,
    input::User,
    problem::Problem,
    view::{CallbackView, UserView},
};
use axum::{Json, extract::State};
use presence::{Kind, UserId};
use serde::Serialize;
use std::sync::Arc;
use store::{CallbackQuery, CallbackRecord, CallbackState};

#[derive(Serialize)]
pub(super) struct Answer {
    user: UserView,
    /// In a sentence.
    now: String,
    /// What each endpoint was told, in the order of the configuration.
    endpoints: Vec<Told>,
    /// Of all endpoints, newest first, as far back as the history goes.
    callbacks: Vec<CallbackView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    name: String,
    /// The newest change of the user that it took, as far back as the history goes.
    last_told: Option<Change>,
    /// How many callbacks about the user are on their way to it.
    owed: usize,
    /// Whether it was not told something, and is not right about it yet: it is told how that is.
    untold: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    kind: Kind,
    seq: u64,
    platform: &'static str,
    #[serde(rename = "connID")]
    conn_id: String,
    at: u64,
}

async fn told(
    admin: &Admin,
    user: &UserId,
    records: &[CallbackRecord],
) -> Result<Vec<Told>, Problem> {
    let mut all = Vec::new();
    for endpoint in &admin.endpoints {
        let name = &endpoint.settings.name;
        let of = || records.iter().filter(|record| record.id.endpoint == *name);
        let is_word = |record: &&CallbackRecord| {
            record.state == CallbackState::Delivered && record.change.kind != Kind::KickOff
        };
        let last = of().filter(is_word).max_by_key(|record| record.change.seq);
        let last_told = last.map(|CallbackRecord { change, .. }| Change {
            kind: change.kind,
            seq: change.seq,
            platform: change.platform.name(),
            conn_id: change.conn.map(|conn| conn.to_string()).unwrap_or_default(),
            at: change.at.0,
        });
        let owed = of().filter(|record| record.state == CallbackState::Pending).count();
        let untold = admin.store.is_marked(name, user).await?;
        all.push(Told { name: name.to_string(), last_told, owed, untold });
    }
    Ok(all)
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
) -> Result<Json<Answer>, Problem> {
    let state = admin.store.load(&user).await?.value;
    let query = CallbackQuery { user: Some(user.clone()), limit: PAGE_MAX, ..Default::default() };
    let records = admin.store.callbacks(query).await?;
    let now = match (state.connections().len(), records.first()) {
        (0, None) => "offline, and never told online as far as the history goes".to_owned(),
        (0, Some(last)) => {
            format!(
                "offline; the last change: {:?}, {}",
                last.change.kind,
                last.change.reason.name()
            )
        }
        (1, _) => "online by one connection".to_owned(),
        (count, _) => format!("online by {count} connections"),
    };
    let endpoints = told(&admin, &user, &records).await?;
    Ok(Json(Answer {
        user: UserView::new(&user, &state, admin.clock.now().wall, &*admin.addresses),
        now,
        endpoints,
        callbacks: records.into_iter().map(CallbackView::from).collect(),
    }))
}
