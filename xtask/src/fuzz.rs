//! Builds the targets of `fuzz/` and runs each for a while.
//!
//! It does what `cargo fuzz run -s none TARGET` does, on the stable toolchain and without cargo-fuzz:
//! LLVM counts which branches were taken, libFuzzer looks for inputs that take new ones. The
//! corpus in `fuzz/corpus/` is where it starts from; what it finds goes below `target/fuzz`.

use crate::{
    install::target,
    steps::{cargo, run},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The flags of cargo-fuzz 0.13.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-sanitizer-coverage-stack-depth \
    -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing";
/// How long one input may take.
const TIMEOUT_S: u32 = 5;
/// Far above what the allocator of the targets allows for one input.
const RSS_MB_MAX: u32 = 1024;
/// How much is shown of a run that failed.
const LINES_SHOWN: usize = 40;

/// Lints the targets, then runs every one for so many seconds; fails with what the first one found.
pub(crate) fn targets(seconds: &str) -> Result<()> {
    let seconds = seconds.parse().context("SECONDS is not a number")?;
    lint()?;
    let programs = build()?;
    let mut names: Vec<_> = fs::read_dir("fuzz/fuzz_targets")?
        .map(|entry| Ok(entry?.path().with_extension("")))
        .collect::<io::Result<_>>()?;
    names.sort();
    for path in names {
        let name = path.file_name().and_then(|name| name.to_str()).context("no plain name")?;
        run_target(&programs.join(name), name, seconds)?;
    }
    Ok(())
}

/// `fuzz/` is no member of the workspace.
fn lint() -> Result<()> {
    let mut clippy = cargo(&["clippy", "--bins", "--locked", "--", "-D", "warnings"]);
    clippy.current_dir("fuzz").env("CARGO_TARGET_DIR", folder()?);
    run(clippy)
}

/// The folder with the programs. Naming the host keeps build scripts from being instrumented too.
fn build() -> Result<PathBuf> {
    let (host, folder) = (host()?, folder()?);
    let mut build = cargo(&["build", "--release", "--locked", "--quiet", "--target", &host]);
    build.current_dir("fuzz").env("RUSTFLAGS", RUSTFLAGS).env("CARGO_TARGET_DIR", &folder);
    run(build).context("a lock file that is behind is mended by `cargo update -w` in fuzz/")?;
    Ok(folder.join(host).join("release"))
}

fn run_target(program: &Path, name: &str, seconds: u32) -> Result<()> {
    let folder = folder()?.join(name);
    let (corpus, found, log) = (folder.join("corpus"), folder.join("found"), folder.join("log"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder)?;
    }
    let mut fuzz = Command::new(program);
    // New inputs are written to the first folder only.
    fuzz.arg(&corpus).arg(Path::new("fuzz/corpus").join(name)).args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={TIMEOUT_S}"),
        format!("-rss_limit_mb={RSS_MB_MAX}"),
        format!("-artifact_prefix={}/", found.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    fuzz.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let status = fuzz.status().with_context(|| format!("{name} cannot be started"))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        let lines: Vec<_> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        bail!("{name}: {status}\n{}\nall of it is in {}", last.join("\n"), log.display());
    }
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs: u64 = runs.and_then(|runs| runs.trim().parse().ok()).unwrap_or_default();
    ensure!(runs > 0, "{name} ran nothing, see {}", log.display());
    println!("{name}: {runs} runs");
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = target().join("fuzz");
    fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let said = String::from_utf8(output.stdout)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}
