//! What a step needs and a clean machine lacks.

use crate::steps::run;
use anyhow::Result;
use std::{env, path::PathBuf, process::Command};

/// Installs packages of the system.
pub(crate) fn packages(names: &[&str]) -> Result<()> {
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(names);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
}

/// What the Apps of `examples/` run on.
pub(crate) fn languages() -> Result<()> {
    let all = [
        ("python3", "--version", "python3"),
        ("node", "--version", "nodejs"),
        ("go", "version", "golang-go"),
    ];
    let missing = all.into_iter().filter(|(program, version, _)| !runs(program, &[version]));
    let missing: Vec<_> = missing.map(|(_, _, package)| package).collect();
    if missing.is_empty() { Ok(()) } else { packages(&missing) }
}

/// Whether a program is there and runs with these arguments.
pub(crate) fn runs(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// Where builds and their like go.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()).into()
}
