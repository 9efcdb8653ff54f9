//! Tells the App what changed: at least once, in order per user, without ever slowing a login.
//!
//! Start at [`Dispatcher`]: one for each [`Endpoint`], emptying its part of the outbox. What an
//! attempt means is decided in `presence`; only [`http`] speaks to the App.

mod asked;
mod dispatcher;
mod endpoint;
pub mod http;
mod retelling;
mod suspicion;
mod told;

pub use asked::{Answer, Answered, Asked, NoPlace, NotShared};
pub use dispatcher::Dispatcher;
pub(crate) use dispatcher::name as verdict_name;
pub use endpoint::{Endpoint, EndpointSettings, GateSettings, Timeouts};
pub(crate) use told::told;

/// What the App of each endpoint keeps one word about.
pub fn scopes(endpoints: &[Arc<Endpoint>]) -> Vec<(EndpointName, Scope)> {
    let scope = |endpoint: &Arc<Endpoint>| (endpoint.settings.name.clone(), endpoint.scope());
    endpoints.iter().map(scope).collect()
}

use async_trait::async_trait;
use presence::{Attempt, Refusal, Scope};
use std::{sync::Arc, time::Duration};
use store::{Claimed, EndpointName};

/// Sends one callback. The real one is [`http::HttpSender`]; tests bring a script of answers.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// One attempt, within the endpoint's timeout. Never fails: a failure is an answer too.
    async fn send(&self, endpoint: &Endpoint, callback: &Claimed) -> Sent;
}

/// How one attempt went.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What decides.
    pub attempt: Attempt,
    /// What the App asked for with `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The beginning of the App's answer.
    pub answer: Option<String>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// What the App says about it, should it refuse.
    pub refusal: Refusal,
    /// Whether the answer is one that lets somebody in at the gate: an empty one or the JSON of the
    /// contract. A page of a proxy is not.
    pub consents: bool,
}
