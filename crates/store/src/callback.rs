//! A callback: a change told to an endpoint, with all that is known about its delivery.

use presence::{Change, Kind, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// How many attempts of one callback are kept: the first, and the latest.
pub const ATTEMPTS_KEPT: usize = 20;

/// The contract keeps `seq` below 2^53, so that JavaScript can read it.
pub(crate) const SEQ_MAX: u64 = (1 << 53) - 1;

/// The name of an endpoint, as in the configuration: letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(Arc<str>);

impl EndpointName {
    /// Wraps a name that has been checked at the border.
    pub fn new(name: impl Into<Arc<str>>) -> EndpointName {
        EndpointName(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which callback: the same at every attempt, on every node. Written `endpoint:seq:user`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct CallbackId {
    pub endpoint: EndpointName,
    pub user: UserId,
    pub seq: u64,
}

impl fmt::Display for CallbackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.endpoint, self.seq, self.user)
    }
}

impl FromStr for CallbackId {
    type Err = &'static str;

    /// The user comes last because its name may hold a colon.
    fn from_str(text: &str) -> Result<CallbackId, &'static str> {
        let expected = "a callback id has the form endpoint:seq:user";
        let (endpoint, rest) = text.split_once(':').ok_or(expected)?;
        let (seq, user) = rest.split_once(':').ok_or(expected)?;
        let seq = seq.parse().ok().filter(|seq| *seq <= SEQ_MAX).ok_or(expected)?;
        Ok(CallbackId { endpoint: EndpointName::new(endpoint), user: UserId::new(user), seq })
    }
}

/// A callback with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackRecord {
    /// Orders records by the time of their change; a cursor for pages.
    pub row: u64,
    /// Whom it is told, about whom, and its `seq`.
    pub id: CallbackId,
    /// What is told.
    pub change: Change,
    /// For tracing one operation through all logs; the same at every attempt.
    pub operation_id: String,
    /// How far it got.
    pub state: CallbackState,
    /// Attempts at which the App itself failed; as many as it may, and it is dead.
    pub tries: u32,
    /// At most [`ATTEMPTS_KEPT`]: the first and the latest.
    pub attempts: Vec<AttemptRecord>,
    /// Whether it was queued again by hand.
    pub replayed: bool,
    /// How many older ones it speaks for, which were superseded by it.
    pub collapsed: u64,
    /// The `seq` of the online callbacks among those, while it is pending.
    pub spoken_for: Vec<u64>,
}

/// Of so many online callbacks that were collapsed into one it is known which they were, for the App
/// may refuse what they told. Beyond that those in the middle are forgotten: who is still there is
/// most likely among the first, who stay, and the last.
pub(crate) const SPOKEN_FOR_MAX: usize = 1_024;

/// Takes over what a superseded callback spoke for, and itself if it told an arrival.
pub(crate) fn speak_for(spoken_for: &mut Vec<u64>, change: &Change, before: Vec<u64>) {
    spoken_for.extend(before);
    spoken_for.extend((change.kind == Kind::Online).then_some(change.seq));
    while spoken_for.len() > SPOKEN_FOR_MAX {
        spoken_for.remove(SPOKEN_FOR_MAX / 2);
    }
}

/// How much of one line is looked at in one go, when it is collapsed.
pub(crate) const COLLAPSED_MAX: usize = 1_000;

/// How far a callback got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackState {
    /// Owed to the App.
    Pending,
    /// The App has it.
    Delivered,
    /// Given up after the App failed at it; waits for a person.
    Dead,
    /// Owed for longer than the retention.
    Expired,
    /// A later one said it as well, after a long outage.
    Superseded,
}

impl CallbackState {
    /// The word for it, in the API and on disk.
    pub fn name(self) -> &'static str {
        match self {
            CallbackState::Pending => "pending",
            CallbackState::Delivered => "delivered",
            CallbackState::Dead => "dead",
            CallbackState::Expired => "expired",
            CallbackState::Superseded => "superseded",
        }
    }

    /// Reads what [`CallbackState::name`] writes.
    pub fn parse(name: &str) -> Option<CallbackState> {
        use CallbackState::*;
        [Pending, Delivered, Dead, Expired, Superseded]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One attempt to deliver a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The HTTP status, when there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the App's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What went wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it meant: delivered, refused, again, dead, back_off, pause.
    pub verdict: String,
}

/// Adds an attempt, dropping the second oldest when there are too many.
pub(crate) fn keep_attempt(attempts: &mut Vec<AttemptRecord>, attempt: AttemptRecord) {
    if attempts.len() == ATTEMPTS_KEPT {
        attempts.remove(1);
    }
    attempts.push(attempt);
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence::{ConnId, Event, Instant, Login, Now, Platform, Policy, TokenHash, User};

    #[test]
    fn of_very_many_arrivals_the_first_and_the_last_are_known() {
        let login = Login {
            conn: ConnId([1; 16]),
            platform: Platform::Ios,
            token: TokenHash([1; 16]),
            issued_at: Timestamp(1),
            background: false,
            address: None,
        };
        let now = Now { mono: Instant(1), wall: Timestamp(1) };
        let effects = User::default().apply(Event::Connected(login), now, &Policy::default());
        let change = |seq| Change { seq, ..effects.changes[0].clone() };
        let mut spoken_for = Vec::new();
        for seq in 1..=3_000 {
            speak_for(&mut spoken_for, &change(seq), Vec::new());
        }
        assert_eq!(spoken_for.len(), SPOKEN_FOR_MAX);
        assert_eq!((spoken_for[0], spoken_for[511], spoken_for[1_023]), (1, 512, 3_000));
    }
}
