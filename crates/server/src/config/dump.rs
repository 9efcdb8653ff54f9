//! The effective configuration as a file, with where each value came from.

use super::{
    Config, Origin, Origins,
    keys::{ENDPOINTS, KEYS, Key},
    section_of,
    setting::quoted,
};
use std::fmt::Write as _;

/// Every key with its value, secrets masked, and a comment that says who chose it.
pub fn dump(config: &Config, origins: &Origins) -> String {
    let sections = KEYS.chunk_by(|a, b| a.place().0 == b.place().0).map(|keys| {
        let line = |key: &Key| (key.place().1, key.show(config), origins.of(key.path));
        section(&format!("[{}]", keys[0].place().0), keys.iter().map(line))
    });
    let endpoints = config.further_endpoints.iter().map(|endpoint| {
        let called = section_of(&endpoint.name);
        let whole = Config { callbacks: endpoint.callbacks.clone(), ..Config::default() };
        let keys = KEYS.iter().filter(|key| key.is_of_endpoint()).map(|key| {
            let name = &key.path["callbacks.".len()..];
            (name, key.show(&whole), origins.of(&format!("{called}.{name}")))
        });
        let name = ("name", quoted(&endpoint.name), origins.of(&format!("{called}.name")));
        section(&format!("[[{ENDPOINTS}]]"), std::iter::once(name).chain(keys))
    });
    sections.chain(endpoints).collect::<Vec<_>>().join("\n")
}

fn section<'a>(header: &str, lines: impl Iterator<Item = (&'a str, String, &'a Origin)>) -> String {
    let lines = lines.map(|(name, value, origin)| (format!("{name} = {value}"), origin));
    let lines: Vec<_> = lines.collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let mut text = format!("{header}\n");
    for (line, origin) in lines {
        writeln!(text, "{line:width$}  # {origin}").expect("a string takes any text");
    }
    text
}
