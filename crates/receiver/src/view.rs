//! Who is online, kept right however callbacks arrive: late, twice, in any order.
//!
//! It never forgets by itself, and keeps nothing on disk: after a restart of the App it is empty.

use crate::{Event, Kind};
use std::{cmp::Ordering, collections::BTreeMap};

/// One flag per user, by the highest seq.
///
/// Right where Herald's offline means that the whole user is gone: `offline.scope = "user"`, the
/// default of the classic dialect. With any other scope one device that leaves would clear it.
///
/// It grows by one entry (its user id and about 100 bytes) for each user that was ever told of,
/// because an offline user's seq is what makes a late online harmless. Shrink it with
/// [`forget_offline_before`](Self::forget_offline_before).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    users: BTreeMap<String, Latest>,
}

/// The newest that is known of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Latest {
    seq: u64,
    /// The connection that came online; `None` when offline.
    conn_id: Option<String>,
}

/// What an event did to the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// News: the user is online and was not, or the reverse.
    Changed,
    /// Newer, but the flag stays: another login of an online user, or any kick-off.
    Unchanged,
    /// Known already: the same seq again.
    Repeated,
    /// Something newer of this user is known already.
    Older,
}

/// A user who is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present<'a> {
    /// The user.
    pub user_id: &'a str,
    /// Number of the newest change.
    pub seq: u64,
    /// The connection that came online last; `""` when told without one.
    pub conn_id: &'a str,
}

