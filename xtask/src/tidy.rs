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
const ONLY_IN: [(&str, &[&str]); 6] = [
    // Who speaks to an App does so with bounds, without proxies, and follows no redirect.
    (
        "client::conn",
        &["crates/server/src/callbacks/http", "crates/server/src/conformance/line.rs"],
    ),
    (
        "rusqlite::",
        &[
            "crates/store/src/sqlite",
            "crates/store/tests/",
            "crates/server/tests/store_files.rs",
            "crates/server/tests/support/file.rs",
            "crates/receiver/src/sql.rs",
            RECEIVER_TESTS,
        ],
    ),
    ("gateway::{", &["crates/server/src/running.rs", "crates/server/src/gateway"]),
    ("axum::", &["crates/server/", "crates/receiver/"]),
    ("simulator::", &["crates/simulator/"]),
    // A signal is a system call; the program is missing on small machines.
    ("Command::new(\"kill\")", &[]),
];

const RECEIVER_TESTS: &str = "crates/receiver/tests/";

/// Words that name nothing, in names of files.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "core", "manager", "helper", "service"];

/// A table whose last column names tests.
const TESTS_ARE_NAMED_IN: &str = "docs/openim-compatibility.md";

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
    let tests = fs::read_to_string(TESTS_ARE_NAMED_IN)?;
    let code = sources(Path::new("crates"))?
        .iter()
        .map(fs::read_to_string)
        .collect::<Result<Vec<_>, _>>()?;
    problems.extend(missing_tests(&tests, &code.concat()));
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

/// The tests that a document names in the last column of a table, and that are not there.
fn missing_tests(document: &str, code: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with("| D"));
    let columns = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let pieces = columns.flat_map(|column| column.split('`').enumerate());
    let quoted = pieces.filter(|(at, _)| at % 2 == 1).map(|(_, piece)| piece);
    let named = quoted.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let missing = named.filter(|name| !code.contains(&format!("fn {name}(")));
    missing.map(|name| format!("{TESTS_ARE_NAMED_IN}: there is no test {name}")).collect()
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
    fn a_test_that_is_named_and_not_there_is_told() {
        let document =
            "| D1 `a` | `b` | `is_there`, `is_not`, `js` of `tests/a.rs` |\n| D2 | x | – |";
        let missing = missing_tests(document, "fn is_there() {} async fn js() {}");
        assert_eq!(missing, ["docs/openim-compatibility.md: there is no test is_not"]);
    }

    #[test]
    fn what_is_untidy_is_named() {
        let fine = "//! A room.\n";
        assert!(problems_of("crates/server/src/room.rs", fine).is_empty());
        for (path, text, expected) in [
            ("crates/server/src/room.rs", "use std;\n", "begin with"),
            ("crates/server/src/utils.rs", fine, "the name says nothing"),
            ("crates/server/src/room.rs", "//! x\nuse hyper::client::conn::http1;", "belongs in"),
            ("crates/wire/src/room.rs", "//! x\nuse axum::Router;", "belongs in"),
        ] {
            let problems = problems_of(path, text).join("\n");
            assert!(problems.contains(expected), "{problems:?}");
        }
        let long = format!("//! x\n{}", "\n".repeat(SOURCE_LINES_MAX));
        assert!(problems_of("crates/server/src/room.rs", &long)[0].contains("split it"));
    }
}
