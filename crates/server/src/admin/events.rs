//! `GET /v1/events?endpoint=&after=&limit=`: what an endpoint is told, in the order of the changes, for
//! an App that would rather ask; as pages, or, where `Accept` says `text/event-stream`, as they come.
//!
//! Without `after` it begins now: to start, take that cursor, read the snapshot, then what comes after
//! the cursor. A cursor is text that only this server reads; it holds over restarts, and for the store
//! that gave it. The ids are those of the callbacks (`webhook-id`), so who reads both ways sees what is the same.

use super::{Admin, PAGE_MAX, input::Params, problem::Problem};
use crate::callbacks::{Endpoint, told};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response, Sse, sse},
};
use contract::{Target, signature::webhook_id};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{convert::Infallible, sync::Arc, time::Duration};
use store::CallbackRecord;
use tokio::sync::OwnedSemaphorePermit;

/// How often an open stream looks for news.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many streams may be open.
pub(super) const STREAMS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    endpoint: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Page {
    epoch: String,
    events: Vec<Event>,
    /// Send it as `after` for what comes next.
    cursor: String,
}

#[derive(Serialize)]
struct Event {
    /// That of the callback; the same change told to another endpoint has another.
    id: String,
    cursor: String,
    /// `pending`, `delivered`, `dead`, `expired` or `superseded`.
    state: &'static str,
    /// The body of the callback, with `extra_fields`.
    callback: Box<RawValue>,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    let endpoint = match &wanted.endpoint {
        Some(name) => admin.endpoint(name)?,
        None => admin
            .endpoints
            .first()
            .ok_or_else(|| Problem::not_found("no endpoint is configured"))?,
    };
    let endpoint = Arc::clone(endpoint);
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let row = match resumed.or(wanted.after) {
        Some(cursor) => read(&cursor, &admin.epoch)?,
        None => admin.store.newest_rows(&endpoint.settings.name).await?.0,
    };
    let limit = wanted.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let feed = Feed { row, limit, endpoint, admin };
    let streams = headers.get(header::ACCEPT).is_some_and(|accept| {
        accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream"))
    });
    if streams { feed.stream().await } else { feed.page().await }
}

/// A place in the feed as text: rows count anew in a store that is.
fn cursor(row: u64, epoch: &str) -> String {
    format!("{row:x}.{epoch}")
}

fn read(cursor: &str, epoch: &str) -> Result<u64, Problem> {
    let parts = cursor.split_once('.').and_then(|(row, of)| {
        let is_hex = !row.is_empty() && row.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some((u64::from_str_radix(row, 16).ok().filter(|_| is_hex)?, of))
    });
    let (row, of) = parts.ok_or_else(|| {
        Problem::bad_request("after: send the `cursor` of an earlier answer, as it is")
    })?;
    if of != epoch {
        return Err(Problem::gone(
            "that cursor is of a store that was lost: take a new one (no `after`), then read \
             /v1/snapshot",
        ));
    }
    Ok(row)
}

/// One reader's place.
struct Feed {
    admin: Arc<Admin>,
    endpoint: Arc<Endpoint>,
    /// What comes after it is not read yet.
    row: u64,
    limit: usize,
}

impl Feed {
    async fn page(mut self) -> Result<Response, Problem> {
        let events = self.read().await?;
        let epoch = self.admin.epoch.clone();
        let cursor = cursor(self.row, &epoch);
        Ok(Json(Page { epoch, events, cursor }).into_response())
    }

    async fn stream(mut self) -> Result<Response, Problem> {
        let turn = Arc::clone(&self.admin.streams).try_acquire_owned().map_err(|_| {
            Problem::too_many_requests(format!(
                "{STREAMS_MAX} streams are open; read pages instead"
            ))
        })?;
        // A cursor that is too old is said as an error, not as a stream that ends.
        let first = self.read().await?;
        let events = stream::unfold((self, first.into_iter(), turn), next);
        Ok(Sse::new(events).keep_alive(sse::KeepAlive::default()).into_response())
    }

    /// What comes next; moves on.
    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        let Feed { admin, endpoint, row, limit } = self;
        let name = &endpoint.settings.name;
        let Some(page) = admin.store.callbacks_after(name, *row, *limit).await? else {
            return Err(Problem::gone(
                "some of what follows that cursor is not kept any more (callbacks.history): take a \
                 new cursor (no `after`), then read /v1/snapshot",
            ));
        };
        *row = page.cursor;
        let event = |record| event(endpoint, record, &admin.epoch);
        Ok(page.records.into_iter().map(event).collect())
    }

    /// Whether there may be something to read: most looks of a stream find nothing.
    async fn has_news(&self) -> Result<bool, Problem> {
        let (_, newest) = self.admin.store.newest_rows(&self.endpoint.settings.name).await?;
        Ok(newest > self.row)
    }
}

type Reading = (Feed, std::vec::IntoIter<Event>, OwnedSemaphorePermit);

/// The next event, as soon as there is one. Ends with the server, or when the reader is too slow.
async fn next(
    (mut feed, mut events, turn): Reading,
) -> Option<(Result<sse::Event, Infallible>, Reading)> {
    loop {
        if let Some(event) = events.next() {
            let json = serde_json::to_string(&event).expect("text and numbers can be written");
            let told = sse::Event::default().id(&event.cursor).data(json);
            return Some((Ok(told), (feed, events, turn)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if feed.admin.readiness.is_stopping() {
            return None;
        }
        if feed.has_news().await.ok()? {
            events = feed.read().await.ok()?.into_iter();
        }
    }
}

fn event(endpoint: &Endpoint, record: CallbackRecord, epoch: &str) -> Event {
    let CallbackRecord { row, id, change, operation_id, state, collapsed, .. } = record;
    let callback = told(&id.user, &change, &operation_id, collapsed, endpoint.epoch());
    let target = Target { extra_fields: true, ..endpoint.settings.target.clone() };
    let body = contract::request(endpoint.settings.dialect, &target, &callback).body;
    let body = String::from_utf8(body).expect("the contract writes JSON");
    Event {
        id: webhook_id(id.endpoint.as_str(), id.user.as_str(), id.seq),
        cursor: cursor(row, epoch),
        state: state.name(),
        callback: RawValue::from_string(body).expect("the contract writes JSON"),
    }
}
