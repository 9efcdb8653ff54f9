//! `herald app`: a sample business server, built on the crate that an App adds.
//!
//! It answers callbacks, keeps who is online, shows that at `/`, and misbehaves to order.

use crate::entropy;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use receiver::{Answer, Applied, Event, Kind, Receiver, View};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const PAGE: &str = include_str!("app/page.html");

/// How the App misbehaves.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Which share of callbacks fails, 0 to 1.
    pub fail: f32,
    /// With which HTTP status.
    pub status: StatusCode,
    /// How long every answer takes.
    pub delay: Duration,
    /// Whose going online is refused.
    pub refuse: HashSet<String>,
}

impl Default for Faults {
    fn default() -> Faults {
        let (fail, delay, refuse) = Default::default();
        Faults { fail, status: StatusCode::SERVICE_UNAVAILABLE, delay, refuse }
    }
}

/// Told of every callback that was read, with what it did to the view.
pub type Listener = Box<dyn Fn(&Event, &Applied) + Send + Sync>;

struct App {
    view: Mutex<View>,
    faults: Faults,
    listener: Listener,
}

/// The routes: callbacks on any path, the page at `/`, who is online at `/online`.
pub fn router(receiver: Receiver, faults: Faults, listener: Listener) -> Router {
    let app = Arc::new(App { view: Mutex::default(), faults, listener });
    let handler = Arc::clone(&app);
    let callback = receiver::axum::callback(receiver, move |event| {
        let answer = handler.take(&event);
        async { answer }
    });
    let callback = callback.layer(from_fn_with_state(Arc::clone(&app), misbehave));
    Router::new()
        .route("/", callback.clone().merge(get(async || Html(PAGE))))
        .route("/online", get(online))
        .route("/{*path}", callback)
        .with_state(app)
}

impl App {
    fn take(&self, event: &Event) -> Answer {
        if event.kind == Kind::Online && self.faults.refuse.contains(&event.user_id) {
            return Answer::refuse("refused to order");
        }
        let applied = self.view.lock().unwrap_or_else(PoisonError::into_inner).apply(event);
        (self.listener)(event, &applied);
        Answer::ok()
    }
}

async fn misbehave(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() == http::Method::POST {
        tokio::time::sleep(app.faults.delay).await;
        if entropy::chance() < app.faults.fail {
            return (app.faults.status, Bytes::from_static(b"failing to order\n")).into_response();
        }
    }
    next.run(request).await
}

async fn online(State(app): State<Arc<App>>) -> Json<Value> {
    let view = app.view.lock().unwrap_or_else(PoisonError::into_inner);
    let users =
        view.online().map(|present| json!({ "userID": present.user_id, "seq": present.seq }));
    Json(json!({ "online": users.collect::<Vec<_>>() }))
}
