//! What is remembered of an endpoint, beside what it is owed.

use presence::Timestamp;
use serde::{Deserialize, Serialize};

/// How an endpoint stands. One that nobody has heard of is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Nothing is sent until an operator resumes it.
    #[serde(default)]
    pub paused: bool,
    /// Its App failed at whoever it was told of, when that was last known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// Since when its view may be wrong for good, unless it reads who is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
    /// The newest reason for that came up when no change had a higher `seq`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub resync_seq: u64,
    /// When it was last asked to read who is online because of a callback that was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When it last said that it had read who is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resynced_at: Option<Timestamp>,
    /// Whether it is to be asked again, as soon as it may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask_again: bool,
    /// The newest of its callbacks that is not kept any more, by [`crate::CallbackRecord::row`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub forgotten_row: u64,
    /// Callbacks up to that row are from before it was not told of everything for a while: what is still owed
    /// of them is told as it is now.
    #[serde(default, skip_serializing_if = "is_none")]
    pub anew_row: u64,
    /// The highest `seq` of all users when it began to be told of less than before; none: it is told of all
    /// that it ever was, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<u64>,
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
    /// Whether it ends by itself: with the last mark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heals: bool,
}

/// Something that happened to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// It was paused, or resumed.
    Paused(bool),
    /// Its App fails at whoever it is told of, or does so no more.
    Suspect(bool),
    /// It was not told something, and will not be. The first reason stands until it is right again.
    NeedsResync(Resync),
    /// A callback was given up, of a user about whom none was since the App last read who is online.
    GaveUp(Timestamp),
    /// Time has passed: it may be asked again.
    MayAsk(Timestamp),
    /// It was told of everything that was given up.
    Healed,
    /// Its App has read who is online, and said so.
    Resynced {
        /// When.
        at: Timestamp,
        /// The fence of what it read: what came up later is not answered by it. None: nobody knows.
        fence: Option<u64>,
    },
    /// A callback up to that row is not kept any more.
    Forgot(u64),
    /// It is told of something again: callbacks up to that row are from before.
    Anew(u64),
    /// Since that `seq` it is told of less than before; none: it is told of all.
    Missing(Option<u64>),
    /// From now on it is told of this.
    ToldOf(String),
}

impl EndpointState {
    /// `highest_seq` is that of all users.
    pub(crate) fn apply(&mut self, change: EndpointChange, highest_seq: u64) {
        match change {
            EndpointChange::Paused(paused) => self.paused = paused,
            EndpointChange::Suspect(suspect) => self.suspect = suspect,
            EndpointChange::NeedsResync(resync) => {
                self.came_up(resync.since, highest_seq);
                let known = self.resync.get_or_insert_with(|| resync.clone());
                known.heals &= resync.heals;
            }
            EndpointChange::GaveUp(at) => {
                self.ask_again = true;
                if self.resync.is_some() {
                    self.came_up(at, highest_seq);
                }
                self.ask(at, highest_seq);
            }
            EndpointChange::MayAsk(at) => self.ask(at, highest_seq),
            EndpointChange::Healed => {
                self.ask_again = false;
                if self.resync.take_if(|resync| resync.heals).is_some() {
                    self.resync_seq = 0;
                }
            }
            EndpointChange::Resynced { at, fence } => {
                self.resynced_at = Some(at);
                if fence.is_none_or(|fence| self.resync_seq <= fence) {
                    (self.resync, self.resync_seq) = (None, 0);
                }
            }
            EndpointChange::Forgot(row) => self.forgotten_row = self.forgotten_row.max(row),
            EndpointChange::Anew(row) => {
                self.anew_row = self.anew_row.max(row);
                self.forgotten_row = self.forgotten_row.max(row);
            }
            EndpointChange::Missing(since) => self.missing_since = since,
            EndpointChange::ToldOf(words) => self.told_of = Some(words),
        }
    }

    /// A snapshot answers it whose fence is not below.
    fn came_up(&mut self, at: Timestamp, highest_seq: u64) {
        self.resync_seq = self.resync_seq.max(at.0).max(highest_seq);
    }

    fn ask(&mut self, at: Timestamp, highest_seq: u64) {
        // A clock that was set back keeps nobody waiting.
        let is_early = |asked: Timestamp| at >= asked && at.0 - asked.0 < ASK_EVERY_MS;
        if !self.ask_again || self.asked_at.is_some_and(is_early) {
            return;
        }
        (self.ask_again, self.asked_at) = (false, Some(at));
        self.came_up(at, highest_seq);
        let why = "callbacks were given up; the App is told again how things are".to_owned();
        self.resync.get_or_insert(Resync { since: at, why, heals: true });
    }
}

fn is_none(row: &u64) -> bool {
    *row == 0
}

/// An App that has read who is online is asked again after so long at the earliest.
const ASK_EVERY_MS: u64 = 10 * 60 * 1000;
