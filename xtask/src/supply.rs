//! What the crates of the tree are, by `cargo deny` and the rules of `deny.toml`.
//!
//! Licences, sources, duplicates and banned crates are known from the tree itself. Advisories are a repository
//! that must be fetched: where that cannot be reached, they are not checked, and that is said.

use crate::{
    install,
    steps::{cargo, run},
};
use anyhow::Result;
use std::{path::PathBuf, process::Command};

/// From crates.io, built once.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

pub(crate) fn check() -> Result<()> {
    let program = program()?;
    let deny = |arguments: &[&str]| {
        let mut deny = Command::new(&program);
        deny.args(["--locked", "--all-features"]).args(arguments);
        deny
    };
    run(deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if run(deny(&["fetch", "db"])).is_err() {
        println!(
            "the advisories of RustSec cannot be fetched here, so the tree was not compared with them"
        );
        return Ok(());
    }
    run(deny(&["check", "--hide-inclusion-graph", "--disable-fetch", "advisories"]))
}

fn program() -> Result<PathBuf> {
    let folder = install::target().join("deny");
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install =
            cargo(&["install", CARGO_DENY, "--locked", "--debug", "--quiet", "--root"]);
        install.arg(&folder).env("CARGO_TARGET_DIR", folder.join("build"));
        run(install)?;
        std::fs::remove_dir_all(folder.join("build"))?;
    }
    Ok(program)
}
