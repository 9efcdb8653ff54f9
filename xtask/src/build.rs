//! What cargo does: formats, lints, builds, tests, documents, measures.
//!
//! All tests are one build, `cargo test --workspace`, with one set of features; the programs that
//! other steps run come out of it.

use crate::{
    install::target,
    steps::{cargo, run},
};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Set for a step that runs beside others, once everything is built.
pub(crate) const DONE: &str = "XTASK_BUILT";

/// More than there are processors: many tests wait for a deadline.
const TEST_THREADS: &str = "6";

static IS_DONE: AtomicBool = AtomicBool::new(false);

/// From now on programs are taken as they are.
pub(crate) fn is_done() {
    IS_DONE.store(true, Relaxed);
}

pub(crate) fn was_done() -> bool {
    IS_DONE.load(Relaxed) || env::var(DONE).is_ok_and(|value| !value.is_empty())
}

/// A program of the workspace, built if need be: `kind` is `bin` or `example`.
pub(crate) fn program(package: &str, kind: &str, name: &str) -> Result<PathBuf> {
    if !was_done() {
        let kind = format!("--{kind}");
        run(cargo(&["build", "--package", package, &kind, name, "--locked", "--quiet"]))?;
    }
    let folder = target().join("debug");
    let folder = if kind == "example" { folder.join("examples") } else { folder };
    let program = folder.join(name);
    ensure!(program.exists(), "{} was not built", program.display());
    Ok(program.canonicalize()?)
}

/// Also `fuzz/`, which is no member of the workspace.
pub(crate) fn format() -> Result<()> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    let mut fuzz = cargo(&["fmt", "--check"]);
    fuzz.current_dir("fuzz");
    run(fuzz)
}

pub(crate) fn lints() -> Result<()> {
    run(cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    // Building `fuzz/` belongs to `deep`, but its lock file is not to fall behind until then.
    let mut fuzz = cargo(&["tree", "--locked", "--quiet"]);
    fuzz.current_dir("fuzz").stdout(Stdio::null());
    run(fuzz).context("fuzz/Cargo.lock is behind: `cargo update -w` in fuzz/ mends it")
}

pub(crate) fn everything() -> Result<()> {
    run(cargo(&["test", "--workspace", "--locked", "--no-run", "--quiet"]))
}

/// All tests of the workspace, or those in files of these names.
pub(crate) fn tests(files: &[&str]) -> Result<()> {
    let mut tests = workspace_tests();
    tests.args(files.iter().flat_map(|file| ["--test", file]));
    run(tests)
}

fn workspace_tests() -> Command {
    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--quiet"]);
    tests.env("RUST_TEST_THREADS", TEST_THREADS);
    tests
}

/// The tests of `examples/` that need more than Python and Node.js.
pub(crate) fn examples() -> Result<()> {
    let mut tests = workspace_tests();
    tests.args(["--test", "examples", "--", "--ignored"]);
    run(tests)
}

/// The tests that wait as long as clients of today do.
pub(crate) fn waits() -> Result<()> {
    let mut tests = workspace_tests();
    tests.args(["--test", "presence", "--", "--ignored", "in_real_time"]);
    run(tests)
}

pub(crate) fn docs() -> Result<()> {
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    run(docs)
}

pub(crate) fn crash(cycles: &str) -> Result<()> {
    let kills: u32 = cycles.parse().with_context(|| format!("{cycles} is no number"))?;
    let mut crash = workspace_tests();
    crash.args(["--test", "crash", "--test", "healing", "--", "--nocapture"]);
    // A life of those takes longer.
    crash.env("CRASH_CYCLES", cycles).env("HEALING_CYCLES", kills.div_ceil(4).to_string());
    run(crash)
}

pub(crate) fn bench() -> Result<()> {
    for bench in ["measure", "isolation"] {
        run(cargo(&["bench", "--package", "herald-server", "--locked", "--bench", bench]))?;
    }
    Ok(())
}

pub(crate) fn backlog(callbacks: &str) -> Result<()> {
    let mut bench =
        cargo(&["bench", "--package", "herald-server", "--locked", "--bench", "backlog"]);
    bench.env("BACKLOG", callbacks);
    run(bench)
}

pub(crate) fn abuse() -> Result<()> {
    run(cargo(&["bench", "--package", "herald-server", "--locked", "--bench", "abuse"]))
}

pub(crate) fn soak(length: &str) -> Result<()> {
    let mut bench = cargo(&["bench", "--package", "herald-server", "--locked", "--bench", "soak"]);
    bench.env("SOAK", length);
    run(bench)
}
