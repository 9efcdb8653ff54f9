//! The route for axum: reads the request, hands the event to your handler, writes the reply.
//!
//! It never calls the handler with a request that [`Receiver::read`] rejects.

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
    let mut event = receiver.read(&query.unwrap_or_default(), &body)?;
    event.operation_id = operation_id(headers).or(event.operation_id);
    Ok(event)
}

fn unread(rejection: BytesRejection) -> Reply {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Reject::TooLarge.into(),
        // The connection broke: nothing is wrong with the callback.
        _ => Reply::later(),
    }
}

fn operation_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("operationid")?.to_str().ok()?;
    (!id.is_empty()).then(|| id.to_owned())
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).expect("each status here is a real one");
        (status, [(CONTENT_TYPE, "application/json")], self.body()).into_response()
    }
}
