//! Who is online, kept right however callbacks arrive: late, twice, in any order.
//!
//! It never forgets by itself, and keeps nothing on disk: after a restart of the App it is empty,
//! until [`sync`](crate::sync) fills it. The same in a database is [`sql`](crate::sql).

use crate::{
    Event, Scope, Subject,
    sync::{Correction, Held, Span},
};
use std::{cmp::Ordering, collections::BTreeMap};

/// One flag for each subject, by the highest seq. What a subject is, is what Herald's
/// `offline.scope` of this endpoint tells apart, and the two must be the same:
///
/// | the App keeps | view | Herald's settings of `[callbacks]` |
/// |---|---|---|
/// | one flag per user | `View::default()` | `online.scope = "connection"`, `offline.scope = "user"`: the default |
/// | a set of connections | `View::new(Scope::Connection)` | both scopes `"connection"` |
/// | a state per platform | `View::new(Scope::Platform)` | both scopes `"platform"`, and `extra_fields = true` |
///
/// It grows by one entry (its user id and about 100 bytes) for each subject that was ever told of,
/// because the seq of one that is offline is what makes a late online harmless. Shrink it with
/// [`forget_offline_before`](Self::forget_offline_before).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    scope: Scope,
    known: BTreeMap<(String, Subject), Latest>,
}

/// The newest that is known of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Latest {
    seq: u64,
    online: bool,
    background: bool,
}

/// What an event did to the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// News: the subject is online and was not, or the reverse; or it went to the background or came back.
    Changed,
    /// Newer, but the flags stay: another login of an online user, or any kick-off.
    Unchanged,
    /// Known already: the same seq again.
    Repeated,
    /// Something newer of this subject is known already.
    Older,
    /// Nothing: the view goes by platform and the event names none. Herald needs
    /// `extra_fields = true`.
    NoPlatform,
}

/// Somebody who is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present<'a> {
    /// The user.
    pub user_id: &'a str,
    /// Where, as finely as the view goes.
    pub subject: &'a Subject,
    /// Number of the newest change of the subject.
    pub seq: u64,
    /// Whether the app is in the background: of a platform or a user, that of the newest connection. Kept
    /// right only where Herald's `callbacks.background` is switched on.
    pub background: bool,
}

impl Default for View {
    fn default() -> View {
        View::new(Scope::User)
    }
}

impl View {
    /// A view that keeps apart what this scope does.
    pub fn new(scope: Scope) -> View {
        View { scope, known: BTreeMap::new() }
    }

    /// Takes in one event. Online sets the flag of its subject and offline clears it, each only if
    /// it is newer than what is known; a kick-off never counts, for an offline follows it if the
    /// user is gone. Background says that its subject is online, and whether it is in front.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let Some(subject) = event.subject(self.scope) else { return Applied::NoPlatform };
        let key = (event.user_id.clone(), subject);
        let known = self.known.get(&key);
        match known.map(|known| event.seq.cmp(&known.seq)) {
            Some(Ordering::Less) => return Applied::Older,
            Some(Ordering::Equal) => return Applied::Repeated,
            Some(Ordering::Greater) | None => {}
        }
        // The seq of a kick-off is not kept, or an online from just before it would come too late.
        let Some(online) = event.online() else { return Applied::Unchanged };
        let background = online && event.is_app_background;
        let before = known.map_or((false, false), |known| (known.online, known.background));
        let changed = before != (online, background);
        // Kept also when nobody has heard of the subject: its online may come after its offline.
        self.known.insert(key, Latest { seq: event.seq, online, background });
        if changed { Applied::Changed } else { Applied::Unchanged }
    }

    /// Whether the user is online anywhere; false for one that was never told of.
    pub fn is_online(&self, user_id: &str) -> bool {
        let from = (user_id.to_owned(), Subject::FIRST);
        let mut theirs = self.known.range(from..).take_while(|((user, _), _)| user == user_id);
        theirs.any(|(_, known)| known.online)
    }

    /// Everyone who is online, sorted by user, then by platform or connection. Takes time for every
    /// subject that is kept.
    pub fn online(&self) -> impl Iterator<Item = Present<'_>> {
        let online = self.known.iter().filter(|(_, known)| known.online);
        online.map(|((user_id, subject), known)| Present {
            user_id,
            subject,
            seq: known.seq,
            background: known.background,
        })
    }

    /// Drops what is offline with a seq below this one, and returns how many entries that were.
    ///
    /// Safe for anything that Herald no longer sends. As a seq is never below the unix milliseconds
    /// of its change, that is `now - retention`, in milliseconds (72 h unless configured); only a
    /// still older online that an operator replays by hand would then show.
    pub fn forget_offline_before(&mut self, seq: u64) -> usize {
        let before = self.known.len();
        self.known.retain(|_, known| known.online || known.seq >= seq);
        before - self.known.len()
    }

    /// Who is online among these users; for [`sync`](crate::sync).
    pub fn held(&self, span: &Span) -> Vec<Held> {
        let from = (span.after.clone(), Subject::FIRST);
        let theirs = self
            .known
            .range(from..)
            .take_while(|((user, _), _)| span.upto.as_ref().is_none_or(|upto| user <= upto));
        let online = theirs.filter(|((user, _), known)| *user != span.after && known.online);
        let held = online.map(|((user_id, subject), known)| Held {
            user_id: user_id.clone(),
            subject: subject.clone(),
            seq: known.seq,
        });
        held.collect()
    }

    /// Takes in the truth about some, where nothing newer is known; for [`sync`](crate::sync). What was
    /// told before it stays older: the seq of a subject never falls.
    pub fn correct(&mut self, corrections: &[Correction], fence: u64) {
        for Correction { user_id, subject, seq, online, background } in corrections {
            let key = (user_id.clone(), subject.clone());
            let known = self.known.get(&key).map_or(0, |known| known.seq);
            if known <= (*seq).max(fence) {
                let (seq, online, background) = (known.max(*seq), *online, *background);
                self.known.insert(key, Latest { seq, online, background });
            }
        }
    }
}
