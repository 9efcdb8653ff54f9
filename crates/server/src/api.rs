//! The OpenIM-compatible REST that clients and backends call. One operation, one file.
//!
//! Every answer is HTTP 200 with OpenIM's envelope, as its SDKs expect. Nothing here sends a
//! 150x code unless the token itself is bad: SDKs log the user out at one.

mod account_check;
mod answer_body;
mod call;
mod force_logout;
mod get_admin_token;
mod get_server_time;
mod get_subscribe_users_status;
mod get_user_token;
mod get_users_info;
mod get_users_online_status;
mod get_users_online_token_detail;
mod get_users_status;
mod pace;
mod parse_token;
mod request_json;
mod set_user_status;
mod subscribe_users_status;
mod sync;
mod user_register;

use crate::{
    bodies::Bodies, clock::Clock, config::Secret, driver::Driver, guesses::Guesses, tokens::Tokens,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use call::{admin, anyone, open};
pub use pace::Pace;
use presence::{ConnId, UserId};
use std::sync::Arc;
use store::Store;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use wire::envelope;

/// How much of an unknown path its answer repeats.
const PATH_CHARS_SHOWN: usize = 200;
/// How many users one call may name.
const USERS_MAX: usize = 1_000;

/// Who watches whom. The gateway keeps it; the API knows no more of it.
pub trait Watching: Send + Sync + 'static {
    /// Tells a connection of `user` from now on where `whom` is. False: it watches as many as it
    /// may. A connection that is gone is no error.
    fn watch(&self, conn: ConnId, user: &UserId, whom: &UserId) -> bool;

    /// And no more.
    fn unwatch(&self, conn: ConnId, whom: &UserId);

    /// Whom a connection watches, by name.
    fn watched(&self, conn: ConnId) -> Vec<UserId>;
}

/// What the operations share.
pub struct Api {
    /// For reads, and for accounts.
    pub store: Arc<dyn Store>,
    /// For everything that changes presence.
    pub driver: Arc<Driver>,
    /// Who watches whom.
    pub watching: Arc<dyn Watching>,
    /// Makes and checks tokens.
    pub tokens: Arc<Tokens>,
    /// Who sent wrong secrets.
    pub guesses: Arc<Guesses>,
    /// How many names users asked about.
    pub pace: Pace,
    /// What bodies of requests may hold.
    pub bodies: Bodies,
    /// What answers may hold that are being sent.
    pub answers: Bodies,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the operator configured.
    pub settings: ApiSettings,
}

/// What the operator configured for the API.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ApiSettings {
    pub secret: Secret,
    pub admin_users: Vec<String>,
    pub body_bytes_max: usize,
}

/// All routes; an upgrade on any other path is for `clients`, so that one port can serve a browser
/// app.
pub fn router(api: Arc<Api>, clients: Router) -> Router {
    Router::new()
        .route("/auth/get_admin_token", open(get_admin_token::run))
        .route("/auth/parse_token", open(parse_token::run))
        .route("/auth/get_user_token", admin(get_user_token::run))
        .route("/auth/force_logout", admin(force_logout::run))
        .route("/user/user_register", admin(user_register::run))
        .route("/user/account_check", admin(account_check::run))
        .route("/user/get_users_online_status", admin(get_users_online_status::run))
        .route("/user/get_users_online_token_detail", admin(get_users_online_token_detail::run))
        .route("/user/get_users_info", anyone(get_users_info::run))
        .route("/user/get_users_status", anyone(get_users_status::run))
        .route("/user/subscribe_users_status", anyone(subscribe_users_status::run))
        .route("/user/get_subscribe_users_status", anyone(get_subscribe_users_status::run))
        .route("/user/set_user_status", anyone(set_user_status::run))
        .route("/msg/get_server_time", anyone(get_server_time::run))
        .merge(sync::router())
        .with_state(api)
        .fallback(move |request: Request| fallback(clients.clone(), request))
        .layer(CompressionLayer::new().gzip(true))
        .layer(from_fn(cors))
}

async fn fallback(clients: Router, request: Request) -> Response {
    if request.headers().contains_key(header::UPGRADE) {
        return clients.oneshot(request).await.into_response();
    }
    let path: String = request.uri().path().chars().take(PATH_CHARS_SHOWN).collect();
    let text = format!("no such route: {} {path}\n", request.method());
    (StatusCode::NOT_FOUND, text).into_response()
}

/// Browsers ask first; nothing here depends on where a page comes from, only on its token.
async fn cors(request: Request, next: Next) -> Response {
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "*"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "172800"),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "false"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// HTTP 200 and JSON, whatever happened.
fn answer(envelope: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], envelope.into()).into_response()
}

fn refuse(error: &wire::code::WireError) -> Response {
    answer(envelope::refusal(error))
}
