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
    let running = tokio::select! {
        running = Running::start(&loaded.config) => running?,
        () = stop.next() => return Ok(()),
    };
    tracing::info!(
        gateway = %running.gateway, api = %running.api, admin = %running.admin,
        "herald is ready: clients connect to gateway"
    );
    serve(running, async || stop.next().await).await
}

/// Until told to stop, or until it cannot go on.
async fn serve(running: Running, mut told_to_stop: impl AsyncFnMut()) -> Result<(), Failure> {
    tokio::select! {
        () = told_to_stop() => {}
        broken = running.broken() => {
            // What still works is brought to its end; the rest must not keep the restart waiting.
            let _ = timeout(BROKEN_STOP_MAX, running.stop()).await;
            return Err(Failure::Broken(broken));
        }
    }
    tracing::info!("stopping: clients are told to come back; stop again to end at once");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = told_to_stop() => tracing::warn!("stopped at once; nothing that was stored is lost"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use server::config::{Backend, Config, Secret};
    use std::process::ExitCode;
    use tokio_util::sync::CancellationToken;

    async fn running(folder: &std::path::Path) -> Running {
        let mut config = Config::default();
        let listens =
            [&mut config.gateway.listen, &mut config.api.listen, &mut config.admin.listen];
        listens.into_iter().for_each(|listen| *listen = ([127, 0, 0, 1], 0).into());
        config.auth.secret = Secret::new("a-secret-for-tests");
        config.store.backend = Backend::Memory;
        config.store.path = folder.to_owned();
        Running::start(&config).await.unwrap()
    }

    #[tokio::test]
    async fn a_core_loop_that_ends_makes_the_process_exit_with_70() {
        let folder = tempfile::tempdir().unwrap();
        let running = running(folder.path()).await;
        let ends = running.loops().supervise("a loop", CancellationToken::new(), async {});
        ends.await;
        let Err(failure) = serve(running, async || std::future::pending().await).await else {
            panic!("it goes on without the loop")
        };
        assert_eq!(format!("{:?}", failure.report()), format!("{:?}", ExitCode::from(70)));
    }

    #[tokio::test]
    async fn who_is_told_to_stop_exits_with_0() {
        let folder = tempfile::tempdir().unwrap();
        let mut times = 0;
        let once = async || {
            times += 1;
            if times > 1 {
                std::future::pending().await
            }
        };
        assert!(serve(running(folder.path()).await, once).await.is_ok());
    }
}
