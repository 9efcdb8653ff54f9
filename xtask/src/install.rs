//! What a step needs and a clean machine lacks.

use crate::steps::run;
use anyhow::Result;
use std::{env, fs, path::PathBuf, process::Command};

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

/// What the Apps of `examples/` run on, and the database of the receiver's tests.
pub(crate) fn languages() -> Result<()> {
    let all = [
        ("python3", runs("python3", &["--version"])),
        ("nodejs", runs("node", &["--version"])),
        ("golang-go", runs("go", &["version"])),
        ("default-jdk-headless", runs("javac", &["--version"])),
        ("postgresql", has_postgresql()),
    ];
    let missing = all.into_iter().filter(|(_, is_there)| !is_there);
    let missing: Vec<_> = missing.map(|(package, _)| package).collect();
    if missing.is_empty() { Ok(()) } else { packages(&missing) }
}

/// Debian keeps the server out of the path, in a folder of its version.
fn has_postgresql() -> bool {
    let mut versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.any(|version| version.path().join("bin/initdb").exists()) || runs("initdb", &["-V"])
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
