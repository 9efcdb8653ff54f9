//! How many files the process may have open: each client takes one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Beside the clients: the store, ports, connections to the App.
const SPARE: u64 = 200;

/// Raises the limit as far as the system lets us, and warns if it is too low for all clients.
pub fn raise_limit(connections_max: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A system that says no leaves the limit as it is, which the warning then tells.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = connections_max as u64 + SPARE;
    if files < wanted {
        tracing::warn!(
            files,
            wanted,
            "fewer files may be open than clients may connect; raise the hard limit (ulimit -Hn, \
             LimitNOFILE in systemd) or lower gateway.connections_max"
        );
    }
}
