//! Makes the App's view right, and keeps it so: a snapshot at first, callbacks meanwhile, and once a
//! day a comparison that costs half a megabyte.
//!
//! Start at [`sync_loop`]. It never opens a connection, sleeps or reads a database by itself: the
//! App does, through [`Side`], on the runtime and with the HTTP client that it has anyway.

mod bell;
mod truth;

pub use bell::Bell;
pub use truth::{Correction, Held, Span};

use crate::Scope;
use std::{convert::Infallible, fmt::Display, time::Duration};
use truth::{Differences, Page, corrections, digest};

/// What the loop needs of the App. Errors of it are told to [`Side::done`] and tried again.
pub trait Side: Send {
    /// What can go wrong on this side.
    type Error: Display + Send;

    /// Sends one request to Herald's management API, with its bearer token; returns the body of an
    /// answer with status 2xx. Any other is an error.
    fn ask(&mut self, request: &Ask) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;

    /// Who is online by the App's view, among these users: [`View::held`](crate::View::held), or
    /// the statement `held` of [`sql`](crate::sql).
    fn held(&mut self, span: &Span) -> impl Future<Output = Result<Vec<Held>, Self::Error>> + Send;

    /// Puts the view right, but nothing that a callback has changed since: of it a seq is known
    /// that is above both the correction's and the fence. That is
    /// [`View::correct`](crate::View::correct), or the statement `correct` of [`sql`](crate::sql).
    fn correct(
        &mut self,
        corrections: &[Correction],
        fence: u64,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Waits.
    fn sleep(&mut self, time: Duration) -> impl Future<Output = ()> + Send;

    /// What became of a turn: for your log.
    fn done(&mut self, turn: Result<Turn, &SyncError<Self::Error>>);
}

/// One request to the management API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, behind `http://127.0.0.1:10003` unless configured.
    pub path: String,
    /// As `application/octet-stream`; mostly empty.
    pub body: Vec<u8>,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Everyone was read.
    Snapshot {
        /// How many entries of the view were not as Herald says.
        corrected: usize,
    },
    /// The view was compared.
    Diff {
        /// How many entries of the view were not as Herald says; callbacks on their way count, too.
        corrected: usize,
        /// Too much differed, or Herald lost its store; a snapshot follows.
        snapshot_follows: bool,
    },
}

/// Why a turn came to nothing; the next one begins anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError<E: Display> {
    /// Something failed on the App's side, or Herald could not be asked.
    #[error("{0}")]
    Side(E),
    /// It is not Herald that answers, or one of another version.
    #[error("the answer of {path} cannot be read")]
    Answer {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Herald lost its store between two pages.
    #[error("the store of Herald became another one meanwhile")]
    OtherEpoch,
    /// A page ends before it begins.
    #[error("the pages of the snapshot do not rise")]
    Pages,
}

/// How the loop goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The endpoint's name in Herald.
    pub endpoint: String,
    /// What the App keeps; as `offline.scope` of the endpoint.
    pub scope: Scope,
    /// How long from one comparison to the next.
    pub every: Duration,
}

impl Plan {
    /// For the endpoint `main`, once a day.
    pub fn new(scope: Scope) -> Plan {
        Plan { endpoint: "main".into(), scope, every: Duration::from_secs(24 * 60 * 60) }
    }
}

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

enum Next {
    Snapshot,
    Diff,
}

