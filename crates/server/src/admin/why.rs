//! `GET /v1/users/{id}/why`: how a user came to be where they are: each change that was told, newest
//! first, with what became of its callbacks.

use super::{
    Admin, PAGE_MAX,
    input::User,
    problem::Problem,
    view::{CallbackView, UserView},
};
use axum::{Json, extract::State};
use serde::Serialize;
use std::sync::Arc;
use store::CallbackQuery;

#[derive(Serialize)]
pub(super) struct Answer {
    user: UserView,
    /// In a sentence.
    now: String,
    /// Of all endpoints, newest first, as far back as the history goes.
    callbacks: Vec<CallbackView>,
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
    Ok(Json(Answer {
        user: UserView::new(&user, &state, admin.clock.now().wall),
        now,
        callbacks: records.into_iter().map(CallbackView::from).collect(),
    }))
}
