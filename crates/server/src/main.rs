//! The program `herald`: reads the command line and hands over.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads")]

mod commands;

use clap::{Parser, Subcommand};
use std::{process::ExitCode, time::Duration};

/// How long threads that are still at work may take when everything else has ended.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Herald tells your backend who comes online and who leaves: in order, surviving crashes.
#[derive(Parser)]
#[command(name = "herald", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(commands::serve::Arguments),
    /// See it work: server, sample App and a few users, with nothing to set up
    Demo(commands::demo::Arguments),
    /// Run a sample App that answers callbacks and shows who is online
    App(commands::app::Arguments),
    /// Play good and bad callbacks against an App and show which it answers as it must
    Conformance(commands::conformance::Arguments),
    /// Print a client's token, signed with the configured secret
    Token(commands::token::Arguments),
    /// Look after the store
    #[command(subcommand)]
    Store(commands::store::Action),
    /// Show, check or explain the configuration
    #[command(subcommand)]
    Config(commands::config::Action),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return commands::Failure::from(error).report(),
    };
    let done = runtime.block_on(run(arguments.command));
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    // A disk that does not answer, or a reader of the log that does not read, holds nobody here.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    server::logging::flush();
    code
}

async fn run(command: Command) -> Result<(), commands::Failure> {
    match command {
        Command::Serve(arguments) => commands::serve::run(arguments).await,
        Command::Demo(arguments) => commands::demo::run(arguments).await,
        Command::App(arguments) => commands::app::run(arguments).await,
        Command::Conformance(arguments) => commands::conformance::run(arguments).await,
        Command::Token(arguments) => commands::token::run(arguments),
        Command::Store(action) => commands::store::run(action),
        Command::Config(action) => commands::config::run(action),
    }
}
