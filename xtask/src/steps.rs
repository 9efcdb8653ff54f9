//! Runs steps one after another and says what each took.

use anyhow::{Context, Result, bail};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What was run, how it went, how long it took.
#[derive(Default)]
pub(crate) struct Steps(Vec<(&'static str, bool, Duration)>);

impl Steps {
    /// Runs one step; the next ones run also when it fails.
    #[expect(clippy::disallowed_methods, reason = "a developer's tool has no other clock")]
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        println!("--- {name}");
        let began = Instant::now();
        let result = run();
        if let Err(error) = &result {
            println!("{error:#}");
        }
        self.0.push((name, result.is_ok(), began.elapsed()));
    }

    /// Prints the list; fails if any step did.
    pub(crate) fn sum_up(self) -> Result<()> {
        println!();
        for (name, passed, took) in &self.0 {
            let word = if *passed { "passed" } else { "FAILED" };
            println!("{word}  {name}  ({} s)", took.as_secs());
        }
        let failed = self.0.iter().filter(|(_, passed, _)| !passed).count();
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.0.len());
        }
        println!("all {} steps passed", self.0.len());
        Ok(())
    }
}

/// A cargo command.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
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
