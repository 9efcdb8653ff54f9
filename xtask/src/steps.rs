//! One step: its name, what it needs, how it runs; and the commands that steps are made of.

use crate::needs::{self, Need};
use anyhow::{Context, Result, bail};
use std::{ffi::OsStr, process::Command};

/// What `cargo xtask NAME` runs.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&[&str]) -> Result<()>,
}

/// A row of the table of steps.
pub(crate) const fn step(
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    run: fn(&[&str]) -> Result<()>,
) -> Step {
    Step { name, about, needs, run }
}

/// The step of that name.
pub(crate) fn named<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
    steps.iter().find(|step| step.name == name)
}

/// A program that finds Node.js where [`needs`] found or put it.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", needs::path());
    command
}

/// A cargo command.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments);
    command
}

/// Runs a command to its end; fails if it does.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{name} cannot be started"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}
