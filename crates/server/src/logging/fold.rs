//! Lines that repeat become one line with a count.
//!
//! Two kinds: the same line again (but for its time), and, of warnings and errors, a flood of lines
//! from one place in the code that differ in their fields only, such as an error for each user.

use crate::config::LogFormat;
use presence::Instant;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// What repeats within so long of the first is counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// How many lines of one place in the code are written in a window.
const OF_PLACE_MAX: u32 = 20;
/// How many different lines are remembered; of the rest it is not known that they repeat.
const LINES_MAX: usize = 128;
/// How many places in the code are remembered, for the same reason.
const PLACES_MAX: usize = 1_024;

/// What was written lately.
#[derive(Default)]
pub(super) struct Fold {
    /// In the order in which their windows end.
    lines: VecDeque<(u64, Repeated)>,
    places: HashMap<u64, Repeated>,
}

struct Repeated {
    until: Instant,
    written: u32,
    more: u64,
    /// The last one that was not written.
    text: Vec<u8>,
}

/// What takes the place of lines that repeat.
pub(super) struct Folded {
    text: Vec<u8>,
    more: u64,
}

impl Fold {
    /// Whether a line is to be written. If not, it is counted. `place` is where in the code it comes
    /// from; none: that does not matter.
    pub(super) fn is_news(
        &mut self,
        now: Instant,
        line: u64,
        place: Option<u64>,
        text: &[u8],
    ) -> bool {
        if let Some((_, repeated)) = self.lines.iter_mut().find(|(known, _)| *known == line) {
            repeated.count(text);
            return false;
        }
        if let Some(place) = place {
            if self.places.len() >= PLACES_MAX && !self.places.contains_key(&place) {
                return true;
            }
            let repeated = self.places.entry(place).or_insert_with(|| Repeated::new(now));
            if repeated.written >= OF_PLACE_MAX {
                repeated.count(text);
                return false;
            }
            repeated.written += 1;
        }
        if self.lines.len() < LINES_MAX || self.lines.front().is_some_and(|(_, r)| r.more == 0) {
            if self.lines.len() >= LINES_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back((line, Repeated::new(now)));
        }
        true
    }

    /// The counts of windows that are over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Folded> {
        let mut folded = Vec::new();
        while self.lines.front().is_some_and(|(_, repeated)| repeated.until <= now) {
            folded.extend(self.lines.pop_front().and_then(|(_, repeated)| repeated.folded()));
        }
        let over = self.places.extract_if(|_, repeated| repeated.until <= now);
        folded.extend(over.filter_map(|(_, repeated)| repeated.folded()));
        folded
    }

    /// All counts.
    pub(super) fn end(&mut self) -> Vec<Folded> {
        self.due(Instant(u64::MAX))
    }
}

impl Repeated {
    fn new(now: Instant) -> Repeated {
        Repeated { until: now + WINDOW, written: 0, more: 0, text: Vec::new() }
    }

    fn count(&mut self, text: &[u8]) {
        self.more += 1;
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    fn folded(self) -> Option<Folded> {
        (self.more > 0).then_some(Folded { text: self.text, more: self.more })
    }
}

impl Folded {
    /// The last of the lines, with how many there were beyond those that were written.
    pub(super) fn line(&self, format: LogFormat) -> Vec<u8> {
        let text = self.text.trim_ascii_end();
        match (format, text.strip_suffix(b"}")) {
            (LogFormat::Json, Some(fields)) => {
                [fields, format!(",\"repeated\":{}}}\n", self.more).as_bytes()].concat()
            }
            _ => [text, format!(" repeated={}\n", self.more).as_bytes()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes lines at their seconds, as `second place text`; shows what comes out.
    fn check(story: &str, format: LogFormat) -> String {
        let mut fold = Fold::default();
        let mut out = String::new();
        let mut write = |second: u64, text: &[u8]| {
            out += &format!("{second}s {}\n", String::from_utf8_lossy(text).trim_end());
        };
        for step in story.lines().map(str::trim).filter(|step| !step.is_empty()) {
            let mut words = step.splitn(3, ' ');
            let second: u64 = words.next().unwrap().parse().unwrap();
            let now = Instant(second * 1000);
            fold.due(now).iter().for_each(|folded| write(second, &folded.line(format)));
            let (place, text) = (words.next().unwrap(), words.next().unwrap_or_default());
            let line = crate::logging::hash(&text);
            if place != "-" && fold.is_news(now, line, place.parse().ok(), text.as_bytes()) {
                write(second, text.as_bytes());
            }
        }
        fold.end().iter().for_each(|folded| write(999, &folded.line(format)));
        out
    }

    #[test]
    fn a_line_that_repeats_is_written_once_and_then_its_count() {
        let story = "
            0 x a
            1 x a
            2 x b
            9 x a
            10 -
            10 x a
            12 x b
            13 x b
        ";
        let expected = "0s a\n2s b\n10s a repeated=2\n10s a\n12s b\n999s b repeated=1\n";
        assert_eq!(check(story, LogFormat::Pretty), expected);
    }

    #[test]
    fn a_flood_from_one_place_is_a_few_examples_and_a_count() {
        let line = |n: u32| format!("{} 7 user=u{n}\n", n / 100);
        let flood: String = (0..500).map(line).chain(["10 -".to_owned()]).collect();
        let out = check(&flood, LogFormat::Pretty);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[19..], ["0s user=u19", "10s user=u499 repeated=480"]);
        let elsewhere: String = (0..500).map(|n| format!("0 x user=u{n}\n")).collect();
        assert_eq!(check(&elsewhere, LogFormat::Pretty).lines().count(), 500, "they all differ");
    }

    #[test]
    fn a_count_is_a_field_of_the_json() {
        let story = "0 x {\"message\":\"a\"}\n1 x {\"message\":\"a\"}";
        let expected = "0s {\"message\":\"a\"}\n999s {\"message\":\"a\",\"repeated\":1}\n";
        assert_eq!(check(story, LogFormat::Json), expected);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_no_count_is_lost() {
        let different = (0..10 * LINES_MAX).map(|n| format!("0 x line {n}"));
        let counted = (0..LINES_MAX).flat_map(|n| vec![format!("1 x again {n}"); 2]);
        let more = (0..LINES_MAX).map(|n| format!("2 x more {n}"));
        let story: Vec<_> = different.chain(counted).chain(more).collect();
        let out = check(&story.join("\n"), LogFormat::Pretty);
        assert_eq!(out.matches("repeated=1").count(), LINES_MAX);
        assert_eq!(out.lines().count(), 10 * LINES_MAX + 2 * LINES_MAX + LINES_MAX);
    }
}
