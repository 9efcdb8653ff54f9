//! The simulator's seeds and figures. It never decides what they do: that is `crates/simulator`.

use crate::{
    build,
    steps::{cargo, command, run},
};
use anyhow::Result;

/// Runs `herald-sim` with these arguments.
pub(crate) fn sim(arguments: &[&str]) -> Result<()> {
    let mut sim = command(build::program("herald-simulator", "bin", "herald-sim")?);
    sim.args(arguments);
    run(sim)
}

/// Says every figure. Optimised: it is a hundred times as much as a test.
pub(crate) fn figures() -> Result<()> {
    let figures = ["run", "--quiet", "--locked", "--release", "--package", "herald-simulator"];
    run(cargo(&[&figures[..], &["--", "--figures"]].concat()))
}
