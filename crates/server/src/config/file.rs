//! Reads the file: its keys by the table, its mistakes by line. Also TOML from elsewhere.

use super::{
    Config, Origin,
    checks::endpoint_name,
    draft::Draft,
    keys::{ENDPOINTS, KEYS, Key, Written, children},
    nearest::nearest,
    section_of,
    setting::quoted,
};
use std::{collections::BTreeMap, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// How many further endpoints there may be, which with that of `[callbacks]` are 16.
const ENDPOINTS_MAX: usize = 15;

/// Where each of them has its name, as the table would call it.
const NAME: &str = "callbacks.name";

/// Reads as much of the file as can be understood, and notes the rest as errors.
pub(super) fn read(draft: &mut Draft, name: &str, text: &str) {
    let (table, mistakes) = DeTable::parse_recoverable(text);
    let mut file = File::new(draft, Source::File(name), text);
    let mut mistakes: Vec<_> =
        mistakes.iter().map(|m| (m.span().unwrap_or_default(), m.message())).collect();
    mistakes.sort_by_key(|(span, _)| span.start);
    for (span, message) in mistakes {
        file.note_mistake(span, message);
    }
    file.read_section("", table.get_ref());
    file.report_mistakes();
}

/// Reads a list of endpoints that a variable of the environment holds.
pub(super) fn read_endpoints(draft: &mut Draft, variable: &str, text: &str) {
    let mut file = File::new(draft, Source::Variable(variable), text);
    let origin = file.origin(1);
    match DeValue::parse(text) {
        Ok(list) => file.read_endpoints(&list, origin),
        Err(error) => {
            let example = "expected a list such as [{ name = \"audit\", url = \"https://…\" }]";
            file.draft.report(origin, format!("{ENDPOINTS}: {example}; {}", error.message()));
        }
    }
}

enum Source<'a> {
    File(&'a str),
    Variable(&'a str),
}

struct File<'a> {
    draft: &'a mut Draft,
    source: Source<'a>,
    text: &'a str,
    /// Lines that are no TOML, where and why. What the parser guesses of them is not to be used.
    mistakes: BTreeMap<usize, (usize, String)>,
    /// From there on it is not known what belongs to which section.
    sure_until: usize,
}

impl<'a> File<'a> {
    fn new(draft: &'a mut Draft, source: Source<'a>, text: &'a str) -> File<'a> {
        File { draft, source, text, mistakes: BTreeMap::new(), sure_until: text.len() }
    }

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
                    let path = joined(section, &name);
                    explain(mistake, &path, &self.draft.called(&path), value.get_ref());
                }
                _ => self.read_entry(section, &name, value, line),
            }
        }
    }

    fn read_entry(&mut self, section: &str, name: &str, value: &Spanned<DeValue<'_>>, line: usize) {
        let path = joined(section, name);
        let origin = self.origin(line);
        let table = value.get_ref().as_table();
        let is_further = self.draft.is_of_endpoint();
        if path == ENDPOINTS && !is_further {
            self.read_endpoints(value, origin);
        } else if path == NAME && is_further {
            // Read before all else, because messages need it.
        } else if let Some(key) = KEYS.iter().find(|key| key.path == path) {
            if key.of_all && is_further {
                let text = format!(
                    "{}: is for all endpoints together; write it under [{}]",
                    self.draft.called(&path),
                    key.place().0
                );
                return self.draft.report(origin, text);
            }
            let text = if table.is_some() { "{…}" } else { self.written(value.span()) };
            self.draft.set(key, origin, &Written::Toml(value.get_ref()), text);
        } else if children(KEYS.iter(), &path).is_empty() {
            let what = if table.is_some() { "section" } else { "key" };
            let called = self.draft.called(&path);
            let text = format!("{called}: unknown {what}; {}", self.hint(section, name));
            self.draft.report(origin, text);
        } else if let Some(table) = table {
            self.read_section(&path, table);
        } else {
            let header =
                if is_further { path.replacen("callbacks", ENDPOINTS, 1) } else { path.clone() };
            let called = self.draft.called(&path);
            self.draft.report(origin, format!("{called}: is a section, written as [{header}]"));
        }
    }

    /// Those of a source take the place of those of the source before it.
    fn read_endpoints(&mut self, list: &Spanned<DeValue<'_>>, origin: Origin) {
        self.draft.drop_endpoints();
        let Some(list) = list.get_ref().as_array() else {
            let text = format!("{ENDPOINTS}: is a list; write [[{ENDPOINTS}]] above each of them");
            return self.draft.report(origin, text);
        };
        for (at, endpoint) in list.iter().enumerate() {
            let origin = self.origin(self.position(endpoint.span().start).0);
            if at == ENDPOINTS_MAX {
                let text = format!(
                    "{ENDPOINTS}: must be at most {ENDPOINTS_MAX}, beside that of [callbacks]"
                );
                return self.draft.report(origin, text);
            }
            match endpoint.get_ref().as_table() {
                Some(table) => self.read_endpoint(at, table, origin),
                None => {
                    let text = format!("{ENDPOINTS}[{at}]: must be a table with a name and a url");
                    self.draft.report(origin, text);
                }
            }
        }
    }

    fn read_endpoint(&mut self, at: usize, table: &DeTable<'_>, origin: Origin) {
        let name = self.name_of_endpoint(at, table, &origin);
        let section = name.as_deref().map_or_else(|| format!("{ENDPOINTS}[{at}]"), section_of);
        let mut endpoint = Draft::of_endpoint(name.unwrap_or_default(), section, origin);
        std::mem::swap(self.draft, &mut endpoint);
        self.read_section("callbacks", table);
        std::mem::swap(self.draft, &mut endpoint);
        self.draft.endpoints.push(endpoint);
    }

    /// None if it has no good one, which is told.
    fn name_of_endpoint(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        origin: &Origin,
    ) -> Option<String> {
        let path = format!("{ENDPOINTS}[{at}].name");
        let Some(value) = table.get("name") else {
            // It may stand where the text is no TOML.
            if self.mistakes.is_empty() {
                let text = format!("{path}: missing; write one, as name = \"audit\"");
                self.draft.report(origin.clone(), text);
            }
            return None;
        };
        let line = self.position(value.span().start).0;
        if self.mistakes.contains_key(&line) || value.span().end > self.sure_until {
            return None;
        }
        let name = value.get_ref().as_str();
        let checked = match name {
            None => Err("expected a text in quotes".to_owned()),
            Some(name) if self.draft.has_endpoint(name) => {
                Err("is the name of another endpoint already".to_owned())
            }
            Some(name) => endpoint_name(name),
        };
        if let Err(wrong) = checked {
            let origin = self.origin(line);
            self.draft.refuse_written(origin, &path, self.written(value.span()), &wrong);
            return None;
        }
        name.map(str::to_owned)
    }

    /// What may have been meant: a name beside it, or that very name in another section.
    fn hint(&self, section: &str, name: &str) -> String {
        let mut here = children(self.draft.keys(), section);
        if section == "callbacks" {
            here.push(if self.draft.is_of_endpoint() { "name" } else { "endpoints" });
        }
        let elsewhere = || self.draft.keys().find(|key| key.place().1 == name).map(|key| key.path);
        match nearest(name, here.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => match elsewhere() {
                Some(path) => format!("did you mean {}?", self.draft.called(path)),
                None => format!("what there is: {}", here.join(", ")),
            },
        }
    }

    fn origin(&self, line: usize) -> Origin {
        match self.source {
            Source::File(name) => Origin::File { name: name.to_owned(), line },
            Source::Variable(name) => Origin::Environment(name.to_owned()),
        }
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
fn explain(mistake: &mut String, path: &str, called: &str, value: &DeValue<'_>) {
    const STRANGE_WORD: [&str; 3] =
        ["string values must be quoted", "invalid float", "invalid boolean"];
    let key = KEYS.iter().find(|key| key.path == path);
    if key.is_none() && path != NAME {
        return;
    }
    if STRANGE_WORD.iter().any(|start| mistake.starts_with(start)) {
        let read = |key: &Key| key.read(&mut Config::default(), &Written::Toml(value));
        let wrong = key.and_then(|key| read(key).err());
        *mistake = wrong.unwrap_or_else(|| "a text must be in quotes".to_owned());
    }
    *mistake = format!("{called}: {mistake}");
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
