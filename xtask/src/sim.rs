//! The simulator's seeds. It never decides what they do: that is `crates/simulator`.

use crate::steps::{self, cargo};
use anyhow::Result;

/// Runs `herald-sim` with these arguments.
pub(crate) fn sim(arguments: &[&str]) -> Result<()> {
    let run = ["run", "--quiet", "--locked", "--package", "herald-simulator", "--"];
    steps::run(cargo(&[&run, arguments].concat()))
}
