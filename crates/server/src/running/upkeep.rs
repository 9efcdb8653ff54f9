//! What looks after the store beside the requests: whether it can be used, and what is too old.

use super::Parts;
use crate::{
    ages::KeptAges, callbacks::scopes, clock::Clock, config::Config, driver::Driver,
    readiness::Readiness,
};
use std::{sync::Arc, time::Duration};
use store::{Prune, Store};
use tokio_util::sync::CancellationToken;

/// How often old things are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// How much is pruned in one go.
const PRUNE_LIMIT: usize = 500;
/// How often the files of the store are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After how many looks something is written, when the store is well and when it is not.
const LOOKS_A_PROBE: u64 = 10;
const LOOKS_A_PROBE_AGAIN: u64 = 2;
/// A store that takes longer is as good as none.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps readiness true to whether the store can be written.
pub(super) async fn watch_store(
    store: Arc<dyn Store>,
    driver: Arc<Driver>,
    clock: Arc<dyn Clock>,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
) {
    let mut problem = None;
    for look in 0_u64.. {
        let is_failing = problem.is_some() || driver.store_failing().is_some();
        let probe_every = if is_failing { LOOKS_A_PROBE_AGAIN } else { LOOKS_A_PROBE };
        if let Err(error) = store.check_files().await {
            problem = Some(error.to_string());
            driver.hold_graces_for_the_store();
        } else if look.is_multiple_of(probe_every) {
            let began = clock.now().mono;
            problem = match tokio::time::timeout(PROBE_TIMEOUT, store.probe()).await {
                Ok(Ok(())) => {
                    driver.store_probed(began);
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("it does not answer".to_owned()),
            };
            if problem.is_some() {
                driver.hold_graces_for_the_store();
            }
        }
        readiness.store(problem.clone());
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Ends with the store's own thread.
pub(super) async fn until_ended(store: Arc<dyn Store>, stop: CancellationToken) {
    tokio::select! {
        () = store.ended() => {}
        () = stop.cancelled() => {}
    }
}

pub(super) async fn prune(config: Config, parts: Parts, stop: CancellationToken) {
    let mut kept = KeptAges::default();
    loop {
        kept.keep(&*parts.store, &*parts.clock).await;
        let wait = match parts.store.prune(what_is_old(&config, &parts, &kept)).await {
            Ok(pruned) => {
                if pruned.expired > 0 {
                    parts.metrics.expired.inc_by(pruned.expired);
                    tracing::warn!(
                        callbacks = pruned.expired,
                        "the App was not told in time (callbacks.retention, callbacks.owed_max); it \
                         is told how things are as soon as it is well, or reads who is online"
                    );
                }
                let most = pruned.callbacks.max(pruned.expired).max(pruned.users);
                if most >= PRUNE_LIMIT as u64 { Duration::from_millis(50) } else { PRUNE_EVERY }
            }
            Err(error) => {
                tracing::warn!(%error, "nothing could be pruned");
                PRUNE_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return kept.keep_now(&*parts.store).await,
        }
    }
}

fn what_is_old(config: &Config, parts: &Parts, ages: &KeptAges) -> Prune {
    let now = parts.clock.now().wall;
    let before = |age: Duration| ages.before(age);
    Prune {
        now,
        history_before: before(config.outbox.history.age),
        failed_before: before(config.outbox.history.age.max(config.outbox.retention)),
        history_bytes_max: config.outbox.history.bytes.0 as u64,
        owed_before: before(config.outbox.retention),
        owed_max: config.outbox.owed_max as u64,
        scopes: scopes(&parts.endpoints),
        users_before: before(config.presence.forget_after),
        limit: PRUNE_LIMIT,
    }
}
