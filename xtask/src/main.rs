//! What a developer runs: `cargo xtask test | crash | sim | figures | backlog | fuzz | websocket | webhooks |
//! bench | tidy`.
//!
//! Start at [`main`]. `test` is the whole and what CI runs; it installs what it needs itself and
//! says what each step took.

mod e2e;
mod fuzz;
mod install;
mod sim;
mod steps;
mod tidy;
mod webhooks;
mod websocket;

use anyhow::{Result, bail};
use fuzz::Search;
use std::env;
use steps::{Steps, cargo};

const HELP: &str = "\
cargo xtask test              everything that must pass, as CI runs it
cargo xtask crash [CYCLES]    kill -9 under load, 50 times unless said otherwise
cargo xtask sim               3,000 seeds of the simulator, 10 simulated minutes each; `--seeds N`,
                              `--from S`; `--seed S`: one, with its trace; `--bite`: bugs put in
cargo xtask figures           false offlines, seconds to a right view, POSTs per user-hour: simulated
cargo xtask fuzz [SECONDS]    every target of fuzz/, 60 seconds each unless said otherwise
cargo xtask websocket         the Autobahn cases against the gateway's sockets
cargo xtask bench             logins per second, callback latency, memory per idle connection
cargo xtask backlog [COUNT]   an App away for 10 hours, 1,000,000 callbacks owed unless said otherwise
cargo xtask webhooks          npm's and PyPI's libraries verify what Herald signs
cargo xtask tidy              file lengths, headers, who imports whom
";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    match words[..] {
        ["test"] => test(),
        ["crash"] => crash("50"),
        ["crash", cycles] => crash(cycles),
        ["sim", ref arguments @ ..] => sim::sim(arguments),
        ["backlog"] => backlog("1000000"),
        ["backlog", callbacks] => backlog(callbacks),
        ["figures"] => sim::figures(),
        ["bench"] => steps::run(cargo(&["bench", "-p", "herald-server", "--bench", "measure"])),
        ["fuzz"] => fuzz::targets(&Search::of("60")?),
        ["fuzz", seconds] => fuzz::targets(&Search::of(seconds)?),
        ["websocket"] => websocket::conformance(),
        ["webhooks"] => webhooks::reference_verifiers(),
        ["tidy"] => tidy::check(),
        _ => bail!("unknown command\n\n{HELP}"),
    }
}

fn test() -> Result<()> {
    let mut steps = Steps::default();
    steps.step("format", || steps::run(cargo(&["fmt", "--all", "--check"])));
    steps.step("tidy", tidy::check);
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    steps.step("lints", || steps::run(cargo(&lints)).and_then(|()| fuzz::lint()));
    steps.step("tests", || {
        install::languages()?;
        let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--quiet"]);
        tests.env("KOSOKU", websocket::kosoku()?);
        steps::run(tests)
    });
    steps.step("docs", || {
        let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
        docs.env("RUSTDOCFLAGS", "-D warnings");
        steps::run(docs)
    });
    steps.step("simulator", || sim::sim(&["--seeds", "300"]));
    steps.step("fuzz", || fuzz::targets(&Search::SHORT));
    steps.step("reference verifiers", webhooks::reference_verifiers);
    steps.step("real OpenIM SDKs", e2e::real_sdks);
    steps.sum_up()
}

fn backlog(callbacks: &str) -> Result<()> {
    let mut bench = cargo(&["bench", "-p", "herald-server", "--bench", "backlog"]);
    bench.env("BACKLOG", callbacks);
    steps::run(bench)
}

fn crash(cycles: &str) -> Result<()> {
    let mut crash = cargo(&["test", "-p", "herald-server", "--test", "crash", "--", "--nocapture"]);
    crash.env("CRASH_CYCLES", cycles);
    steps::run(crash)
}
