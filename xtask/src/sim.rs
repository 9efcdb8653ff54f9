//! The simulator's seeds and figures. It never decides what they do: that is `crates/simulator`.

use crate::steps::{self, cargo};
use anyhow::Result;

/// Runs `herald-sim` with these arguments.
pub(crate) fn sim(arguments: &[&str]) -> Result<()> {
    let run = ["run", "--quiet", "--locked", "--package", "herald-simulator", "--"];
    steps::run(cargo(&[&run, arguments].concat()))
}

/// Says every figure. Optimised: it is a hundred times as much as a test.
pub(crate) fn figures() -> Result<()> {
    let run = ["run", "--quiet", "--locked", "--release", "--package", "herald-simulator", "--"];
    steps::run(cargo(&[&run[..], &["--figures"]].concat()))
}
