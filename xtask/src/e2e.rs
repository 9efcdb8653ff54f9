//! The real OpenIM SDKs against the real program: installs Node and Chromium if need be, builds,
//! runs.

use crate::steps::{cargo, run};
use anyhow::{Result, ensure};
use std::{path::Path, process::Command};

/// What the tests run on: a program, and the Debian package that has it.
const TOOLS: [(&str, &str); 3] = [("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")];

/// All scenarios of `e2e/` with each set-up.
pub(crate) fn real_sdks() -> Result<()> {
    install_missing()?;
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

fn install_missing() -> Result<()> {
    let missing = TOOLS.iter().filter(|(program, _)| !has(program));
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
