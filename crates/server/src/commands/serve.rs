//! `herald serve`: runs the server until told to stop.

use super::{Failure, StopSignals, load_config};
use server::{logging, running::Running};
use std::{io, path::PathBuf, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long a server that is broken may take to stop in good order.
const BROKEN_STOP_MAX: Duration = Duration::from_secs(10);

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
    logging::start(loaded.config.log.format, &loaded.config.log.level);
    let mut stop = StopSignals::listen()?;
    ignore_hang_ups()?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let running = Running::start(&loaded.config).await?;
    tracing::info!(
        gateway = %running.gateway, api = %running.api, admin = %running.admin,
        "herald is ready: clients connect to gateway"
    );
    tokio::select! {
        () = stop.next() => {}
        broken = running.broken() => {
            // What still works is brought to its end; the rest must not keep the restart waiting.
            let _ = timeout(BROKEN_STOP_MAX, running.stop()).await;
            return Err(Failure::Broken(broken));
        }
    }
    tracing::info!("stopping: clients are told to come back; stop again to end at once");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = stop.next() => tracing::warn!("stopped at once; nothing that was stored is lost"),
    }
    Ok(())
}

/// SIGHUP would end the process: a terminal that closes and logrotate send it.
fn ignore_hang_ups() -> io::Result<()> {
    let mut hang_ups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            tracing::warn!(
                "SIGHUP is ignored: the configuration is read at the start only, and the log is not \
                 reopened; restart herald to read it again"
            );
        }
    });
    Ok(())
}
