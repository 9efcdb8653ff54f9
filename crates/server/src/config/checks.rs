//! What one value must be, beside being of its type. The text says what to write instead.

#![allow(clippy::ptr_arg, reason = "the table hands out what a field is, not what it derefs to")]

use super::{Headers, MAIN, Secret, setting::Setting};
use crate::peer::Network;
use contract::signature::SigningSecret;
use std::{collections::BTreeSet, path::PathBuf};
use url::Url;

/// What a value must be: `Err` says it in words.
type Checked = Result<(), String>;

pub(super) fn anything<T>(_: &T) -> Checked {
    Ok(())
}

pub(super) fn between<T: Setting + PartialOrd>(min: T, max: T) -> impl Fn(&T) -> Checked {
    move |value| {
        must((&min..=&max).contains(&value), || {
            format!("must be from {} to {}", min.show(), max.show())
        })
    }
}

pub(super) fn if_set<T>(check: impl Fn(&T) -> Checked) -> impl Fn(&Option<T>) -> Checked {
    move |value| value.as_ref().map_or(Ok(()), &check)
}

/// One that signs tokens.
pub(super) fn long_secret(secret: &Secret) -> Checked {
    must(secret.expose().len() >= 8, || {
        "has fewer than 8 characters, so that tokens can be guessed; write a longer one".to_owned()
    })
}

/// What the default file shows as an example, anybody knows.
pub(super) const EXAMPLE_SECRET: &str = "a long text that nobody can guess";

pub(super) fn own_secret(secret: &Secret) -> Checked {
    must(secret.expose() != EXAMPLE_SECRET, || {
        "must be one of your own, and this is the example of the documentation; make one with openssl rand -base64 32".to_owned()
    })
}

pub(super) fn strong_token(token: &Secret) -> Checked {
    let token = token.expose();
    must(token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic()), || {
        "must be at least 16 characters, ASCII and without spaces".to_owned()
    })
}

pub(super) fn signing_secrets(secrets: &Vec<Secret>) -> Checked {
    must(secrets.len() <= 2, || {
        "must be at most two: the newest first, then the one that it replaces".to_owned()
    })?;
    for secret in secrets {
        secret.expose().parse::<SigningSecret>().map_err(|error| error.to_string())?;
    }
    must(secrets.len() < 2 || secrets[0] != secrets[1], || "must differ from each other".to_owned())
}

/// How long a header, or a bearer token, may be.
const HEADER_BYTES_MAX: usize = 4096;
const HEADERS_MAX: usize = 32;

/// Herald's own headers, and those by which HTTP itself works. Also what begins with `webhook-` or
/// `herald-`.
const OWN_HEADERS: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "operationid",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

pub(super) fn headers(headers: &Headers) -> Checked {
    must(headers.iter().count() <= HEADERS_MAX, || format!("must be at most {HEADERS_MAX}"))?;
    let mut names = BTreeSet::new();
    for (name, value) in headers.iter() {
        let lower = name.to_ascii_lowercase();
        must(http::HeaderName::from_bytes(name.as_bytes()).is_ok(), || {
            format!("{name:?} is no name of a header; write one as \"X-Tenant\"")
        })?;
        let own = OWN_HEADERS.contains(&lower.as_str())
            || ["webhook-", "herald-"].iter().any(|prefix| lower.starts_with(prefix));
        must(!own, || format!("{name} is set by Herald itself; take it out"))?;
        must(fits_header(value), || {
            format!(
                "the value of {name} must be 1 to {HEADER_BYTES_MAX} characters, ASCII, with \
                 spaces only inside"
            )
        })?;
        must(names.insert(lower), || format!("{name} is there twice"))?;
    }
    Ok(())
}

fn fits_header(value: &Secret) -> bool {
    let text = value.expose();
    let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (1..=HEADER_BYTES_MAX).contains(&text.len()) && visible && text.trim() == text
}

