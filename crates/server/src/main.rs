//! The program `herald`: reads the command line and hands over.

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
    /// Show, check or explain the configuration
    #[command(subcommand)]
    Config(commands::config::Action),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => commands::serve::run(arguments).await,
        Command::Demo(arguments) => commands::demo::run(arguments).await,
        Command::App(arguments) => commands::app::run(arguments).await,
        Command::Conformance(arguments) => commands::conformance::run(arguments).await,
        Command::Token(arguments) => commands::token::run(arguments),
        Command::Config(action) => commands::config::run(action),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
