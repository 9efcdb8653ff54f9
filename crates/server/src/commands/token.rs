//! `herald token`: a client's token, signed with the configured secret.

use super::{Failure, load_config, print};
use presence::Platform;
use server::{
    clock::{Clock, SystemClock},
    said,
};
use std::path::PathBuf;
use wire::token::Keys;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Whose token
    #[arg(long)]
    user: String,
    /// ios, android, windows, osx, web, miniweb, linux, apad, ipad, admin, harmonyos, or 1 to 11
    #[arg(long, value_parser = platform)]
    platform: Platform,
    /// The configuration file with auth.secret
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the secret that everybody knows if none is set: for development only
    #[arg(long)]
    dev: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = load_config(arguments.config.as_deref(), arguments.dev)?.config;
    if config.auth.known_tokens_only {
        let why = "the server would not know this token (auth.known_tokens_only is true); get one \
                   from its API: /auth/get_user_token";
        return Err(anyhow::anyhow!(why).into());
    }
    let problem = |problem| anyhow::anyhow!("--user {problem}");
    said::check_user(&arguments.user).map_err(problem)?;
    let now_s = (SystemClock::start().now().wall.0 / 1000) as i64;
    let expiry_s = config.auth.token_expiry.as_secs() as i64;
    let platform = wire::platform::Platform::from_id(arguments.platform.id().into())
        .expect("both lists are OpenIM's");
    let keys = Keys::new(config.auth.secret.expose().as_bytes());
    print(&format!("{}\n", keys.issue(&arguments.user, platform, now_s, expiry_s)))
}

fn platform(text: &str) -> Result<Platform, String> {
    let by_number = text.parse().ok().and_then(Platform::from_id);
    let mut named = Platform::ALL.into_iter();
    let by_name = named.find(|platform| platform.name().eq_ignore_ascii_case(text));
    by_number.or(by_name).ok_or_else(|| "not a platform; try web, ios or android".into())
}