pub(super) fn bearer(token: &Secret) -> Checked {
    must(fits_header(token) && !token.expose().contains(' '), || {
        format!("must be at most {HEADER_BYTES_MAX} characters, ASCII and without spaces")
    })?;
    must(!token.expose().eq_ignore_ascii_case("bearer"), || "must be the token alone".to_owned())
}

pub(super) fn endpoint_name(name: &str) -> Checked {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    must((1..=32).contains(&name.len()) && name.chars().all(fits), || {
        "must be 1 to 32 letters, digits, - and _".to_owned()
    })?;
    must(name != MAIN, || "is the name of the endpoint of [callbacks]; write another".to_owned())
}

pub(super) fn names(names: &Vec<String>) -> Checked {
    must(!names.iter().any(|name| name.trim().is_empty()), || {
        "must not contain an empty name; [] for nobody".to_owned()
    })
}

pub(super) fn networks(networks: &Vec<String>) -> Checked {
    let wrong = networks.iter().find(|network| network.parse::<Network>().is_err());
    wrong.map_or(Ok(()), |wrong| {
        Err(format!("{wrong:?} is neither an address nor a network such as \"10.0.0.0/8\""))
    })
}

pub(super) fn path(path: &PathBuf) -> Checked {
    must(!path.as_os_str().is_empty(), || "must not be empty; \".\" is this folder".to_owned())
}

pub(super) fn sdk_name(name: &String) -> Checked {
    must(name.chars().count() <= 64 && !name.chars().any(char::is_control), || {
        "must be at most 64 printable characters".to_owned()
    })
}

pub(super) fn callback_url(url: &String) -> Checked {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or("must begin with https:// or http://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let unfit = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let wrong = if url.contains(unfit) {
        "must not contain spaces or backslashes; write %20 for a space"
    } else if authority.contains('@') {
        "must not contain a user or password; put a token into the path or query instead"
    } else if authority.contains(['{', '}', '$']) {
        "must name a host; this is a placeholder that nobody filled in"
    } else if authority.ends_with(':') {
        "must name a host and, after its colon, a port; was https:// written twice?"
    } else if authority.split(':').next().is_some_and(|host| host.contains("..")) {
        "must name a host; a part of its name is empty"
    } else if authority.is_empty() || authority.starts_with(':') {
        "must have a host, as https://app.example/callback"
    } else if rest.contains('#') {
        "must not have a fragment: what follows # is never sent"
    } else {
        // By the parser of the one who sends.
        match Url::parse(url) {
            Ok(parsed) if parsed.port() == Some(0) => "must not be on port 0: nobody listens there",
            Ok(parsed) if parsed.host_str().is_some_and(|host| host.contains('*')) => {
                "must name one host: there is no address for a *"
            }
            Ok(parsed) if matches!(parsed.host_str(), Some("0.0.0.0" | "[::]")) => {
                "must name where the App is; on this machine that is 127.0.0.1"
            }
            Ok(_) => return Ok(()),
            Err(error) => return Err(format!("is no URL: {error}")),
        }
    };
    Err(wrong.to_owned())
}

/// The crates that log.
const MODULES: [&str; 8] = [
    "server",
    "herald",
    "store",
    "hyper",
    "hyper_util",
    "rustls",
    "tungstenite",
    "tokio_tungstenite",
];

/// A level, or levels by module. The log's own parser takes any word for a module and then logs
/// nothing, so that a typo would be found out too late.
pub(super) fn levels(directives: &String) -> Checked {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level =
        |level: &str| LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level.trim()));
    let is_module = |module: &str| {
        module.trim().split("::").next().is_some_and(|crate_name| MODULES.contains(&crate_name))
    };
    let is_known = |directive: &str| match directive.rsplit_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(directive),
    };
    // Spans cannot be named: that would take an engine for regular expressions.
    let is_about_spans = directives.contains(['[', '{']);
    must(!is_about_spans && directives.split(',').all(is_known), || {
        let levels = LEVELS.join(", ");
        let modules = MODULES.join(", ");
        format!(
            "expected {levels}, or levels by module as \"info,server::gateway=debug\" (modules of {modules})"
        )
    })
}

fn must(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(text()) }
}
