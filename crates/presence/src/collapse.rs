//! Which of a user's callbacks need not be sent any more, once they have waited for long.

use crate::{Change, Kind, Scope, Subject};
use alloc::vec::Vec;

/// A callback that waits for its turn.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// What it tells.
    pub change: &'a Change,
    /// Never attempted, and not queued again by hand. The App may know of any other.
    pub fresh: bool,
}

/// For each callback of one user, in order of `seq`: which one says all that it would say.
///
/// That is the last one about the same subject. An App that keeps a set of connections must hear of
/// each of them, one that keeps a flag only of the last thing that happened. Kick-offs are told
/// each, and take nobody's place; a background callback takes only that of another.
pub fn collapse(line: &[Waiting<'_>], scope: Scope) -> Vec<Option<usize>> {
    let place = |at: usize| {
        let mine = Subject::of(line[at].change, scope);
        let later = (at + 1..line.len()).rev();
        let mut same = later.filter(|other| Subject::of(line[*other].change, scope) == mine);
        same.find(|other| line[*other].says_all_of(&line[at]))
    };
    (0..line.len()).map(place).collect()
}

impl Waiting<'_> {
    /// Whether an earlier one about the same subject need not be told.
    fn says_all_of(&self, earlier: &Waiting<'_>) -> bool {
        let says = match earlier.change.kind {
            Kind::KickOff => false,
            Kind::Online | Kind::Offline => self.change.kind.says_who_is_online(),
            Kind::Background => self.change.kind.is_about_a_subject(),
        };
        says && self.fresh && earlier.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnId, Edges, Platform, Reason, Timestamp};

    /// `+a1`: online, `-a1`: offline, `!a1`: kick-off, `~a1`: background, of connection a on platform 1; `*` in front:
    /// attempted. Returns what is left to send.
    fn left(line: &str, scope: Scope) -> alloc::string::String {
        let words: Vec<&str> = line.split(' ').collect();
        let changes: Vec<Change> = words.iter().map(|word| change(word)).collect();
        let waiting = words.iter().zip(&changes);
        let waiting: Vec<Waiting<'_>> = waiting
            .map(|(word, change)| Waiting { change, fresh: !word.starts_with('*') })
            .collect();
        let replaced = collapse(&waiting, scope);
        let left = words.iter().zip(&replaced).filter(|(_, replaced)| replaced.is_none());
        left.map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
    }

    fn change(word: &str) -> Change {
        let mut letters = word.trim_start_matches('*').bytes();
        let kind = match letters.next() {
            Some(b'+') => Kind::Online,
            Some(b'-') => Kind::Offline,
            Some(b'~') => Kind::Background,
            _ => Kind::KickOff,
        };
        let conn = letters.next().filter(|letter| *letter != b'_');
        let platform = letters.next().map(|digit| i64::from(digit - b'0'));
        Change {
            seq: 1,
            kind,
            reason: Reason::Login,
            edges: Edges::default(),
            online_scopes: Edges::all(),
            platform: platform.and_then(Platform::from_id).unwrap_or(Platform::Ios),
            conn: conn.map(|letter| ConnId([letter; 16])),
            background: false,
            at: Timestamp(1),
            status: None,
            address: None,
        }
    }

    #[test]
    fn what_is_left_says_all_that_was_said() {
        #[rustfmt::skip]
        let table = [
            ("+a1",                 "+a1",          "+a1",          "+a1"),
            ("+a1 -a1 +b1",         "+b1",          "+b1",          "-a1 +b1"),
            ("+a1 +b5 -a1",         "-a1",          "+b5 -a1",      "+b5 -a1"),
            ("-a1 +b1 +c5",         "+c5",          "+b1 +c5",      "-a1 +b1 +c5"),
            ("*+a1 -a1 +b1",        "*+a1 +b1",     "*+a1 +b1",     "*+a1 -a1 +b1"),
            ("+a1 *-a1 +b1",        "*-a1 +b1",     "*-a1 +b1",     "+a1 *-a1 +b1"),
            ("!a1 -a1 +b1",         "!a1 +b1",      "!a1 +b1",      "!a1 -a1 +b1"),
            ("+a1 !a1",             "+a1 !a1",      "+a1 !a1",      "+a1 !a1"),
            ("+a1 ~a1 ~a1",         "+a1 ~a1",      "+a1 ~a1",      "+a1 ~a1"),
            ("~a1 +b5 ~b5",         "+b5 ~b5",      "~a1 +b5 ~b5",  "~a1 +b5 ~b5"),
            ("~a1 -a1 !a1",         "-a1 !a1",      "-a1 !a1",      "-a1 !a1"),
            ("*~a1 ~a1 *-a1",       "*~a1 ~a1 *-a1", "*~a1 ~a1 *-a1", "*~a1 ~a1 *-a1"),
            ("+_1 -_1 +_5",         "+_5",          "-_1 +_5",      "+_5"),
        ];
        for (line, user, platform, connection) in table {
            assert_eq!(left(line, Scope::User), user, "{line} by user");
            assert_eq!(left(line, Scope::Platform), platform, "{line} by platform");
            assert_eq!(left(line, Scope::Connection), connection, "{line} by connection");
        }
    }
}
