//! `herald serve`: runs the server until told to stop.

use super::{Failure, load_config, log, told_to_stop};
use server::{files::raise_limit, running::Running};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file; without it herald.toml in the working directory, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the secret that everybody knows if none is set: for development only
    #[arg(long)]
    dev: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let loaded = load_config(arguments.config.as_deref(), arguments.dev)?;
    log(loaded.config.log.format, &loaded.config.log.level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    raise_limit(loaded.config.gateway.connections_max);
    let running = Running::start(&loaded.config).await?;
    tracing::info!(
        gateway = %running.gateway, api = %running.api, admin = %running.admin,
        "herald is ready: clients connect to gateway"
    );
    told_to_stop().await;
    tracing::info!("stopping: clients are told to come back; stop again to end at once");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = told_to_stop() => tracing::warn!("stopped at once; nothing that was stored is lost"),
    }
    Ok(())
}
