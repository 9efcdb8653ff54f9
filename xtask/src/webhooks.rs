//! The reference verifiers of Standard Webhooks, npm's and PyPI's, against what Herald signs.
//!
//! crates.io's is a test of `contract`. Libraries are pinned, and installed below the target folder.

use crate::{
    build, install,
    steps::{command, run},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

const SCRIPTS: &str = "crates/contract/tests/reference";

/// Signs requests, good and bad, and has both libraries judge each.
pub(crate) fn reference_verifiers() -> Result<()> {
    let target = install::target();
    let scripts = Path::new(SCRIPTS).canonicalize()?;
    let place = target.join("reference");
    fs::create_dir_all(&place)?;
    install_node(&place)?;
    let python = install_python(&place)?;
    let example = build::program("herald-contract", "example", "signed")?;
    let signed = place.join("signed.jsonl");
    // Signed after everything slow: the libraries tolerate five minutes.
    fs::write(&signed, sign(&example)?)?;
    let mut node = command("node");
    node.arg(scripts.join("verify.mjs")).current_dir(&place).stdin(fs::File::open(&signed)?);
    run(node)?;
    let mut verify = Command::new(python);
    verify.arg(scripts.join("verify.py")).stdin(fs::File::open(&signed)?);
    run(verify)
}

#[expect(clippy::disallowed_methods, reason = "a developer's tool has no other clock")]
fn sign(example: &Path) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let output = Command::new(example).arg(now.to_string()).output();
    let output = output.with_context(|| format!("{} cannot be started", example.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn install_node(place: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(SCRIPTS).join(file), place.join(file))?;
    }
    let mut npm = command("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(place);
    run(npm)
}

/// A Python with the library; its path.
fn install_python(place: &Path) -> Result<PathBuf> {
    let home = place.join("venv");
    let python = home.join("bin/python");
    if install::first_line(&python, &["-m", "pip", "--version"]).is_err() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&home);
        run(venv)?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    pip.arg(Path::new(SCRIPTS).join("requirements.txt"));
    run(pip)?;
    Ok(python)
}
