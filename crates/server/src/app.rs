//! `herald app`: a sample business server, built on the crate that an App adds.
//!
//! It answers callbacks, keeps who is online, shows that at `/`, and misbehaves to order.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use receiver::{Answer, Applied, Event, Kind, Present, Receiver, View};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

mod faults;

pub use faults::Faults;

const PAGE: &str = include_str!("app/page.html");

/// Told of every callback that was read, with what it did to the view.
pub type Listener = Box<dyn Fn(&Event, &Applied) + Send + Sync>;

struct App {
    view: Mutex<View>,
    faults: Faults,
    listener: Listener,
    /// How many there were.
    requests: AtomicU64,
}

/// The routes: callbacks on any path, the page at `/`, who is online at `/online`.
pub fn router(receiver: Receiver, faults: Faults, listener: Listener) -> Router {
    let app =
        Arc::new(App { view: Mutex::default(), faults, listener, requests: AtomicU64::new(0) });
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
    if request.method() != http::Method::POST {
        return next.run(request).await;
    }
    // Callbacks come from a server. A browser says which page a request comes from.
    if request.headers().contains_key(header::ORIGIN) {
        let why = "callbacks do not come from web pages\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let nth = app.requests.fetch_add(1, Ordering::Relaxed);
    app.faults.answer(nth, request, next).await
}

async fn online(State(app): State<Arc<App>>) -> Json<Value> {
    let view = app.view.lock().unwrap_or_else(PoisonError::into_inner);
    let user = |present: Present<'_>| {
        let Present { user_id, seq, background, .. } = present;
        json!({ "userID": user_id, "seq": seq, "isAppBackground": background })
    };
    let users = view.online().map(user);
    Json(json!({ "online": users.collect::<Vec<_>>() }))
}
