//! Reads the file: its keys by the table, its mistakes by line.

use super::{
    Config, Origin,
    draft::Draft,
    keys::{KEYS, Written, children},
    nearest::nearest,
    setting::quoted,
};
use std::{collections::BTreeMap, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reads as much of the file as can be understood, and notes the rest as errors.
pub(super) fn read(draft: &mut Draft, name: &str, text: &str) {
    let (table, mistakes) = DeTable::parse_recoverable(text);
    let mut file = File { draft, name, text, mistakes: BTreeMap::new(), sure_until: text.len() };
    let mut mistakes: Vec<_> =
        mistakes.iter().map(|m| (m.span().unwrap_or_default(), m.message())).collect();
    mistakes.sort_by_key(|(span, _)| span.start);
    for (span, message) in mistakes {
        file.note_mistake(span, message);
    }
    file.read_section("", table.get_ref());
    file.report_mistakes();
}

struct File<'a> {
    draft: &'a mut Draft,
    name: &'a str,
    text: &'a str,
    /// Lines that are no TOML, where and why. What the parser guesses of them is not to be used.
    mistakes: BTreeMap<usize, (usize, String)>,
    /// From there on it is not known what belongs to which section.
    sure_until: usize,
}

impl<'a> File<'a> {
    /// Keeps the first mistake of a line; those after it tend to follow from it.
    fn note_mistake(&mut self, span: Range<usize>, message: &str) {
        let is_duplicate = message == "duplicate key";
        let is_in_value = self.line_until(span.start).contains('=');
        if !is_duplicate && !is_in_value {
            self.sure_until = self.sure_until.min(span.start);
        }
        let (line, column) = self.position(span.start);
        let text = match is_duplicate {
            true => format!("{message} {}", self.written(span)),
            false => message.to_owned(),
        };
        self.mistakes.entry(line).or_insert((column, text));
    }

    fn report_mistakes(self) {
        for (line, (column, text)) in &self.mistakes {
            self.draft.report_syntax(self.origin(*line), *column, text.clone());
        }
    }

    fn read_section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = self.position(name.span().start).0;
            let name_end = name.span().end;
            let name = as_written(name.get_ref());
            if value.span().end.max(name_end) > self.sure_until {
                continue;
            }
            match self.mistakes.get_mut(&line) {
                Some((_, mistake)) if !value.get_ref().is_table() => {
                    explain(mistake, &joined(section, &name), value.get_ref());
                }
                _ => self.read_entry(section, &name, value, line),
            }
        }
    }

    fn read_entry(&mut self, section: &str, name: &str, value: &Spanned<DeValue<'_>>, line: usize) {
        let path = joined(section, name);
        let origin = self.origin(line);
        let table = value.get_ref().as_table();
        if let Some(key) = KEYS.iter().find(|key| key.path == path) {
            let text = if table.is_some() { "{…}" } else { self.written(value.span()) };
            self.draft.set(key, origin, &Written::Toml(value.get_ref()), text);
        } else if children(&path).is_empty() {
            let what = if table.is_some() { "section" } else { "key" };
            let text = format!("{path}: unknown {what}; {}", hint(section, name));
            self.draft.report(origin, text);
        } else if let Some(table) = table {
            self.read_section(&path, table);
        } else {
            self.draft.report(origin, format!("{path}: is a section, written as [{path}]"));
        }
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { name: self.name.to_owned(), line }
    }

    fn written(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// Line and column of a byte, counted from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let lines_before = self.written(0..at).matches('\n').count();
        (lines_before + 1, self.line_until(at).chars().count() + 1)
    }

    fn line_until(&self, at: usize) -> &'a str {
        self.written(0..at).rsplit('\n').next().unwrap_or_default()
    }
}

/// Says whose value is no TOML, and what it must be where the parser only sees a strange word.
fn explain(mistake: &mut String, path: &str, value: &DeValue<'_>) {
    const STRANGE_WORD: [&str; 3] =
        ["string values must be quoted", "invalid float", "invalid boolean"];
    let Some(key) = KEYS.iter().find(|key| key.path == path) else { return };
    if STRANGE_WORD.iter().any(|start| mistake.starts_with(start)) {
        let wrong = key.read(&mut Config::default(), &Written::Toml(value)).err();
        *mistake = wrong.unwrap_or_else(|| "a text must be in quotes".to_owned());
    }
    *mistake = format!("{path}: {mistake}");
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

fn joined(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// A name as TOML writes it, so that `"a.b"` is never taken for `a.b`.
pub(super) fn as_written(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let bare = !name.is_empty() && name.chars().all(is_bare);
    if bare { name.to_owned() } else { quoted(name) }
}
