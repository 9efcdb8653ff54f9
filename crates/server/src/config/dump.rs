//! The effective configuration as a file, with where each value came from.

use super::{
    Config, Origins,
    keys::{KEYS, Key},
};
use std::fmt::Write as _;

/// Every key with its value, secrets masked, and a comment that says who chose it.
pub fn dump(config: &Config, origins: &Origins) -> String {
    let sections = KEYS.chunk_by(|a, b| a.place().0 == b.place().0);
    sections.map(|keys| section(keys, config, origins)).collect::<Vec<_>>().join("\n")
}

fn section(keys: &[Key], config: &Config, origins: &Origins) -> String {
    let line = |key: &Key| format!("{} = {}", key.place().1, key.show(config));
    let width = keys.iter().map(|key| line(key).chars().count()).max().unwrap_or_default();
    let mut text = format!("[{}]\n", keys[0].place().0);
    for key in keys {
        let origin = origins.of(key.path);
        writeln!(text, "{:width$}  # {origin}", line(key)).expect("a string takes any text");
    }
    text
}
