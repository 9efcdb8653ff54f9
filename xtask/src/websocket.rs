//! The Autobahn cases against the gateway's sockets: installs kosoku, which has them, and runs the
//! test that drives it.

use crate::{
    install::{self, packages, runs},
    steps::{cargo, run},
};
use anyhow::{Context, Result, ensure};
use std::{path::PathBuf, process::Command};

const KOSOKU: &str = "kosoku==0.1.0";
const TEST: &str = "gateway::conformance::every_autobahn_case_within_the_frame_limit_passes";

/// That test alone, with how many cases passed.
pub(crate) fn conformance() -> Result<()> {
    let kosoku = kosoku()?;
    let mut test = cargo(&["test", "-p", "herald-server", "--lib", "--locked", "--quiet", "--"]);
    test.args(["--exact", "--nocapture", TEST]).env("KOSOKU", kosoku);
    let output = test.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}\n{}", said.trim(), String::from_utf8_lossy(&output.stderr).trim());
    ensure!(output.status.success(), "not all cases passed");
    // A test that has another name by now runs nothing and passes.
    ensure!(said.contains("0 failed, "), "{TEST} was not run");
    Ok(())
}

/// The program, in a folder of its own below `target`; installed if need be.
pub(crate) fn kosoku() -> Result<PathBuf> {
    let folder = install::target().join(KOSOKU);
    let program = folder.join("bin/kosoku");
    if program.exists() {
        return Ok(program.canonicalize()?);
    }
    if !runs("python3", &["-c", "import ensurepip"]) {
        packages(&["python3", "python3-venv"])?;
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    run(venv)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", KOSOKU]);
    run(pip).with_context(|| format!("{KOSOKU} cannot be installed"))?;
    Ok(program.canonicalize()?)
}
