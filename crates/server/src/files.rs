//! How many files the process may have open, and who may take how many of them.
//!
//! Every connection is a file. Clients must never take those that the store, the App and the
//! operator need: each has a share of its own, and all shares together fit below the limit.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Of the process itself: store, log, ports, the runtime, looking up names, reading certificates.
const OWN: usize = 64;
/// With fewer there is no room for clients.
const FILES_MIN: usize = 128;
/// Shares that need not grow beyond this, however many files there are.
const ADMIN_MAX: usize = 1_024;
const HTTP_MAX: usize = 16_384;
const TEXT_REFUSALS_MAX: usize = 1_024;

/// What the operator would like.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Clients at a time.
    pub connections: usize,
    /// Callbacks in flight at a time, to all endpoints together.
    pub callbacks: usize,
}

/// How many connections of each kind may be open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Files that the process may have open.
    pub files: usize,
    /// Clients that are let in.
    pub connections: usize,
    /// Clients that read in a WebSocket of their own why they are not.
    pub text_refusals: usize,
    /// On the gateway's port, before the upgrade.
    pub gateway: usize,
    /// On the API's port.
    pub api: usize,
    /// On the management port.
    pub admin: usize,
    /// Callbacks in flight, to all endpoints together.
    pub callbacks: usize,
}

/// The limit leaves no room for clients.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {0} files may be open, and herald needs {FILES_MIN} at least; raise the hard limit \
     (ulimit -Hn, LimitNOFILE in systemd)"
)]
pub struct TooFew(usize);

/// Raises the limit as far as the system lets us; what it is now.
fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A system that says no leaves the limit as it is.
    let _ = setrlimit(Resource::Nofile, limit);
    limit_now()
}

/// How many files may be open as things are.
pub(crate) fn limit_now() -> usize {
    let files = getrlimit(Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// Raises the limit and shares out what there is; the log says what came of it.
pub fn share(wanted: Wanted) -> Result<Places, TooFew> {
    let places = Places::share(raise_limit(), wanted)?;
    let Places { files, connections, callbacks, .. } = places;
    tracing::info!(
        files,
        connections,
        callbacks,
        "limits in force: open files, client connections, callbacks in flight"
    );
    if connections < wanted.connections || callbacks < wanted.callbacks {
        tracing::warn!(
            files,
            connections,
            connections_wanted = wanted.connections,
            callbacks,
            callbacks_wanted = wanted.callbacks,
            "too few files may be open for all clients or callbacks that are configured, so fewer are \
             let in or sent at a time; raise the hard limit (ulimit -Hn, LimitNOFILE in systemd) or \
             lower gateway.connections_max or callbacks.concurrency_max"
        );
    }
    Ok(places)
}

impl Places {
    /// Shares out the files. What is configured is a wish; clients get what is left.
    pub fn share(files: usize, wanted: Wanted) -> Result<Places, TooFew> {
        if files < FILES_MIN {
            return Err(TooFew(files));
        }
        let others = files - OWN;
        // A quarter more than are in flight: some are being closed, or opened to a second address.
        let to_apps = (wanted.callbacks + wanted.callbacks / 4).min(others / 4);
        let callbacks = wanted.callbacks.min(to_apps - to_apps / 5);
        let rest = others - to_apps;
        let gateway = (rest / 6).min(HTTP_MAX);
        let api = (rest / 8).min(HTTP_MAX);
        let admin = (rest / 8).min(ADMIN_MAX);
        let text_refusals = (rest / 16).min(TEXT_REFUSALS_MAX);
        let left = rest - gateway - api - admin - text_refusals;
        let connections = wanted.connections.min(left);
        Ok(Places { files, connections, text_refusals, gateway, api, admin, callbacks })
    }

    /// One endpoint's part of the callbacks in flight, by what it wants of what all want.
    pub fn callbacks_of(&self, wants: usize, all_want: usize) -> usize {
        (wants * self.callbacks / all_want.max(1)).clamp(1, wants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_fit_below_the_limit_and_nobody_is_left_out() {
        for files in [128, 200, 256, 1_024, 4_096, 20_000, 65_536, 1_000_000, usize::MAX] {
            for connections in [1, 100, 10_000, 100_000, 10_000_000] {
                for callbacks in [1, 64, 1_024, 160_000] {
                    let places = Places::share(files, Wanted { connections, callbacks }).unwrap();
                    let Places { connections, text_refusals, gateway, api, admin, .. } = places;
                    let shares = [connections, text_refusals, gateway, api, admin];
                    let all = OWN + shares.iter().sum::<usize>() + places.callbacks;
                    assert!(all <= files, "{places:?}");
                    assert!(shares.iter().all(|share| *share > 0), "{places:?}");
                    assert!(places.callbacks >= 1, "{places:?}");
                }
            }
        }
    }

    #[test]
    fn clients_get_what_is_configured_or_what_is_left() {
        let share = |files| Places::share(files, Wanted { connections: 10_000, callbacks: 64 });
        let connections = [128, 256, 1_024, 4_096, 20_000, 65_536, usize::MAX].map(|files| {
            let places = share(files).unwrap();
            (places.connections, places.callbacks)
        });
        assert_eq!(
            connections,
            [(25, 13), (75, 39), (459, 64), (2_059, 64), (10_000, 64), (10_000, 64), (10_000, 64)]
        );
        let told = share(127).unwrap_err().to_string();
        assert!(told.starts_with("only 127 files may be open"), "{told}");
    }

    #[test]
    fn endpoints_share_what_there_is_by_what_they_want() {
        let places = Places::share(256, Wanted { connections: 1, callbacks: 128 }).unwrap();
        assert_eq!([100, 20, 7, 1].map(|wants| places.callbacks_of(wants, 128)), [30, 6, 2, 1]);
        let enough = Places::share(10_000, Wanted { connections: 1, callbacks: 128 }).unwrap();
        assert_eq!([100, 20, 7, 1].map(|wants| enough.callbacks_of(wants, 128)), [100, 20, 7, 1]);
    }
}