impl View {
    /// Takes in one event. Online sets the flag and offline clears it, each only if it is newer
    /// than what is known of the user; a kick-off never counts, for an offline follows it if the
    /// user is gone.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let known = self.users.get(&event.user_id);
        match known.map(|known| event.seq.cmp(&known.seq)) {
            Some(Ordering::Less) => return Applied::Older,
            Some(Ordering::Equal) => return Applied::Repeated,
            Some(Ordering::Greater) | None => {}
        }
        let conn_id = match event.kind {
            Kind::Online => Some(event.conn_id.clone()),
            Kind::Offline => None,
            // Its seq is not kept either, or an online from just before it would come too late.
            Kind::KickOff => return Applied::Unchanged,
        };
        let was_online = known.is_some_and(|known| known.conn_id.is_some());
        let changed = was_online != conn_id.is_some();
        self.users.insert(event.user_id.clone(), Latest { seq: event.seq, conn_id });
        if changed { Applied::Changed } else { Applied::Unchanged }
    }

    /// Whether the user is online; false for one that was never told of.
    pub fn is_online(&self, user_id: &str) -> bool {
        self.users.get(user_id).is_some_and(|known| known.conn_id.is_some())
    }

    /// Everyone who is online, sorted by user. Takes time for every user that is kept.
    pub fn online(&self) -> impl Iterator<Item = Present<'_>> {
        self.users.iter().filter_map(|(user_id, known)| {
            let conn_id = known.conn_id.as_deref()?;
            Some(Present { user_id, seq: known.seq, conn_id })
        })
    }

    /// Drops the offline users whose newest seq is below `seq`, and returns how many.
    ///
    /// Safe for anything that Herald no longer sends. As a seq is never below the unix milliseconds
    /// of its change, that is `now - retention`, in milliseconds (72 h unless configured); only a
    /// still older online that an operator replays by hand would then show.
    pub fn forget_offline_before(&mut self, seq: u64) -> usize {
        let before = self.users.len();
        self.users.retain(|_, known| known.conn_id.is_some() || known.seq >= seq);
        before - self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;

    fn event(kind: Kind, user_id: &str, seq: u64) -> Event {
        Event {
            kind,
            user_id: user_id.into(),
            seq,
            is_app_background: false,
            conn_id: format!("c{seq}"),
            operation_id: None,
            platform_id: None,
            platform: None,
            reason: None,
            collapsed: 0,
        }
    }

    /// `kind user seq` per line in, what it did and who is online afterwards out.
    fn check(story: &str, expected: Expect) {
        let mut view = View::default();
        let mut actual = String::new();
        for line in story.trim().lines() {
            let told = line.trim();
            let words: Vec<_> = told.split_whitespace().collect();
            let kind = match words[0] {
                "online" => Kind::Online,
                "offline" => Kind::Offline,
                "kick-off" => Kind::KickOff,
                other => panic!("{other}?"),
            };
            let applied = view.apply(&event(kind, words[1], words[2].parse().unwrap()));
            let online: Vec<_> =
                view.online().map(|p| format!("{}#{}", p.user_id, p.seq)).collect();
            writeln!(actual, "{told:<14} -> {applied:?} {}", online.join(" ")).unwrap();
        }
        expected.assert_eq(&actual.replace(" \n", "\n"));
    }

    #[test]
    fn the_newest_seq_of_a_user_counts() {
        check(
            "
            online ann 10
            online ann 10
            online bob 11
            online ann 14
            offline ann 13
            offline ann 15
            online ann 14
            offline ann 15
            offline cy 5
            online cy 4
            online cy 6
            offline bob 0
            ",
            expect![[r#"
                online ann 10  -> Changed ann#10
                online ann 10  -> Repeated ann#10
                online bob 11  -> Changed ann#10 bob#11
                online ann 14  -> Unchanged ann#14 bob#11
                offline ann 13 -> Older ann#14 bob#11
                offline ann 15 -> Changed bob#11
                online ann 14  -> Older bob#11
                offline ann 15 -> Repeated bob#11
                offline cy 5   -> Unchanged bob#11
                online cy 4    -> Older bob#11
                online cy 6    -> Changed bob#11 cy#6
                offline bob 0  -> Older bob#11 cy#6
            "#]],
        );
    }

    #[test]
    fn a_kick_off_neither_clears_nor_outdates() {
        check(
            "
            online ann 10
            kick-off ann 11
            kick-off ann 13
            online ann 12
            kick-off ann 13
            kick-off ann 5
            kick-off bob 7
            online bob 6
            ",
            expect![[r#"
                online ann 10  -> Changed ann#10
                kick-off ann 11 -> Unchanged ann#10
                kick-off ann 13 -> Unchanged ann#10
                online ann 12  -> Unchanged ann#12
                kick-off ann 13 -> Unchanged ann#12
                kick-off ann 5 -> Older ann#12
                kick-off bob 7 -> Unchanged ann#12
                online bob 6   -> Changed ann#12 bob#6
            "#]],
        );
    }

    #[test]
    fn the_smallest_seq_is_news_too() {
        let mut view = View::default();
        assert_eq!(view.apply(&event(Kind::Online, "ann", 0)), Applied::Changed);
        assert_eq!(view.apply(&event(Kind::Online, "ann", 0)), Applied::Repeated);
        let ann = Present { user_id: "ann", seq: 0, conn_id: "c0" };
        assert_eq!(view.online().collect::<Vec<_>>(), [ann]);
        assert!(view.is_online("ann") && !view.is_online("bob"));
    }

    #[test]
    fn only_offline_users_below_the_seq_are_forgotten() {
        let mut view = View::default();
        for (kind, user, seq) in [
            (Kind::Online, "here", 1),
            (Kind::Offline, "old", 9),
            (Kind::Offline, "at", 10),
            (Kind::Offline, "new", 11),
        ] {
            view.apply(&event(kind, user, seq));
        }
        assert_eq!(view.forget_offline_before(10), 1);
        assert_eq!(view.users.keys().collect::<Vec<_>>(), ["at", "here", "new"]);
    }

    /// Numbers that look random and are the same in every run (Knuth's MMIX constants).
    struct Lcg(u64);

    impl Lcg {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % n
        }
    }

    /// What happened to three users, seq by seq and with gaps, as Herald would tell it.
    fn history(random: &mut Lcg) -> Vec<Event> {
        let mut seqs = [0; 3];
        let length = 1 + random.below(20);
        let changes = (0..length).map(|_| {
            let user = random.below(3);
            seqs[user] += 1 + random.below(3) as u64;
            event(Kind::ALL[random.below(3)], ["ann", "bob", "cy"][user], seqs[user])
        });
        changes.collect()
    }

    /// Each event once to three times, in any order.
    fn delivery(history: &[Event], random: &mut Lcg) -> Vec<Event> {
        let mut told: Vec<_> = history.to_vec();
        for _ in 0..random.below(2 * history.len()) {
            told.push(history[random.below(history.len())].clone());
        }
        for last in (1..told.len()).rev() {
            told.swap(last, random.below(last + 1));
        }
        told
    }

    fn view_of(events: &[Event]) -> View {
        let mut view = View::default();
        for event in events {
            view.apply(event);
        }
        view
    }

    #[test]
    fn any_delivery_of_a_history_gives_the_same_view() {
        for seed in 0..2_000 {
            let random = &mut Lcg(seed);
            let history = history(random);
            let in_order = view_of(&history);
            for _ in 0..5 {
                let told = delivery(&history, random);
                assert_eq!(view_of(&told), in_order, "seed {seed}: {told:#?}");
            }
        }
    }

    #[test]
    fn the_view_in_order_is_each_users_last_word() {
        for seed in 0..2_000 {
            let history = history(&mut Lcg(seed));
            let view = view_of(&history);
            for user in ["ann", "bob", "cy"] {
                let mut words = history.iter().filter(|e| e.user_id == user);
                let last = words.rfind(|e| e.kind != Kind::KickOff);
                let expected = last.is_some_and(|e| e.kind == Kind::Online);
                assert_eq!(view.is_online(user), expected, "seed {seed}, {user}");
            }
        }
    }
}
