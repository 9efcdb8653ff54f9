//! What Herald says about who is online, and in what the App's view differs from it.
//!
//! It never asks and never changes anything.

use crate::{Scope, Subject};
use contract::buckets::{Buckets, bucket_of};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Users by name, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Those behind this name.
    pub after: String,
    /// Up to this one and with it; none: to the last.
    pub upto: Option<String>,
}

/// Somebody who is online by the App's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The user.
    pub user_id: String,
    /// Where.
    pub subject: Subject,
    /// Number of the newest change that is known.
    pub seq: u64,
}

/// What an entry of the view must be, unless something newer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The user.
    pub user_id: String,
    /// Where.
    pub subject: Subject,
    /// The seq to keep.
    pub seq: u64,
    /// Whether it is online.
    pub online: bool,
    /// Whether it is so in the background.
    pub background: bool,
}

/// Of `GET /v1/snapshot`.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) epoch: String,
    pub(super) fence: u64,
    pub(super) users: Vec<Online>,
    pub(super) cursor: Option<String>,
}

impl Page {
    /// Where the page ends; none if it is the last one.
    pub(super) fn last_user(&self) -> Option<String> {
        self.cursor.as_ref()?;
        // Without anyone on it, it cannot be known where it ends.
        Some(self.users.last().map(|user| user.user_id.clone()).unwrap_or_default())
    }
}

/// Of `POST /v1/diff`.
#[derive(Deserialize)]
pub(super) struct Differences {
    pub(super) epoch: String,
    pub(super) fence: u64,
    pub(super) truncated: bool,
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    bucket: u16,
    users: Vec<Online>,
}

impl Differences {
    pub(super) fn those_in_buckets(&self, mut held: Vec<Held>) -> Vec<Held> {
        let numbers: BTreeSet<u16> = self.buckets.iter().map(|bucket| bucket.bucket).collect();
        held.retain(|one| numbers.contains(&bucket_of(&one.user_id)));
        held
    }

    pub(super) fn users(&self) -> Vec<Online> {
        self.buckets.iter().flat_map(|bucket| &bucket.users).cloned().collect()
    }
}

/// Who is online, with the seq of their last change.
#[derive(Deserialize, Clone)]
pub(super) struct Online {
    #[serde(rename = "userID")]
    user_id: String,
    seq: u64,
    #[serde(rename = "platformIDs")]
    platform_ids: Vec<u8>,
    #[serde(rename = "connIDs")]
    conn_ids: Vec<String>,
    #[serde(default, rename = "isAppBackground")]
    is_app_background: bool,
    #[serde(default, rename = "backgroundPlatformIDs")]
    background_platform_ids: Vec<u8>,
    #[serde(default, rename = "backgroundConnIDs")]
    background_conn_ids: Vec<String>,
}

impl Online {
    fn subjects(&self, scope: Scope) -> Vec<Subject> {
        match scope {
            Scope::User => vec![Subject::User],
            Scope::Platform => self.platform_ids.iter().copied().map(Subject::Platform).collect(),
            Scope::Connection => self.conn_ids.iter().cloned().map(Subject::Connection).collect(),
        }
    }

    fn is_in_background(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User => self.is_app_background,
            Subject::Platform(id) => self.background_platform_ids.contains(id),
            Subject::Connection(id) => self.background_conn_ids.contains(id),
        }
    }
}

/// What must change in a view that holds these, where Herald says those.
///
/// Who is online is so with the seq of their last change, so that older callbacks that are still to
/// come change nothing. Who is on no list keeps the seq that is known: one of theirs that is not
/// known yet may be below the fence, if the clock stepped back.
pub(super) fn corrections(
    scope: Scope,
    told: &[Online],
    held: Vec<Held>,
    fence: u64,
) -> Vec<Correction> {
    let seqs: BTreeMap<&str, u64> =
        told.iter().map(|one| (one.user_id.as_str(), one.seq)).collect();
    let mut known: BTreeMap<(String, Subject), u64> =
        held.into_iter().map(|one| ((one.user_id, one.subject), one.seq)).collect();
    let mut wrong = Vec::new();
    for user in told {
        for subject in user.subjects(scope) {
            let key = (user.user_id.clone(), subject);
            if known.remove(&key).is_none_or(|seq| seq < user.seq) {
                let (user_id, subject) = key;
                let background = user.is_in_background(&subject);
                wrong.push(Correction {
                    user_id,
                    subject,
                    seq: user.seq,
                    online: true,
                    background,
                });
            }
        }
    }
    for ((user_id, subject), seq) in known {
        let told = seqs.get(user_id.as_str()).copied().unwrap_or_default();
        if seq <= told.max(fence) {
            let seq = seq.max(told);
            wrong.push(Correction { user_id, subject, seq, online: false, background: false });
        }
    }
    wrong
}

/// The digest of a view, as Herald compares it.
pub(super) fn digest(held: &[Held]) -> Buckets {
    let mut users: BTreeMap<&str, BTreeSet<&Subject>> = BTreeMap::new();
    for one in held {
        users.entry(&one.user_id).or_default().insert(&one.subject);
    }
    let mut buckets = Buckets::new();
    for (user, subjects) in users {
        let details = subjects.into_iter().map(|subject| match subject {
            Subject::User => String::new(),
            Subject::Platform(id) => id.to_string(),
            Subject::Connection(id) => id.clone(),
        });
        buckets.toggle(user, &details.collect::<Vec<_>>().join(","));
    }
    buckets
}
