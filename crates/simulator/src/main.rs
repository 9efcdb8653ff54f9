//! `herald-sim`: runs seeds on all cores; says what was exercised and which promises were broken.

use anyhow::{Context, Result, anyhow, bail};
use simulator::{
    Bite, Outcome, SECONDS,
    figures::{Scale, report},
    run, sweep,
};
use std::{env, time::Instant};

const HELP: &str = "\
herald-sim [--seeds N] [--from S]   N seeds (3000 unless said otherwise), from S (0) on
herald-sim --seed S                 one seed, with its trace
herald-sim --bite                   bugs put in on purpose, each found within 1,000 seeds
herald-sim --figures                what is measured rather than checked; some minutes
";
const SEEDS: u64 = 3_000;
const BITE_SEEDS: u64 = 1_000;
/// How many failing seeds are shown, and how much of the trace of each.
const FAILURES_MAX: usize = 5;
const TRACE_LINES: usize = 40;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[1..] {
        [] => storm(0, SEEDS),
        ["--seeds", seeds] => storm(0, number(seeds)?),
        ["--seeds", seeds, "--from", from] | ["--from", from, "--seeds", seeds] => {
            storm(number(from)?, number(seeds)?)
        }
        ["--from", from] => storm(number(from)?, SEEDS),
        ["--seed", seed] => one(number(seed)?),
        ["--bite"] => bites(),
        ["--figures"] => figures(),
        _ => bail!("unknown arguments\n\n{HELP}"),
    }
}

fn number(word: &str) -> Result<u64> {
    word.parse().with_context(|| format!("`{word}` is no number\n\n{HELP}"))
}

#[expect(clippy::disallowed_methods, reason = "how long the whole took, for the developer")]
fn storm(from: u64, seeds: u64) -> Result<()> {
    let began = Instant::now();
    let swept = sweep(from..from.saturating_add(seeds), None, FAILURES_MAX);
    let took = began.elapsed().as_secs_f64();
    for (what, times) in swept.coverage.all() {
        println!("{times:>9}  {what}");
    }
    println!(
        "{} seeds from {from}, {} of them twice: {} simulated hours in {took:.0} s, {:.1} seeds/s",
        swept.seeds,
        swept.twice,
        swept.seeds * SECONDS / 3600,
        swept.seeds as f64 / took
    );
    for (seed, outcome) in &swept.failed {
        let end = outcome.trace.len().saturating_sub(TRACE_LINES);
        show(*seed, outcome, &outcome.trace[end..]);
    }
    if !swept.failed.is_empty() {
        let seeds: Vec<u64> = swept.failed.iter().map(|(seed, _)| *seed).collect();
        bail!("seeds {seeds:?} broke a promise; keep them in crates/simulator/tests/seeds.txt");
    }
    Ok(())
}

fn one(seed: u64) -> Result<()> {
    let outcome = run(seed, None);
    show(seed, &outcome, &outcome.trace);
    if outcome.violation.is_some() {
        bail!("seed {seed} broke a promise");
    }
    Ok(())
}

fn show(seed: u64, outcome: &Outcome, trace: &[String]) {
    println!("\nseed {seed}, trace {:016x}", outcome.hash);
    trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {}", outcome.violation.as_deref().unwrap_or("no promise is broken"));
}

fn bites() -> Result<()> {
    let mut missed = Vec::new();
    for bite in Bite::ALL {
        match sweep(0..BITE_SEEDS, Some(bite), 1).failed.first() {
            Some((seed, outcome)) => {
                println!(
                    "{bite:?} is found by seed {seed}: {}",
                    outcome.violation.as_deref().unwrap_or_default()
                );
            }
            None => missed.push(bite),
        }
    }
    if !missed.is_empty() {
        bail!("{missed:?} are not found by {BITE_SEEDS} seeds");
    }
    Ok(())
}

fn figures() -> Result<()> {
    report(&Scale::WHOLE, &mut |line| println!("{line}")).map_err(|broken| anyhow!(broken))
}
