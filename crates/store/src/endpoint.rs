//! What is remembered of an endpoint, beside what it is owed.

use presence::Timestamp;
use serde::{Deserialize, Serialize};

/// How an endpoint stands. One that nobody has heard of is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Nothing is sent until an operator resumes it.
    #[serde(default)]
    pub paused: bool,
    /// Since when its view may be wrong for good, unless it reads who is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
    /// What it was told of when it was last configured, in the words of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_of: Option<String>,
}

/// Why an App must read who is online, to be right again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// Since when.
    pub since: Timestamp,
    /// What was lost, in words.
    pub why: String,
}

/// Something that happened to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// It was paused, or resumed.
    Paused(bool),
    /// It was not told something, and will not be. The first reason stands until it is right again.
    NeedsResync(Resync),
    /// Its App has read who is online.
    Resynced,
    /// From now on it is told of this.
    ToldOf(String),
}

impl EndpointState {
    pub(crate) fn apply(&mut self, change: EndpointChange) {
        match change {
            EndpointChange::Paused(paused) => self.paused = paused,
            EndpointChange::NeedsResync(resync) => {
                self.resync.get_or_insert(resync);
            }
            EndpointChange::Resynced => self.resync = None,
            EndpointChange::ToldOf(words) => self.told_of = Some(words),
        }
    }
}
