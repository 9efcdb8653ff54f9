//! `GET /v1/users/{id}`: one user with all connections. One never seen is offline everywhere.

use super::{Admin, problem::Problem, view::UserView};
use axum::{
    Json,
    extract::{Path, State},
};
use presence::UserId;
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Path(user): Path<String>,
) -> Result<Json<UserView>, Problem> {
    let user = UserId::new(user);
    let state = admin.store.load(&user).await?.value;
    Ok(Json(UserView::new(&user, &state, admin.clock.now().wall)))
}
