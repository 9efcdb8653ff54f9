//! The real OpenIM SDKs against the real program: installs Node and Chromium if need be, builds,
//! runs.

use crate::{
    install,
    steps::{cargo, run},
};
use anyhow::{Result, ensure};
use std::process::Command;

/// What the tests run on: a program, and the Debian package that has it.
const TOOLS: [(&str, &str); 3] = [("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")];

/// All scenarios of `e2e/` with each set-up.
pub(crate) fn real_sdks() -> Result<()> {
    let missing = TOOLS.iter().filter(|(program, _)| !install::runs(program, &["--version"]));
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        install::packages(&packages)?;
    }
    run(cargo(&["build", "-p", "herald-server", "--locked", "--quiet"]))?;
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir("e2e");
    run(install)?;
    let binary = install::target().join("debug/herald").canonicalize()?;
    ensure!(binary.exists(), "{} was not built", binary.display());
    let mut test = Command::new("npm");
    test.args(["test", "--silent"]).current_dir("e2e").env("HERALD_BIN", binary);
    run(test)
}
