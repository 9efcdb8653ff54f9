//! Speaks HTTP to the App; nothing else in Herald does.
//!
//! It never follows a redirect, never uses a proxy from the environment, and never reads more of an
//! answer than [`ANSWER_BYTES_MAX`]. `client.rs` says how a request goes its way: over a connection of
//! the pool, or a new one.

mod client;
mod connect;
mod exchange;
mod failure;
mod pool;
mod redirect;
mod resolve;

pub use client::{HttpSettings, SenderError};
pub use exchange::ANSWER_BYTES_MAX;

use super::{Endpoint, Sender, Sent, told::told};
use crate::clock::Clock;
use async_trait::async_trait;
use client::Client;
use contract::{
    Answer, Dialect,
    signature::{sign, webhook_id},
};
use exchange::{Body, Response};
use failure::Failure;
use http::{HeaderName, HeaderValue, header::LOCATION, header::RETRY_AFTER};
use presence::{Attempt, Refusal, Timestamp};
use resolve::refusal_of_literal;
use std::{sync::Arc, time::Duration};
use store::{CallbackId, Claimed};
use url::Url;

/// How much of an answer is kept for people to look at.
const ANSWER_BYTES_KEPT: usize = 2 * 1024;

/// How much is kept of what the App says when it refuses.
const REFUSAL_CHARS_MAX: usize = 200;

/// Tells the App that its view may be wrong for good, unless it reads who is online.
const RESYNC_HEADER: &str = "herald-resync";

/// Another one than before: the store was lost, and with it what had been told.
const EPOCH_HEADER: &str = "herald-epoch";

/// Sends callbacks as the contract says.
pub struct HttpSender {
    client: Client,
    clock: Arc<dyn Clock>,
    /// Why nothing is ever sent to that address.
    refusal: Option<String>,
}

impl HttpSender {
    /// A sender for one endpoint.
    pub fn new(
        endpoint: &Endpoint,
        settings: &HttpSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<HttpSender, SenderError> {
        let url = Url::parse(&endpoint.settings.target.url).map_err(SenderError::Url)?;
        let client = Client::new(&url, endpoint.settings.concurrency_max, settings, &clock)?;
        let refusal = settings.deny_private.then(|| refusal_of_literal(&url)).flatten();
        Ok(HttpSender { client, clock, refusal })
    }

    async fn post(&self, endpoint: &Endpoint, callback: &Claimed) -> Result<Sent, Failure> {
        let settings = &endpoint.settings;
        let Claimed { lease, change, operation_id, collapsed, .. } = callback;
        let told = told(&lease.id.user, change, operation_id, *collapsed, endpoint.epoch());
        let request = contract::request(settings.dialect, &settings.target, &told);
        let url = Url::parse(&request.url).map_err(|error| Failure::unreachable(&error))?;
        let signature = self.sign(endpoint, callback, &request.body);
        let mut headers: Vec<_> = request.headers.into_iter().chain(signature).collect();
        headers.push((EPOCH_HEADER, endpoint.epoch().to_owned()));
        if endpoint.needs_resync() {
            headers.push((RESYNC_HEADER, "needed".to_owned()));
        }
        let header = |(name, value): (&str, String)| -> Result<_, http::Error> {
            Ok((HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(&value)?))
        };
        let headers: Result<Vec<_>, _> = headers.into_iter().map(header).collect();
        let headers = headers.map_err(|error| Failure::unreachable(&error))?;
        let timeout = endpoint.timeout(callback.change.kind);
        let response = self.client.post(&url, headers, request.body, timeout).await?;
        let now = self.clock.now().wall;
        Ok(answered(settings.dialect, &settings.target.url, &url, response, now))
    }

    /// The headers of this attempt: its own time, and the id that all attempts have.
    fn sign(&self, to: &Endpoint, callback: &Claimed, body: &[u8]) -> Vec<(&'static str, String)> {
        let CallbackId { endpoint, user, seq } = &callback.lease.id;
        let id = webhook_id(endpoint.as_str(), user.as_str(), *seq);
        sign(&to.settings.secrets, &id, self.clock.now().wall.0 / 1000, body)
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, endpoint: &Endpoint, callback: &Claimed) -> Sent {
        if let Some(refusal) = &self.refusal {
            return unanswered(refusal.clone());
        }
        let sent = self.post(endpoint, callback).await;
        sent.unwrap_or_else(|failure| unanswered(failure.in_words()))
    }
}

fn unanswered(error: String) -> Sent {
    Sent {
        attempt: Attempt::Unanswered,
        retry_after: None,
        answer: None,
        error: Some(error),
        refusal: Refusal::default(),
        consents: false,
    }
}

fn answered(
    dialect: Dialect,
    configured: &str,
    asked: &Url,
    response: Response,
    now: Timestamp,
) -> Sent {
    let Response { status, headers, body } = response;
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let retry_after = header(RETRY_AFTER).and_then(|asked| retry_after(asked, now));
    // What such a status means does not depend on what is said with it.
    let about_status = if status.is_redirection() {
        Some(redirect::hint(asked, configured, header(LOCATION)))
    } else {
        (!status.is_success()).then(|| format!("the App answered {status}"))
    };
    let (body, why_unread) = match body {
        Body::Whole(body) => (body, None),
        Body::Unread(why, body) => (body, Some(why)),
    };
    let answer = Answer::read_in(dialect, &body);
    let status = status.as_u16();
    let attempt = match why_unread {
        Some(_) => Attempt::Unread { status },
        None => Attempt::Answered {
            status,
            action_code: failure_code(dialect, &answer),
            refuses: answer.refuses,
        },
    };
    let error = about_status.or(why_unread).or_else(|| complaint(&answer, body.is_empty()));
    Sent {
        attempt,
        retry_after,
        error,
        answer: Some(shown(&body)),
        refusal: Refusal { msg: brief(&answer.err_msg), detail: brief(&answer.err_dlt) },
        consents: answer.readable || body.is_empty(),
    }
}

/// What says that the App failed, unless it is a refusal. In v2 either code does.
fn failure_code(dialect: Dialect, answer: &Answer) -> i64 {
    match dialect {
        Dialect::V2 if answer.action_code == 0 => answer.err_code,
        _ => answer.action_code,
    }
}

/// A text of the App, short enough to be kept with a user.
fn brief(text: &str) -> Box<str> {
    text.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect()
}

/// What a person should know about an answer that is not plainly good.
fn complaint(answer: &Answer, empty: bool) -> Option<String> {
    match answer {
        _ if empty => Some("the answer is empty; taken as success".into()),
        Answer { readable: false, .. } => {
            Some("the answer is not the JSON of the contract; taken as success".into())
        }
        Answer { action_code: 0, .. } | Answer { refuses: true, .. } => None,
        Answer { action_code, err_msg, .. } => {
            Some(format!("the App failed at it: actionCode {action_code} {err_msg:?}"))
        }
    }
}

/// Seconds, or a date.
fn retry_after(asked: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = asked.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let until = until.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(until.saturating_sub(Duration::from_millis(now.0)))
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(ANSWER_BYTES_KEPT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000);
        for (asked, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("999999999", Some(999_999_999)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-3", None),
            ("soon", None),
        ] {
            let actual = retry_after(asked, now).map(|wait| wait.as_secs());
            assert_eq!(actual, expected, "{asked:?}");
        }
    }
}
