//! What a developer runs: `cargo xtask STEP`. `cargo xtask help` lists the steps.
//!
//! Start at [`STEPS`]. `test` is what CI runs, `deep` is run once before a change of weight lands;
//! both check first what their steps need, and say at the end what each took.

mod build;
mod e2e;
mod fuzz;
mod install;
mod needs;
mod picture;
mod plan;
mod sim;
mod steps;
mod supply;
mod tidy;
mod webhooks;
mod websocket;

use anyhow::{Context, Result, bail};
use needs::Need::{self, *};
use plan::{Pace::*, Planned};
use std::{env, process::ExitCode};
use steps::{Step, step};

const RUST: &[Need] = &[CCompiler, Make];
const UNITS: &[Need] = &[CCompiler, Make, Python, Node, Postgresql, Setpriv];

/// Every step, by the name that runs it alone.
const STEPS: &[Step] = &[
    step("format", "rustfmt changes nothing", &[Rustfmt], |_| build::format()),
    step("tidy", "file lengths, headers, who imports whom", &[], |_| tidy::check()),
    step("lints", "clippy, warnings denied", &[Clippy, CCompiler, Make], |_| build::lints()),
    step("build", "all programs and tests", RUST, |_| build::everything()),
    step("units", "every test of the workspace; the next three are parts of it", UNITS, |_| {
        build::tests(&[])
    }),
    step(
        "conformance",
        "all stores alike; `herald conformance` against good and bad Apps",
        UNITS,
        |_| build::tests(&["conformance", "examples"]),
    ),
    step("corpus", "what fuzzing checks, on every input of fuzz/corpus", UNITS, |_| {
        build::tests(&["corpus"])
    }),
    step("postgres", "the receiver's SQL, on SQLite and PostgreSQL", UNITS, |_| {
        build::tests(&["sql"])
    }),
    step("docs", "rustdoc, warnings denied", RUST, |_| build::docs()),
    step(
        "supply",
        "what the crates of the tree are: licences, sources, duplicates, and advisories if they can be had",
        RUST,
        |_| supply::check(),
    ),
    step(
        "sim",
        "seeds of the simulator: 3,000, `--seeds N`, `--seed S` with its trace, `--bite`",
        RUST,
        sim::sim,
    ),
    step(
        "webhooks",
        "npm's and PyPI's libraries verify what Herald signs",
        &[CCompiler, Make, Python, Node],
        |_| webhooks::reference_verifiers(),
    ),
    step(
        "e2e",
        "the real OpenIM SDKs in Node and Chromium; `--real-time`: with their own waits",
        &[CCompiler, Make, Node, Chromium],
        e2e::real_sdks,
    ),
    step(
        "crash",
        "kill -9 under load and all other troubles: 50 times, or `crash N`",
        RUST,
        |arguments| build::crash(one_of(arguments, "50")?),
    ),
    step(
        "fuzz",
        "every target of fuzz/, instrumented: 60 seconds each, or `fuzz SECONDS`",
        &[Clippy, CCompiler, Make, CxxCompiler],
        |arguments| fuzz::targets(one_of(arguments, "60")?),
    ),
    step(
        "websocket",
        "the Autobahn cases against the gateway's sockets",
        &[CCompiler, Make, Python, Kosoku],
        |_| websocket::conformance(),
    ),
    step(
        "examples",
        "the Apps in Go and Java against `herald conformance`",
        &[CCompiler, Make, Go, Java],
        |_| build::examples(),
    ),
    step(
        "bench",
        "logins a second, callback latency, memory for each idle connection",
        RUST,
        |_| build::bench(),
    ),
    step(
        "backlog",
        "an App away for 10 hours: 1,000,000 callbacks owed, or `backlog N`",
        RUST,
        |arguments| build::backlog(one_of(arguments, "1000000")?),
    ),
    step(
        "soak",
        "memory, file, threads and descriptors through churn and troubles: 2h, or `soak 10m`",
        RUST,
        |arguments| build::soak(one_of(arguments, "2h")?),
    ),
    step(
        "abuse",
        "what one address, and one user, can cost: memory, processor, logins of others",
        RUST,
        |_| build::abuse(),
    ),
    step(
        "figures",
        "simulated: false offlines, seconds to a right view, requests a user-hour",
        RUST,
        |_| sim::figures(),
    ),
    step("waits", "the tests that wait as long as clients do, a minute", RUST, |_| build::waits()),
    step(
        "picture",
        "docs/demo.png anew, from a run of the demo",
        &[CCompiler, Make, Chromium],
        |_| picture::draw(),
    ),
];

/// What CI runs. The SDKs mostly wait, so they run beside what works.
const TEST: &[Planned] = &[
    Planned("format", &[], Works),
    Planned("tidy", &[], Works),
    Planned("lints", &[], Works),
    Planned("build", &[], Works),
    Planned("e2e", &[], Waits),
    Planned("webhooks", &[], Works),
    Planned("units", &[], Works),
    Planned("docs", &[], Works),
    Planned("supply", &[], Works),
    Planned("sim", &["--seeds", "100"], Works),
];

/// What takes long and seldom finds what `test` does not. Nothing runs beside a bench.
const DEEP: &[Planned] = &[
    Planned("build", &[], Works),
    Planned("e2e", &["--real-time"], Waits),
    Planned("waits", &[], Waits),
    Planned("examples", &[], Works),
    Planned("websocket", &[], Works),
    Planned("fuzz", &["60"], Works),
    Planned("crash", &["200"], Works),
    Planned("sim", &["--seeds", "3000"], Works),
    Planned("bench", &[], Alone),
    Planned("abuse", &[], Alone),
    Planned("backlog", &["200000"], Alone),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    match words[..] {
        ["test"] => plan::run(STEPS, TEST),
        ["deep"] => plan::run(STEPS, DEEP),
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", help());
            Ok(())
        }
        [name, ref arguments @ ..] => {
            let step = steps::named(STEPS, name).with_context(help)?;
            needs::ensure(&[step])?;
            (step.run)(arguments)
        }
    }
}

fn help() -> String {
    let mut text = "cargo xtask STEP, one of:\n\n".to_owned();
    for step in STEPS {
        text += &format!("  {:<12} {}\n", step.name, step.about);
    }
    for (name, plan) in [("test", TEST), ("deep", DEEP)] {
        text += &format!("\ncargo xtask {name} runs: {}\n", plan::names(plan));
    }
    text
}

/// The one argument of a step, or what it is without.
fn one_of<'a>(arguments: &[&'a str], otherwise: &'a str) -> Result<&'a str> {
    match arguments {
        [] => Ok(otherwise),
        [argument] => Ok(argument),
        _ => bail!("one argument at most\n\n{}", help()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_is_a_step() {
        for Planned(name, ..) in TEST.iter().chain(DEEP) {
            assert!(steps::named(STEPS, name).is_some(), "{name}");
        }
    }
}
