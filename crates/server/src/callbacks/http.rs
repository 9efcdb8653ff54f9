//! Speaks HTTP to the App; nothing else in Herald does.
//!
//! It never follows a redirect, never uses a proxy from the environment, and never reads more of an
//! answer than [`ANSWER_BYTES_MAX`]. How it connects is in `client.rs`.

mod client;
mod resolve;

pub use client::{HttpSettings, SenderError};

use super::{Endpoint, Sender, Sent, told::told};
use crate::clock::Clock;
use async_trait::async_trait;
use contract::{
    Answer, Dialect,
    signature::{sign, webhook_id},
};
use presence::{Attempt, Refusal, Timestamp};
use reqwest::{Response, header::RETRY_AFTER};
use resolve::refusal_of_literal;
use std::{error::Error, sync::Arc, time::Duration};
use store::{CallbackId, Claimed};

/// How much of an answer is read.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
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
    #[expect(clippy::disallowed_types, reason = "this is the place")]
    client: reqwest::Client,
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
        let url = &endpoint.settings.target.url;
        let client = client::client(url, endpoint.settings.concurrency_max, settings)?;
        let refusal = settings.deny_private.then(|| refusal_of_literal(url)).flatten();
        Ok(HttpSender { client, clock, refusal })
    }

    async fn post(&self, endpoint: &Endpoint, callback: &Claimed) -> reqwest::Result<Sent> {
        let settings = &endpoint.settings;
        let Claimed { lease, change, operation_id, collapsed, .. } = callback;
        let told = told(&lease.id.user, change, operation_id, *collapsed, endpoint.epoch());
        let request = contract::request(settings.dialect, &settings.target, &told);
        let signature = self.sign(endpoint, callback, &request.body);
        let mut post = self.client.post(request.url).body(request.body);
        for (name, value) in request.headers.into_iter().chain(signature) {
            post = post.header(name, value);
        }
        post = post.header(EPOCH_HEADER, endpoint.epoch());
        if endpoint.needs_resync() {
            post = post.header(RESYNC_HEADER, "needed");
        }
        let timeout = endpoint.timeout(callback.change.kind);
        let mut response = post.timeout(timeout).send().await?;
        let body = read(&mut response).await?;
        Ok(answered(settings.dialect, &response, body, self.clock.now().wall))
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
        sent.unwrap_or_else(|error| unanswered(in_words(error)))
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

/// The answer, or its beginning. What is not read closes the connection, not us.
async fn read(response: &mut Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

fn answered(dialect: Dialect, response: &Response, body: Vec<u8>, now: Timestamp) -> Sent {
    let answer = Answer::read_in(dialect, &body);
    let status = response.status().as_u16();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Sent {
        attempt: Attempt::Answered {
            status,
            action_code: failure_code(dialect, &answer),
            refuses: answer.refuses,
        },
        retry_after: asked.and_then(|asked| retry_after(asked, now)),
        error: complaint(response, &answer, body.is_empty()),
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
fn complaint(response: &Response, answer: &Answer, empty: bool) -> Option<String> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get("location").and_then(|to| to.to_str().ok());
        return Some(format!("redirects are not followed; set the URL to {}", to.unwrap_or("?")));
    }
    if !status.is_success() {
        return Some(format!("the App answered {status}"));
    }
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

/// The whole chain of causes, without the URL, which may hold the App's secrets.
fn in_words(error: reqwest::Error) -> String {
    let kind = match () {
        () if error.is_timeout() => "no answer in time",
        () if error.is_connect() => "no connection",
        () => "the exchange broke off",
    };
    let error = error.without_url();
    let mut words = kind.to_owned();
    let mut cause = error.source();
    while let Some(source) = cause {
        words.push_str(": ");
        words.push_str(&source.to_string());
        cause = source.source();
    }
    words
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
