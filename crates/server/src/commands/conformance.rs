//! `herald conformance`: tries an App and prints a table.

use super::Failure;
use anyhow::{Context, ensure};
use http::Uri;
use serde_json::json;
use server::{
    clock::SystemClock,
    conformance::{Row, Tested, USER_PREFIX, View, play},
    trust::{TlsFiles, Trust},
};
use std::{io::Write, path::PathBuf, sync::Arc};

const HEAD: &str = "CASE                               \
    SENT                                       EXPECTED                 GOT";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The App's callback URL, such as http://127.0.0.1:10006/callback
    url: String,
    /// Sign with it (one of Herald's callbacks.secrets), and try bad signatures too
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// The sdkName that the App expects; others are tried too
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    sdk_name: String,
    /// Try background callbacks too, which Herald sends with callbacks.background.enable = true. With a view it
    /// is looked at whether the user stays online, not at what the App keeps of the background
    #[arg(long)]
    background: bool,
    /// A PEM file with the certificates to trust for https, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the App shows who is online, such as http://127.0.0.1:10006/online: any text (JSON, HTML); whoever is
    /// named there is online. With it the App's view is looked at, after late, repeated and older callbacks too
    #[arg(long, value_name = "URL", conflicts_with = "view_command")]
    view: Option<String>,
    /// The same as a command that prints who is online, such as "psql -c 'SELECT …'"
    #[arg(long, value_name = "COMMAND")]
    view_command: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Exits 1 if a case failed, 2 if none could be tried.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let tested = tested(&arguments).map_err(Failure::NotTried)?;
    let table = !arguments.json;
    let (mut head, mut section) = (Some(HEAD), "");
    let told = |row: &Row| {
        if table {
            head.take().into_iter().for_each(print);
            if section != row.section {
                section = row.section;
                print(&format!("\n{section}"));
            }
            print(&line(row));
        }
    };
    let rows = play(&tested, &SystemClock::start(), told).await;
    let rows = rows.map_err(|error| Failure::NotTried(error.into()))?;
    let failed = rows.iter().filter(|row| !row.passed).count();
    let passed = rows.len() - failed;
    if table {
        print(&format!("\n{passed} passed, {failed} failed; test users begin with {USER_PREFIX}"));
        let refused = rows.iter().any(|row| row.got.starts_with("401") && !row.passed);
        if tested.secret.is_none() {
            print(match refused {
                true => {
                    "The App answers 401: if it wants signatures, say its secret: --secret whsec_…"
                }
                false => "Signatures were not tried: --secret whsec_…",
            });
        }
        if !tested.background {
            print("Background callbacks were not tried: --background");
        }
        if tested.view.is_none() {
            print(
                "The App's view was not looked at: an App that ignores seq, or takes a kick-off for an \
                 offline, passes all the same. Say where it shows who is online: --view URL, or \
                 --view-command COMMAND",
            );
        }
    } else {
        let json = json!({ "url": arguments.url, "passed": passed, "failed": failed, "viewChecked": tested.view.is_some(), "cases": rows });
        print(&json.to_string());
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Told) }
}

fn tested(arguments: &Arguments) -> anyhow::Result<Tested> {
    let uri = web_uri(&arguments.url).context("the URL")?;
    arguments.view.as_deref().map(web_uri).transpose().context("--view")?;
    // A machine without CA certificates can still speak plain HTTP.
    let is_secure = uri.scheme_str() == Some("https");
    let files = TlsFiles { ca: arguments.ca.clone(), client: None };
    let trust = || Trust::new(files, Arc::new(SystemClock::start())).map(Arc::new);
    let tls = is_secure.then(trust).transpose();
    let secret = arguments.secret.as_ref().map(|secret| secret.parse());
    Ok(Tested {
        background: arguments.background,
        url: arguments.url.clone(),
        tls: tls.context("--ca")?,
        secret: secret.transpose().context("--secret")?,
        sdk_name: arguments.sdk_name.clone(),
        view: match (&arguments.view, &arguments.view_command) {
            (Some(url), _) => Some(View::Url(url.clone())),
            (None, command) => command.clone().map(View::Command),
        },
    })
}

fn web_uri(text: &str) -> anyhow::Result<Uri> {
    let uri: Uri = text.parse().with_context(|| format!("{text:?} is not a URL"))?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    ensure!(is_web, "{text:?} must begin with http:// or https://");
    Ok(uri)
}

fn line(row: &Row) -> String {
    let verdict = if row.passed { "PASS" } else { "FAIL" };
    format!("{:<34} {:<42} {:<19} {verdict} {}", row.name, row.sent, row.expected, row.got)
}

fn print(line: &str) {
    // Nobody reads any more: the exit code still tells.
    let _ = writeln!(std::io::stdout(), "{line}");
}
