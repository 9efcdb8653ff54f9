//! The real OpenIM SDKs against the real program: installs Node if need be, builds, runs.

use crate::steps::{cargo, run};
use anyhow::{Result, ensure};
use std::{path::Path, process::Command};

/// The JS SDK in Node.
pub(crate) fn js_sdk() -> Result<()> {
    if !has("node") || !has("npm") {
        let mut update = Command::new("apt-get");
        update.args(["update", "-qq"]);
        run(update)?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "nodejs", "npm"]);
        run(install)?;
    }
    run(cargo(&["build", "-p", "herald-server", "--locked", "--quiet"]))?;
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir("e2e");
    run(install)?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or("target".into());
    let binary = Path::new(&target).join("debug/herald").canonicalize()?;
    ensure!(binary.exists(), "{} was not built", binary.display());
    let mut test = Command::new("npm");
    test.args(["test", "--silent"]).current_dir("e2e").env("HERALD_BIN", binary);
    run(test)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
