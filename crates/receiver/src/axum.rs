//! The route for axum: reads the request, hands the event to your handler, writes the reply.
//!
//! It never calls the handler with a request that [`Receiver::read_request`] rejects.

use crate::{BODY_BYTES_MAX, Event, Receiver, Reject, Reply};
use ::axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use std::{future::Future, sync::Arc};

/// A `POST` route that takes callbacks. The handler returns an [`Answer`](crate::Answer), or a
/// [`Reply`] where it may also say [`Reply::later`]; a body above 64 KiB is answered with 413.
///
/// ```
/// use axum::Router;
/// use herald_receiver::{Answer, Receiver, axum::callback};
///
/// let route = callback(Receiver::new(), |event| async move { println!("{event:?}"); Answer::ok() });
/// let app: Router = Router::new().route("/callback", route);
/// ```
pub fn callback<S, H, F>(receiver: Receiver, handle: H) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    H: Fn(Event) -> F + Send + Sync + 'static,
    F: Future<Output: Into<Reply>> + Send,
{
    let shared = Arc::new((receiver, handle));
    let route = move |RawQuery(query): RawQuery, headers: HeaderMap, body: Body| {
        let shared = Arc::clone(&shared);
        async move {
            let (receiver, handle) = &*shared;
            match read(receiver, query, &headers, body) {
                Ok(event) => handle(event).await.into(),
                Err(reply) => reply,
            }
        }
    };
    // Innermost, so that a limit which the App set for its other routes does not count here.
    post(route).layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

type Body = Result<Bytes, BytesRejection>;

fn read(
    receiver: &Receiver,
    query: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Event, Reply> {
    let body = body.map_err(unread)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Ok(receiver.read_request(&query.unwrap_or_default(), header, &body, now_unix_s())?)
}

#[expect(clippy::disallowed_methods, reason = "the App's side has no other clock")]
fn now_unix_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn unread(rejection: BytesRejection) -> Reply {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Reject::TooLarge.into(),
        // The connection broke: nothing is wrong with the callback.
        _ => Reply::later(),
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).expect("each status here is a real one");
        (status, [(CONTENT_TYPE, "application/json")], self.body()).into_response()
    }
}
