//! One command, one file; what they share is here.

pub(crate) mod app;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod token;

use server::{
    config::{ConfigErrors, Loaded, environment, load},
    logging,
    supervision::LoopEnded,
};
use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;
/// `EX_SOFTWARE` of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;
/// Nothing could be tried, as with a wrong command line.
const EXIT_NOT_TRIED: u8 = 2;
/// Looked for in the working directory when no file is named.
const FILE_DEFAULT: &str = "herald.toml";

/// Why a command failed.
pub(crate) enum Failure {
    /// The configuration is bad: exit 78.
    Config(String),
    /// What was to be tried could not be: exit 2.
    NotTried(anyhow::Error),
    /// The server cannot go on, and is to be started again: exit 70.
    Broken(LoopEnded),
    /// The output says it already: exit 1.
    Told,
    /// Anything else: exit 1.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Other(error.into())
    }
}

impl Failure {
    /// Prints it once and says how to exit.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Failure::Config(text) => {
                logging::say(text.trim_end());
                ExitCode::from(EXIT_CONFIG)
            }
            Failure::NotTried(error) => {
                logging::say(&format!("herald: {error:#}"));
                ExitCode::from(EXIT_NOT_TRIED)
            }
            Failure::Broken(ended) => {
                logging::say(&format!("herald: {ended}"));
                ExitCode::from(EXIT_SOFTWARE)
            }
            Failure::Told => ExitCode::FAILURE,
            Failure::Other(error) => {
                logging::say(&format!("herald: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

/// The configuration of a named file, or of `herald.toml` if there is one, and the environment.
pub(crate) fn load_config(file: Option<&Path>, dev: bool) -> Result<Loaded, Failure> {
    let default = PathBuf::from(FILE_DEFAULT);
    let path = file.or_else(|| default.exists().then_some(default.as_path()));
    let text = path.map(|path| {
        std::fs::read_to_string(path).map_err(|error| {
            Failure::Config(format!("{}: cannot be read: {error}", path.display()))
        })
    });
    let text = text.transpose()?;
    let name = path.map(|path| path.display().to_string());
    let file = name.as_deref().zip(text.as_deref());
    load(file, environment(), dev, &|path| std::fs::read(path)).map_err(in_words)
}

fn in_words(errors: ConfigErrors) -> Failure {
    Failure::Config(errors.to_string())
}

/// Prints on stdout. That nobody reads any more, as after `| head`, is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let printed = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to stdout").into())
        }
        _ => Ok(()),
    }
}

/// The signals that say to stop: SIGTERM, SIGINT (Ctrl-C) and SIGQUIT.
pub(crate) struct StopSignals([Signal; 3]);

impl StopSignals {
    /// From here on they do not end the process by themselves.
    pub(crate) fn listen() -> io::Result<StopSignals> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        let [terminate, interrupt, quit] = kinds.map(signal);
        Ok(StopSignals([terminate?, interrupt?, quit?]))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let [terminate, interrupt, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    }
}