/// Runs for ever: spawn it, and stop it by dropping it, at any time.
///
/// It begins with a snapshot, tells Herald that this endpoint is `resynced`, and compares at once,
/// so that what got lost in between is found. Then it compares once in [`Plan::every`]. When the
/// [`Bell`] rings, because a callback said `herald-resync: needed` or came from another store, it
/// begins again. What fails is tried again after 1 s, doubling to a minute.
pub async fn sync_loop<S: Side>(side: &mut S, plan: &Plan, bell: &Bell) -> Infallible {
    let (mut next, mut retry) = (Next::Snapshot, RETRY_MIN);
    loop {
        let turn = match next {
            Next::Snapshot => snapshot(side, plan, bell).await,
            Next::Diff => diff(side, plan, bell).await,
        };
        side.done(turn.as_ref().map(|turn| *turn));
        match turn {
            Err(_) => {
                side.sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                continue;
            }
            Ok(Turn::Snapshot { .. }) => next = Next::Diff,
            // Where much comes and goes a snapshot may differ at once: not in a circle.
            Ok(Turn::Diff { snapshot_follows: true, .. }) => {
                side.sleep(RETRY_MAX).await;
                next = Next::Snapshot;
            }
            Ok(Turn::Diff { .. }) => {
                next = Next::Diff;
                if bell.rings_within(side.sleep(plan.every)).await {
                    next = Next::Snapshot;
                    // Requests that were under way at the last one ring once more.
                    side.sleep(RETRY_MIN).await;
                }
            }
        }
        retry = RETRY_MIN;
    }
}

type Done<S> = Result<Turn, SyncError<<S as Side>::Error>>;

async fn snapshot<S: Side>(side: &mut S, plan: &Plan, bell: &Bell) -> Done<S> {
    let mut corrected = 0;
    let mut span = Span { after: String::new(), upto: None };
    let mut path = "/v1/snapshot".to_owned();
    let mut epoch = None;
    let fence = loop {
        let ask = Ask { method: "GET", path, body: Vec::new() };
        let page: Page = read(&ask, &side.ask(&ask).await.map_err(SyncError::Side)?)?;
        if *epoch.get_or_insert_with(|| page.epoch.clone()) != page.epoch {
            return Err(SyncError::OtherEpoch);
        }
        span.upto = page.last_user();
        if span.upto.as_ref().is_some_and(|upto| *upto <= span.after) {
            return Err(SyncError::Pages);
        }
        let held = side.held(&span).await.map_err(SyncError::Side)?;
        let wrong = corrections(plan.scope, &page.users, held, page.fence);
        side.correct(&wrong, page.fence).await.map_err(SyncError::Side)?;
        corrected += wrong.len();
        let Some(cursor) = page.cursor else { break page.fence };
        path = format!("/v1/snapshot?cursor={}", encoded(&cursor));
        span.after = span.upto.take().unwrap_or_default();
    };
    bell.read(epoch);
    let path = format!("/v1/endpoints/{}/resynced?fence={fence}", encoded(&plan.endpoint));
    let ask = Ask { method: "POST", path, body: Vec::new() };
    let still_needed = side.ask(&ask).await.map_err(SyncError::Side)?;
    // Something came up that the snapshot says nothing of: another one is due.
    bell.set_rung(!still_needed.is_empty());
    Ok(Turn::Snapshot { corrected })
}

async fn diff<S: Side>(side: &mut S, plan: &Plan, bell: &Bell) -> Done<S> {
    let everyone = Span { after: String::new(), upto: None };
    let held = side.held(&everyone).await.map_err(SyncError::Side)?;
    let fields = match plan.scope {
        Scope::User => "user",
        Scope::Platform => "platforms",
        Scope::Connection => "connections",
    };
    let body = digest(&held).to_bytes();
    let ask = Ask { method: "POST", path: format!("/v1/diff?fields={fields}"), body };
    let told: Differences = read(&ask, &side.ask(&ask).await.map_err(SyncError::Side)?)?;
    let snapshot_follows = told.truncated || bell.is_other(&told.epoch);
    let held = side.held(&everyone).await.map_err(SyncError::Side)?;
    let held = told.those_in_buckets(held);
    let wrong = corrections(plan.scope, &told.users(), held, told.fence);
    side.correct(&wrong, told.fence).await.map_err(SyncError::Side)?;
    Ok(Turn::Diff { corrected: wrong.len(), snapshot_follows })
}

fn read<T: serde::de::DeserializeOwned, E: Display>(
    ask: &Ask,
    body: &[u8],
) -> Result<T, SyncError<E>> {
    serde_json::from_slice(body)
        .map_err(|source| SyncError::Answer { path: ask.path.clone(), source })
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
