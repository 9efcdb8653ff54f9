//! An App as a process of its own, and `herald conformance` against it.

use super::{
    eventually, places,
    spawned::{self, Spawned},
};
use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
};
use tokio::net::TcpStream;

/// Known to nobody else.
pub const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Tried {
    pub address: SocketAddr,
    _child: Spawned,
}

impl Tried {
    /// Starts what `command` makes of a free address, and waits until it listens.
    pub async fn start(command: impl FnOnce(SocketAddr) -> Command) -> Tried {
        let [address] = places::of_our_own();
        Tried::start_at(address, command(address)).await
    }

    /// The same for a program that listens there.
    pub async fn start_at(address: SocketAddr, mut command: Command) -> Tried {
        let child = Spawned::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        eventually("the App listens", || async { TcpStream::connect(address).await.is_ok() }).await;
        Tried { address, _child: child }
    }

    pub fn url(&self) -> String {
        format!("http://{}/callback", self.address)
    }
}

/// `herald` with these arguments.
pub fn herald(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(arguments).current_dir(std::env::temp_dir());
    command
}

/// `herald conformance` with these arguments, to its end.
pub fn conformance(arguments: &[&str]) -> Output {
    spawned::output(herald(&["conformance"]).args(arguments))
}

/// Every case passes, and there are at least so many.
pub fn passes(arguments: &[&str], cases_min: u64) {
    let output = conformance(&[arguments, &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!((output.status.code(), &told["failed"]), (Some(0), &0.into()), "{told:#}");
    assert!(told["passed"].as_u64().unwrap() >= cases_min, "{told:#}");
}
