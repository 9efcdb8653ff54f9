//! Several steps: what they need is checked before the first, those that wait run beside the others,
//! and each is timed.

use crate::{
    build, install, needs,
    steps::{self, Step},
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::{
    env,
    fs::{self, File},
    io,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A step by its name, its arguments, and when it runs.
pub(crate) struct Planned(
    pub(crate) &'static str,
    pub(crate) &'static [&'static str],
    pub(crate) Pace,
);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Uses the processors, so one at a time.
    Works,
    /// Mostly waits, so it begins in its turn and the next ones begin as well.
    Waits,
    /// Measures, so what runs beside the others is over first.
    Alone,
}

/// How much is shown of what a step that ran beside others printed.
const LINES_OF_PASSED: usize = 8;
const LINES_OF_FAILED: usize = 400;

/// The steps' names, in their order.
pub(crate) fn names(plan: &[Planned]) -> String {
    plan.iter().map(|Planned(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

/// Runs the whole plan, also after a step that failed; fails if any did.
pub(crate) fn run(steps: &[Step], plan: &[Planned]) -> Result<()> {
    let program = env::current_exe()?;
    let mut outcomes = Outcomes::default();
    let find = |name| steps::named(steps, name).with_context(|| format!("no step {name}"));
    let all = plan.iter().map(|Planned(name, ..)| find(name)).collect::<Result<Vec<_>>>()?;
    // Without these nothing else is worth the time.
    let began = now();
    needs::ensure(&all)?;
    outcomes.add("needs", &Ok(()), began.elapsed());
    let mut beside = Vec::new();
    for (step, Planned(name, arguments, pace)) in all.into_iter().zip(plan) {
        println!("--- {name}");
        if *pace == Pace::Waits {
            beside.push(Beside::start(&program, name, arguments)?);
            continue;
        }
        if *pace == Pace::Alone {
            join(&mut beside, &mut outcomes);
        }
        let began = now();
        outcomes.add(name, &(step.run)(arguments), began.elapsed());
        if *name == "build" {
            build::is_done();
        }
    }
    join(&mut beside, &mut outcomes);
    outcomes.sum_up()
}

fn join(beside: &mut Vec<Beside>, outcomes: &mut Outcomes) {
    for step in beside.drain(..) {
        let name = step.name;
        println!("--- {name}, which ran beside the others");
        let (result, took) = step.join();
        outcomes.add(name, &result, took);
    }
}

/// A step in a process of its own, whose output goes to a file.
struct Beside {
    name: &'static str,
    log: PathBuf,
    /// Waits for its end; None once that was taken.
    ended: Option<JoinHandle<(io::Result<ExitStatus>, Duration)>>,
}

impl Beside {
    #[expect(clippy::disallowed_methods, reason = "`Drop` waits for it")]
    fn start(program: &PathBuf, name: &'static str, arguments: &[&str]) -> Result<Beside> {
        let folder = install::target().join("xtask");
        fs::create_dir_all(&folder)?;
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        command.arg(name).args(arguments).stdin(Stdio::null());
        command.stderr(output.try_clone()?).stdout(output);
        command.env(build::DONE, if build::was_done() { "1" } else { "" });
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        println!("runs beside the next ones; its output goes to {}", log.display());
        let began = now();
        let ended = std::thread::spawn(move || (child.wait(), began.elapsed()));
        Ok(Beside { name, log, ended: Some(ended) })
    }

    /// Waits for its end and shows what it printed; how long it took.
    fn join(mut self) -> (Result<()>, Duration) {
        let ended = self.ended.take().map(JoinHandle::join);
        let Some(Ok((status, took))) = ended else {
            return (Err(anyhow!("{} cannot be waited for", self.name)), Duration::ZERO);
        };
        (status.map_err(Into::into).and_then(|status| self.show(status)), took)
    }

    fn show(&self, status: ExitStatus) -> Result<()> {
        let printed = fs::read(&self.log)?;
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().collect();
        let shown = if status.success() { LINES_OF_PASSED } else { LINES_OF_FAILED };
        println!("{}", lines[lines.len().saturating_sub(shown)..].join("\n"));
        ensure!(
            status.success(),
            "{} failed: {status}; all of it: {}",
            self.name,
            self.log.display()
        );
        Ok(())
    }
}

impl Drop for Beside {
    /// So that nothing that it started goes on after this. The SDKs have a watchdog.
    fn drop(&mut self) {
        let _ = self.ended.take().map(JoinHandle::join);
    }
}

/// What was run, how it went, how long it took.
#[derive(Default)]
struct Outcomes(Vec<(&'static str, bool, Duration)>);

impl Outcomes {
    fn add(&mut self, name: &'static str, result: &Result<()>, took: Duration) {
        if let Err(error) = result {
            println!("{error:#}");
        }
        self.0.push((name, result.is_ok(), took));
    }

    /// Prints the list; fails if any step did.
    fn sum_up(self) -> Result<()> {
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

#[expect(clippy::disallowed_methods, reason = "a developer's tool has no other clock")]
fn now() -> Instant {
    Instant::now()
}
