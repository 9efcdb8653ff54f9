//! Where an App shows who is online: a page, or what a command prints. Whoever is named there is online.

use super::{
    line::{self, Silence},
    script::Sent,
};
use crate::trust::Trust;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{io, process::Stdio, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How much it may print.
const PRINTED_BYTES_MAX: u64 = 64 << 20;

/// The place.
#[derive(Debug, Clone)]
pub enum View {
    /// Read by GET.
    Url(String),
    /// Run by `sh -c`; its standard output counts.
    Command(String),
}

impl View {
    /// Whether a user is named there.
    pub(super) async fn shows(&self, user: &str, tls: Option<&Arc<Trust>>) -> Result<bool, String> {
        let text = match self {
            View::Url(url) => {
                let tls = tls.filter(|_| url.starts_with("https:"));
                let reply = line::send(Sent::get(url), tls).await.map_err(in_words)?;
                if reply.status != 200 {
                    return Err(format!("it is answered {}", reply.status));
                }
                reply.body.to_vec()
            }
            View::Command(command) => run(command).await?,
        };
        Ok(String::from_utf8_lossy(&text).contains(user))
    }
}

async fn run(command: &str) -> Result<Vec<u8>, String> {
    let mut shell = Command::new("sh");
    // A group of its own, so that what it starts ends with it.
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut shell = shell.spawn().map_err(|error| error.to_string())?;
    let group = shell.id().and_then(|id| Pid::from_raw(id as i32));
    let mut printed = Vec::new();
    let stdout = shell.stdout.take().expect("it is piped");
    let ends = async {
        stdout.take(PRINTED_BYTES_MAX + 1).read_to_end(&mut printed).await?;
        if printed.len() as u64 > PRINTED_BYTES_MAX {
            return Err(io::Error::other(format!("it prints more than {PRINTED_BYTES_MAX} bytes")));
        }
        let status = shell.wait().await?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("it ends with {status}")))
        }
    };
    let ended = timeout(WITHIN, ends).await;
    let ended = ended.unwrap_or_else(|_| Err(io::Error::other("it takes longer than 5 s")));
    if ended.is_err() {
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = shell.wait().await;
    }
    ended.map(|()| printed).map_err(|error| error.to_string())
}

fn in_words(silence: Silence) -> String {
    match silence {
        Silence::Unreachable(why) | Silence::Broken(why) => why,
        Silence::Late => "no answer within 5 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_ends_with_all_that_it_started_and_prints_so_much() {
        let shows = async |command: &str| View::Command(command.into()).shows("u1", None).await;
        assert_eq!(shows("echo u1").await, Ok(true));
        assert_eq!(shows("echo u2").await, Ok(false));
        assert_eq!(shows("exit 3").await, Err("it ends with exit status: 3".into()));
        assert_eq!(shows("yes").await, Err("it prints more than 67108864 bytes".into()));
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}; wait", pid.display());
        assert_eq!(shows(&command).await, Err("it takes longer than 5 s".into()));
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Whoever inherits it may not have seen its end yet.
        for _ in 0..1_000 {
            if state().is_empty() || state().contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it still runs: {}", state());
    }
}
