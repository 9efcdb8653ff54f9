//! What the steps need, in one table: how each thing is found, and where it comes from if it is
//! missing.
//!
//! [`ensure`] looks for all of it before the first step, says what is missing and for which step,
//! and installs it.

use crate::{install, steps::Step};
use anyhow::{Context, Result};
use std::{ffi::OsString, sync::OnceLock};

/// Something that a step needs and a clean machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Rustfmt,
    Clippy,
    CCompiler,
    CxxCompiler,
    Make,
    Python,
    Node,
    Postgresql,
    Setpriv,
    Chromium,
    Go,
    Java,
    Kosoku,
}

/// A row of the table.
struct Row {
    need: Need,
    what: &'static str,
    find: fn() -> Result<String>,
    source: Source,
}

/// Where something comes from.
enum Source {
    /// Packages of Debian, by apt-get.
    Debian(&'static [&'static str]),
    /// A component of the Rust toolchain, by rustup.
    Rustup(&'static str),
    /// A package of PyPI, below the target folder. It needs Python.
    Pypi(&'static str, fn() -> Result<()>),
}

use Source::{Debian, Pypi, Rustup};

/// In the order in which they are installed.
const TABLE: &[Row] = &[
    Row {
        need: Need::Rustfmt,
        what: "rustfmt",
        find: || install::first_line("cargo", &["fmt", "--version"]),
        source: Rustup("rustfmt"),
    },
    Row {
        need: Need::Clippy,
        what: "clippy",
        find: || install::first_line("cargo", &["clippy", "--version"]),
        source: Rustup("clippy"),
    },
    Row {
        need: Need::CCompiler,
        what: "a C compiler",
        find: || install::first_line("cc", &["--version"]),
        source: Debian(&["gcc", "libc6-dev"]),
    },
    Row {
        need: Need::CxxCompiler,
        what: "a C++ compiler",
        find: || install::first_line("c++", &["--version"]),
        source: Debian(&["g++"]),
    },
    Row {
        need: Need::Make,
        what: "make",
        find: || install::first_line("make", &["--version"]),
        source: Debian(&["make"]),
    },
    Row {
        need: Need::Python,
        what: "Python 3 with venv",
        find: install::find_python,
        source: Debian(&["python3", "python3-venv"]),
    },
    Row {
        need: Need::Node,
        what: "Node.js 22.12 or newer, with npm",
        find: install::find_node,
        source: Pypi(install::NODE, install::node),
    },
    Row {
        need: Need::Kosoku,
        what: "kosoku",
        find: install::find_kosoku,
        source: Pypi(install::KOSOKU, install::kosoku_package),
    },
    Row {
        need: Need::Postgresql,
        what: "PostgreSQL's server",
        find: install::find_postgresql,
        source: Debian(&["postgresql"]),
    },
    Row {
        need: Need::Setpriv,
        what: "setpriv",
        find: || install::first_line("setpriv", &["--version"]),
        source: Debian(&["util-linux"]),
    },
    Row {
        need: Need::Chromium,
        what: "Chromium",
        find: install::find_chromium,
        source: Debian(&["chromium"]),
    },
    Row {
        need: Need::Go,
        what: "Go",
        find: || install::first_line("go", &["version"]),
        source: Debian(&["golang-go"]),
    },
    Row {
        need: Need::Java,
        what: "Java with its compiler",
        find: || install::first_line("javac", &["--version"]),
        source: Debian(&["default-jdk-headless"]),
    },
];

static PATH: OnceLock<OsString> = OnceLock::new();

/// The search path of every program that a step starts.
pub(crate) fn path() -> OsString {
    PATH.get().cloned().or_else(|| std::env::var_os("PATH")).unwrap_or_default()
}

/// Finds what these steps need, and installs what is missing.
pub(crate) fn ensure(steps: &[&Step]) -> Result<()> {
    let wanted = TABLE.iter().filter(|row| !users(steps, row).is_empty());
    // What comes from PyPI needs Python to get here.
    let missing: Vec<&Row> = wanted.filter(|row| is_missing(row, steps)).collect();
    let python = TABLE.iter().filter(|row| row.need == Need::Python);
    let from_pypi = missing.iter().any(|row| matches!(row.source, Pypi(..)));
    let python = python.filter(|row| from_pypi && users(steps, row).is_empty());
    let missing: Vec<&Row> = python.filter(|row| is_missing(row, steps)).chain(missing).collect();
    install_missing(&missing)?;
    for row in &missing {
        (row.find)().with_context(|| format!("{} is still missing", row.what))?;
    }
    if !users(steps, row_of(Need::Node)).is_empty() {
        PATH.get_or_init(install::path_with_node);
    }
    Ok(())
}

fn install_missing(missing: &[&Row]) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|row| if let Debian(packages) = row.source { Some(packages) } else { None })
        .flatten()
        .copied()
        .collect();
    if !packages.is_empty() {
        install::debian(&packages)?;
    }
    for row in missing {
        match row.source {
            Debian(_) => {}
            Rustup(component) => install::component(component)?,
            Pypi(_, get) => get()?,
        }
    }
    Ok(())
}

/// Says so, for which steps it is needed, and what brings it.
fn is_missing(row: &Row, steps: &[&Step]) -> bool {
    let Err(error) = (row.find)() else { return false };
    let users = users(steps, row).join(", ");
    let source = match row.source {
        Debian(packages) => format!("apt-get install {} (needs root)", packages.join(" ")),
        Rustup(component) => format!("rustup component add {component}"),
        Pypi(package, _) => format!("pip install {package}, in {}", install::target().display()),
    };
    println!("missing: {} ({error:#}), for {users}; it comes by {source}", row.what);
    true
}

/// The steps that need it.
fn users(steps: &[&Step], row: &Row) -> Vec<&'static str> {
    steps.iter().filter(|step| step.needs.contains(&row.need)).map(|step| step.name).collect()
}

fn row_of(need: Need) -> &'static Row {
    TABLE.iter().find(|row| row.need == need).expect("each need has a row, says a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::STEPS;

    #[test]
    fn each_need_of_a_step_has_one_row() {
        for step in STEPS {
            for need in step.needs {
                let rows = TABLE.iter().filter(|row| row.need == *need).count();
                assert_eq!(rows, 1, "{}: {need:?}", step.name);
            }
        }
    }

    #[test]
    fn each_row_is_needed_by_some_step() {
        let steps: Vec<&Step> = STEPS.iter().collect();
        for row in TABLE {
            assert!(!users(&steps, row).is_empty(), "{}", row.what);
        }
    }
}
