//! Reads the file: its keys by the table, its mistakes by line.

use super::{
    Origin,
    draft::Draft,
    keys::{KEYS, Written, children},
    nearest::nearest,
    setting::quoted,
};
use std::{collections::BTreeSet, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reads as much of the file as can be understood, and notes the rest as errors.
pub(super) fn read(draft: &mut Draft, name: &str, text: &str) {
    let (table, mistakes) = DeTable::parse_recoverable(text);
    let mut file = File { draft, name, text, lines_misread: BTreeSet::new() };
    let mut mistakes: Vec<_> =
        mistakes.iter().map(|m| (m.span().unwrap_or_default(), m.message())).collect();
    mistakes.sort_by_key(|(span, _)| span.start);
    for (span, message) in mistakes {
        file.report_mistake(span, message);
    }
    file.read_section("", table.get_ref());
}

struct File<'a> {
    draft: &'a mut Draft,
    name: &'a str,
    text: &'a str,
    /// Lines that are no TOML: what is guessed of them is not to be believed.
    lines_misread: BTreeSet<usize>,
}

impl File<'_> {
    /// Tells the first mistake of a line; those after it tend to follow from it.
    fn report_mistake(&mut self, span: Range<usize>, message: &str) {
        let (line, column) = self.position(span.start);
        if self.lines_misread.insert(line) {
            let text = match message {
                "duplicate key" => format!("duplicate key {}", &self.text[span]),
                _ => message.to_owned(),
            };
            self.draft.report_syntax(self.origin(line), column, text);
        }
    }

    fn read_section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = self.position(name.span().start).0;
            if !self.lines_misread.contains(&line) {
                self.read_entry(section, &as_written(name.get_ref()), value, line);
            }
        }
    }

    fn read_entry(&mut self, section: &str, name: &str, value: &Spanned<DeValue<'_>>, line: usize) {
        let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        let origin = self.origin(line);
        let key = KEYS.iter().find(|key| key.path == path);
        match (key, value.get_ref().as_table()) {
            (Some(key), None) => {
                let written = Written::Toml(value.get_ref());
                self.draft.set(key, origin, &written, &self.text[value.span()]);
            }
            (Some(key), Some(_)) => self.draft.set_nothing(key, origin, "is a key, not a section"),
            (None, Some(table)) if is_section(&path) => self.read_section(&path, table),
            (None, None) if is_section(&path) => {
                self.draft.report(origin, format!("{path}: is a section, written as [{path}]"));
            }
            (None, table) => {
                let what = if table.is_some() { "section" } else { "key" };
                let hint = hint(section, name);
                self.draft.report(origin, format!("{path}: unknown {what}; {hint}"));
            }
        }
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { name: self.name.to_owned(), line }
    }

    /// Line and column of a byte, counted from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

fn is_section(path: &str) -> bool {
    !children(path).is_empty()
}

/// What may have been meant: a name beside it, or that very name in another section.
fn hint(section: &str, name: &str) -> String {
    let here = children(section);
    let elsewhere = || KEYS.iter().find(|key| key.place().1 == name).map(|key| key.path);
    match nearest(name, here.iter().copied()).or_else(elsewhere) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("what there is: {}", here.join(", ")),
    }
}

/// A name as TOML writes it, so that `"a.b"` is never taken for `a.b`.
fn as_written(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let bare = !name.is_empty() && name.chars().all(is_bare);
    if bare { name.to_owned() } else { quoted(name) }
}
