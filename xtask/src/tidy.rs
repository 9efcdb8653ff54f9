//! What no compiler checks: headers, lengths, and who imports whom.

use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file is split before it gets longer.
const SOURCE_LINES_MAX: usize = 600;
const ARCHITECTURE_LINES_MAX: usize = 200;

/// A word, and the only files (beginnings of paths) that may hold it.
const ONLY_IN: [(&str, &[&str]); 4] = [
    ("reqwest::", &["crates/server/src/callbacks/http.rs", "crates/server/src/config/"]),
    ("rusqlite::", &["crates/store/src/sqlite", "crates/store/tests/"]),
    ("gateway::{", &["crates/server/src/running.rs", "crates/server/src/gateway"]),
    ("axum::", &["crates/server/", "crates/receiver/"]),
];

/// Words that name nothing, in names of files.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "core", "manager", "helper", "service"];

/// Fails with all that is untidy.
pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    for path in sources(Path::new("crates"))?.into_iter().chain(sources(Path::new("xtask"))?) {
        let text = fs::read_to_string(&path)?;
        problems.extend(problems_of(&path.display().to_string(), &text));
    }
    let architecture = fs::read_to_string("ARCHITECTURE.md")?.lines().count();
    if architecture > ARCHITECTURE_LINES_MAX {
        problems.push(format!("ARCHITECTURE.md has {architecture} lines"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.join("\n"))
}

fn problems_of(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(format!("{path}: begin with `//!`, what the file is and never does"));
    }
    let lines = text.lines().count();
    if lines > SOURCE_LINES_MAX && !path.contains("/tests/") {
        problems.push(format!("{path}: {lines} lines, split it"));
    }
    let name = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&name) {
        problems.push(format!("{path}: the name says nothing"));
    }
    for (word, allowed) in ONLY_IN {
        let here = allowed.iter().any(|allowed| path.starts_with(allowed));
        if !here && !path.starts_with("xtask/") && text.contains(word) {
            problems.push(format!("{path}: `{word}` belongs in {allowed:?} only"));
        }
    }
    problems
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_untidy_is_named() {
        let fine = "//! A room.\n";
        assert!(problems_of("crates/server/src/room.rs", fine).is_empty());
        for (path, text, expected) in [
            ("crates/server/src/room.rs", "use std;\n", "begin with"),
            ("crates/server/src/utils.rs", fine, "the name says nothing"),
            ("crates/server/src/room.rs", "//! x\nuse reqwest::Client;", "belongs in"),
            ("crates/wire/src/room.rs", "//! x\nuse axum::Router;", "belongs in"),
        ] {
            let problems = problems_of(path, text).join("\n");
            assert!(problems.contains(expected), "{problems:?}");
        }
        let long = format!("//! x\n{}", "\n".repeat(SOURCE_LINES_MAX));
        assert!(problems_of("crates/server/src/room.rs", &long)[0].contains("split it"));
    }
}
