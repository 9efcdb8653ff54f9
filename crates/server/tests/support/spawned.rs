//! A program that a test runs beside itself. It ends with its owner, also when the test fails.
//!
//! The only place that spawns one (`clippy.toml`), so no failed test leaves a server behind.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

/// For a program that ends by itself. Generous: a machine may be busy.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

pub struct Spawned(Child);

impl Spawned {
    /// Starts it without input; its output goes where the command says.
    #[expect(clippy::disallowed_methods, reason = "here it is killed when its owner is dropped")]
    pub fn start(command: &mut Command) -> Spawned {
        let child = command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("{:?} cannot be started, is it installed? {error}", command.get_program())
        });
        Spawned(child)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it prints, if that was piped.
    pub fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("piped, and taken once")
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end; panics if that does not come.
    #[expect(clippy::disallowed_methods, reason = "no simulated clock rules another process")]
    pub fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < ENDS_WITHIN, "still running after {ENDS_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it and waits for that.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Spawned {
    /// Does nothing to one that has ended.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end. One that does not end fails the test and is killed.
pub fn output(command: &mut Command) -> Output {
    let [out, err] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
    let status = Spawned::start(command).ended();
    let [stdout, stderr] = [out, err].map(|file| std::fs::read(file.path()).unwrap());
    Output { status, stdout, stderr }
}
