//! `herald app`: runs the sample App; one JSON line for each callback on stdout.

use super::{Failure, StopSignals};
use anyhow::Context;
use contract::Dialect;
use http::StatusCode;
use receiver::{Applied, Event, Receiver};
use serde_json::json;
use server::{
    app::{self, Faults},
    entropy::{self, OperatingSystem},
    listener::Listener,
    logging::{self, Queue},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How much output may wait for its reader; what is more is left out.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long the end waits for it.
const OUTPUT_FLUSH_MAX: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:10006")]
    listen: SocketAddr,
    /// The sdkName it expects, if Herald sends one
    #[arg(long, value_name = "NAME")]
    sdk_name: Option<String>,
    /// Take only what is signed with it (one of Herald's callbacks.secrets); may be given twice
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Which share of callbacks fails
    #[arg(long, default_value = "0%", value_parser = share, value_name = "SHARE")]
    fail: f64,
    /// With which HTTP status they fail
    #[arg(long, default_value = "503", value_parser = status)]
    status: StatusCode,
    /// Which share is never answered
    #[arg(long, default_value = "0%", value_parser = share, value_name = "SHARE")]
    hang: f64,
    /// Of which share the connection is closed without an answer
    #[arg(long, default_value = "0%", value_parser = share, value_name = "SHARE")]
    drop: f64,
    /// Which share is taken, and answered with bytes that are no answer; all without a value
    #[arg(long, default_value = "0%", default_missing_value = "100%", num_args = 0..=1,
          value_parser = share, value_name = "SHARE")]
    garbage: f64,
    /// Makes the n-th request meet the same fault in each run with it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long every answer takes
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// Whose going online is refused; may be given several times
    #[arg(long, value_name = "USER")]
    refuse: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut stop_signals = StopSignals::listen()?;
    let mut receiver = Receiver::new().sdk_name(arguments.sdk_name.unwrap_or_default());
    if !arguments.secret.is_empty() {
        receiver = receiver.secrets(&arguments.secret).context("--secret")?;
    }
    let faults = Faults {
        fail: arguments.fail,
        status: arguments.status,
        hang: arguments.hang,
        drop: arguments.drop,
        garbage: arguments.garbage,
        delay: arguments.delay,
        refuse: arguments.refuse.into_iter().collect(),
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::from_be_bytes(entropy::bytes(&OperatingSystem))),
    };
    let together = faults.fail + faults.hang + faults.drop + faults.garbage;
    if together > 1.0 + f64::EPSILON {
        let told = "--fail, --hang, --drop and --garbage are more than 100% together";
        return Err(anyhow::anyhow!(told).into());
    }
    // An App that is slow because nobody reads its output would be no good example.
    let lines = Queue::start("herald-app-output", OUTPUT_BYTES_MAX, std::io::stdout(), |_| {});
    let lines = Arc::new(lines);
    let told = {
        let lines = Arc::clone(&lines);
        move |event: &Event, applied: &Applied| lines.push(line(event, applied).as_bytes())
    };
    let router = app::router(receiver, faults, Box::new(told));
    let listener = Listener::bind(arguments.listen, Duration::from_secs(10)).await;
    let taken = || format!("cannot listen on {}; give another with --listen", arguments.listen);
    let listener = listener.with_context(taken)?;
    let address = listener.address()?;
    logging::say(&format!(
        "the sample App listens on http://{address}; set callbacks.url to http://{address}/callback"
    ));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(router, stop.clone()));
    stop_signals.next().await;
    stop.cancel();
    serving.await?;
    lines.flush(OUTPUT_FLUSH_MAX);
    Ok(())
}

fn line(event: &Event, applied: &Applied) -> String {
    let line = json!({
        "command": Dialect::Classic.command(event.kind), "userID": event.user_id, "seq": event.seq,
        "connID": event.conn_id, "isAppBackground": event.is_app_background,
        "operationID": event.operation_id, "view": format!("{applied:?}").to_lowercase(),
    });
    format!("{line}\n")
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a share such as 20%".into()),
    }
}

fn status(text: &str) -> Result<StatusCode, String> {
    text.parse().map_err(|_| "expected an HTTP status such as 503".into())
}
