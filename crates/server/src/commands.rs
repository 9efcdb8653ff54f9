//! One command, one file; what they share is here.

pub(crate) mod app;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod serve;
pub(crate) mod token;

use server::config::{ConfigErrors, Loaded, LogFormat, environment, load};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tracing_subscriber::{EnvFilter, fmt};

/// `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;
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
                eprintln!("{}", text.trim_end());
                ExitCode::from(EXIT_CONFIG)
            }
            Failure::NotTried(error) => {
                eprintln!("herald: {error:#}");
                ExitCode::from(EXIT_NOT_TRIED)
            }
            Failure::Told => ExitCode::FAILURE,
            Failure::Other(error) => {
                eprintln!("herald: {error:#}");
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

/// Logs go to stderr, one line for each event.
pub(crate) fn log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Pretty => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// SIGTERM or Ctrl-C.
pub(crate) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
