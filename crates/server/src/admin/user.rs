//! `GET /v1/users/{id}`: one user with all connections. One never seen is offline everywhere.

use super::{Admin, input::User, problem::Problem, view::UserView};
use axum::{Json, extract::State};
use std::sync::Arc;

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    User(user): User,
) -> Result<Json<UserView>, Problem> {
    let state = admin.store.load(&user).await?.value;
    Ok(Json(UserView::new(&user, &state, admin.clock.now().wall, &*admin.addresses)))
}
