//! The configuration: a file's text, and after a line `---` the environment, `NAME=value` a line.
//! What settings name is opened from memory.

use crate::within;
use server::config::{Config, Loaded, Origins, dump, load};
use std::{io, path::Path};

const BYTES_PER_BYTE: usize = 256;
/// Defaults, origins, messages.
const BYTES_LEAST: usize = 256 * 1024;
/// No text that is shown may hold it.
const CANARY: &str = "sings-like-a-canary";

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (file, env) = text.split_once("\n---\n").unwrap_or((text, ""));
    let mut env: Vec<_> = env.lines().filter_map(|line| line.split_once('=')).map(owned).collect();
    for dev in [false, true] {
        read(file, &env, dev);
    }
    if !text.contains(CANARY) {
        env.push(owned(("HERALD_AUTH__SECRET", CANARY)));
        for token in [CANARY.to_owned(), format!("not {CANARY}")] {
            env.push(("HERALD_ADMIN__TOKEN".to_owned(), token));
            read(file, &env, false);
        }
    }
}

fn read(file: &str, env: &[(String, String)], dev: bool) {
    let bytes_max = BYTES_PER_BYTE * (file.len() + env.len()) + BYTES_LEAST;
    let env = env.to_vec();
    match within(bytes_max, || load(Some(("herald.toml", file)), env, dev, &read_file)) {
        Ok(loaded) => {
            let shown = format!("{loaded:?} {}", dump(&loaded.config, &loaded.origins));
            assert!(!shown.contains(CANARY), "{shown}");
            check_dump(&loaded, dev);
        }
        Err(errors) => {
            for error in errors.iter().map(ToString::to_string) {
                assert!(!error.contains(CANARY), "{error}");
                assert!(!error.contains(char::is_control), "not one line: {error:?}");
            }
        }
    }
}

/// A dump, its secrets and the queries of its URLs filled in, is read as the same configuration.
fn check_dump(loaded: &Loaded, dev: bool) {
    let Config { auth, admin, .. } = &loaded.config;
    let token = admin.token.as_ref().map_or("", |token| token.expose());
    let previous = auth.previous_secret.as_ref().map_or("", |secret| secret.expose());
    let further = loaded.config.further_endpoints.iter().map(|endpoint| &endpoint.callbacks);
    let mut urls = std::iter::once(&loaded.config.callbacks).chain(further);
    let mut url = || urls.next().and_then(|callbacks| callbacks.url.clone()).unwrap_or_default();
    let mut unmasked = |line: &str| match line.split_once(" = ") {
        Some(("url", _)) => format!("url = {}\n", quoted(&url())),
        Some(("previous_secret", _)) => format!("previous_secret = {}\n", quoted(previous)),
        Some(("secret", _)) => format!("secret = {}\n", quoted(auth.secret.expose())),
        Some(("token", _)) => format!("token = {}\n", quoted(token)),
        _ => format!("{line}\n"),
    };
    let text: String =
        dump(&loaded.config, &Origins::default()).lines().map(&mut unmasked).collect();
    let again = load(Some(("dump.toml", &text)), [], dev, &read_file);
    assert_eq!(again.map(|again| again.config), Ok(loaded.config.clone()), "{text}");
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----".to_vec()),
        Some("secret") => Ok(b" a secret of its own \n".to_vec()),
        Some("binary") => Ok(vec![0xff, 0xfe]),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}
