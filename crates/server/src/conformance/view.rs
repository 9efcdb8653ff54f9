//! Where an App shows who is online: a page, or what a command prints. Whoever is named there is online.

use super::{
    line::{self, Silence},
    script::Sent,
};
use crate::trust::Trust;
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{process::Command, time::timeout};

/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(5);

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
    shell.arg("-c").arg(command).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(WITHIN, shell.output()).await.map_err(|_| "it takes longer than 5 s")?;
    let output = ended.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ends with {}", output.status));
    }
    Ok(output.stdout)
}

fn in_words(silence: Silence) -> String {
    match silence {
        Silence::Unreachable(why) | Silence::Broken(why) => why,
        Silence::Late => "no answer within 5 s".to_owned(),
    }
}
