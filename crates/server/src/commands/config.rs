//! `herald config default|check|dump`: the reference, what is wrong, what is in force.

use super::{Failure, load_config, print};
use server::config::{DEFAULT_TOML, dump};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Print every setting with its default, explained
    Default,
    /// Check a file and the environment: all errors at once, exit 78
    Check(Arguments),
    /// Print the values in force and where each came from; secrets are masked
    Dump(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file; without it herald.toml in the working directory, if there is one
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Take the secret that everybody knows if none is set, as `serve --dev` does
    #[arg(long)]
    dev: bool,
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Default => print(DEFAULT_TOML),
        Action::Check(arguments) => {
            let warnings = load(&arguments)?.warnings;
            let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
            print(&(warnings.collect::<String>() + "the configuration is good\n"))
        }
        Action::Dump(arguments) => {
            let loaded = load(&arguments)?;
            print(&dump(&loaded.config, &loaded.origins))
        }
    }
}

fn load(arguments: &Arguments) -> Result<server::config::Loaded, Failure> {
    let file = arguments.file.as_deref().or(arguments.config.as_deref());
    load_config(file, arguments.dev)
}
