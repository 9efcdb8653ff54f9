//! Reads the environment: `HERALD_SECTION__KEY`, and `…_FILE` for secrets.

use super::{
    Origin, ReadFile,
    draft::Draft,
    file,
    keys::{ENDPOINTS, KEYS, Key, Written, variable},
    nearest::nearest,
    secret_file,
};
use std::{collections::BTreeMap, ffi::OsString, path::Path};

const PREFIX: &str = "HERALD_";
/// The variables of one secret; those of several have a line for each, or are written as in the file.
const HOLD_ONE: [&str; 3] = ["SECRET", "TOKEN", "BEARER"];

/// The variables of this process, whatever they hold. (`std::env::vars` panics on what is no text.)
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Reads all variables that are ours; one that means nothing is an error.
pub(super) fn read(
    draft: &mut Draft,
    env: impl IntoIterator<Item = (String, String)>,
    read_file: ReadFile<'_>,
) {
    let ours = |(name, value): &(String, String)| {
        name.starts_with(PREFIX) && !is_of_kubernetes(name, value)
    };
    let mut variables: BTreeMap<_, _> = env.into_iter().filter(ours).collect();
    for key in KEYS {
        match given(&mut variables, &key.variable(), key.secret, read_file) {
            Some((name, Ok(text))) => {
                draft.set(key, Origin::Environment(name), &Written::Bare(&text), &text);
            }
            Some((name, Err(wrong))) => draft.set_nothing(key, Origin::Environment(name), &wrong),
            None => {}
        }
    }
    match given(&mut variables, &variable(ENDPOINTS), true, read_file) {
        Some((name, Ok(text))) => file::read_endpoints(draft, &name, text.trim()),
        Some((name, Err(wrong))) => {
            draft.report(Origin::Environment(name), format!("{ENDPOINTS}: {wrong}"));
        }
        None => {}
    }
    for name in variables.into_keys() {
        let text = unknown(&name);
        draft.report(Origin::Environment(name), text);
    }
}

/// Which variable says something, and what: its own text, or that of the file that it names; without
/// the white space around it, which nobody means.
fn given(
    variables: &mut BTreeMap<String, String>,
    name: &str,
    secret: bool,
    read_file: ReadFile<'_>,
) -> Option<(String, Result<String, String>)> {
    let direct = variables.remove(name);
    let of_file = file_variable(name);
    let path = secret.then(|| variables.remove(&of_file)).flatten();
    match (direct, path) {
        (Some(_), Some(_)) => Some((of_file, Err(format!("{name} is set too; keep one of them")))),
        (Some(text), None) => Some((name.to_owned(), Ok(text.trim().to_owned()))),
        (None, Some(path)) => {
            let holds_one = HOLD_ONE.iter().any(|end| name.ends_with(end));
            let content = content(Path::new(path.trim()), holds_one, read_file);
            Some((of_file, content))
        }
        (None, None) => None,
    }
}

fn content(path: &Path, holds_one: bool, read_file: ReadFile<'_>) -> Result<String, String> {
    let read = if holds_one { secret_file::one } else { secret_file::text };
    let content = read_file(path).map_err(|error| error.to_string()).and_then(read);
    // Somebody may have written the secret itself in place of a path.
    let is_path = path.parent().is_some_and(|folder| folder != Path::new("") && folder.is_dir());
    content.map_err(|error| match is_path {
        true => format!("{} cannot be used: {error}", path.display()),
        false => format!("must name a file that holds the secret, by its path; what it says cannot be used: {error}"),
    })
}

fn file_variable(variable: &str) -> String {
    format!("{variable}_FILE")
}

fn unknown(name: &str) -> String {
    let endpoints = || std::iter::once(variable(ENDPOINTS));
    let secrets = KEYS.iter().filter(|key| key.secret).map(Key::variable).chain(endpoints());
    let all = KEYS.iter().map(Key::variable).chain(endpoints());
    let names: Vec<_> = all.chain(secrets.map(|name| file_variable(&name))).collect();
    // Without the prefix, which would make everything look alike.
    let mut candidates = names.iter().map(|name| &name[PREFIX.len()..]);
    let rest = &name[PREFIX.len()..];
    let without_section = format!("__{rest}");
    let meant = nearest(rest, candidates.clone())
        .or_else(|| candidates.find(|name| name.ends_with(&without_section)));
    match meant {
        Some(meant) => format!("unknown variable; did you mean {PREFIX}{meant}?"),
        None => "unknown variable; a key is set as HERALD_SECTION__KEY".to_owned(),
    }
}

/// Kubernetes tells every container of the services beside it, and one may be called herald:
/// `HERALD_SERVICE_HOST`, `HERALD_PORT`, `HERALD_PORT_10001_TCP_ADDR`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let of_service = name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let of_port = name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP"));
    let of_first_port = name.ends_with("_PORT") && value.contains("://");
    !name.contains("__") && (of_service || of_port || of_first_port)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Loaded, load};
    use expect_test::expect;
    use std::{io, path::Path};

    const SECRET: (&str, &str) = ("HERALD_AUTH__SECRET", "0123456789abcdef");

    fn check(env: &[(&str, &str)]) -> String {
        let read_file = |path: &Path| match path.to_str() {
            Some("/run/secret") => Ok(b"  of a file of its own\n".to_vec()),
            Some("/run/binary") => Ok(vec![0xff, 0xfe]),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        match load(None, env, false, &read_file) {
            Ok(loaded) => format!("{:?}\n", loaded.config.auth.secret.expose()),
            Err(errors) => format!("{errors}\n"),
        }
    }

    #[test]
    fn a_variable_is_read_by_the_type_of_its_key() {
        let variables = [
            ("HERALD_GATEWAY__READ_TIMEOUT", "30"),
            ("HERALD_GATEWAY__LISTEN", ""),
            ("HERALD_STORE__SYNC", "\"full\""),
            ("HERALD_CALLBACKS__CONCURRENCY_MAX", "many"),
            ("HERALD_CALLBACKS__CONCURRENCY_MAX", " 0 "),
            ("HERALD_CALLBACKS__ONLINE__ENABLE", "yes"),
            ("HERALD_AUTH__ADMIN_USERS", "imAdmin"),
            ("HERALD_GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8"),
            ("HERALD_CALLBACKS__URL", "https://a:hunter2@b\n\x1b[31m"),
            ("HERALD_CALLBACKS__URL", &format!("ftp://{}", "x".repeat(100))),
        ];
        let actual: String = variables.iter().map(|variable| check(&[*variable, SECRET])).collect();
        expect![[r#"
            environment HERALD_GATEWAY__READ_TIMEOUT: gateway.read_timeout = 30: expected a duration such as 30s
            environment HERALD_GATEWAY__LISTEN: gateway.listen = "": expected an address such as 0.0.0.0:10001
            environment HERALD_STORE__SYNC: store.sync = "full": expected full or normal
            environment HERALD_CALLBACKS__CONCURRENCY_MAX: callbacks.concurrency_max = many: expected a whole number such as 64
            environment HERALD_CALLBACKS__CONCURRENCY_MAX: callbacks.concurrency_max = 0: must be from 1 to 10000
            environment HERALD_CALLBACKS__ONLINE__ENABLE: callbacks.online.enable = yes: expected true or false
            environment HERALD_AUTH__ADMIN_USERS: auth.admin_users = imAdmin: expected a list such as ["imAdmin"]
            environment HERALD_GATEWAY__TRUSTED_PROXIES: gateway.trusted_proxies = 10.0.0.0/8: expected a list of texts in quotes, such as ["one", "another"]
            environment HERALD_CALLBACKS__URL: callbacks.url = https://***@b…: must not contain spaces or backslashes; write %20 for a space
            environment HERALD_CALLBACKS__URL: callbacks.url = ftp://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…: must begin with https:// or http://
        "#]].assert_eq(&actual);
    }

    #[test]
    fn a_variable_that_means_nothing_is_told_with_the_nearest_one() {
        let names = [
            "HERALD_GATEWAY_LISTEN",
            "HERALD_SECRET",
            "HERALD_ADMIN__TOKEN_FIL",
            "HERALD_GATEWAY__LISTEN_FILE",
            "HERALD_gateway__listen",
            "HERALD_API_PORT",
            "HERALD_",
            "HERALD_\n\x1b[31m",
        ];
        let actual: String = names.iter().map(|name| check(&[(name, "hunter2"), SECRET])).collect();
        expect![[r#"
            environment HERALD_GATEWAY_LISTEN: unknown variable; did you mean HERALD_GATEWAY__LISTEN?
            environment HERALD_SECRET: unknown variable; did you mean HERALD_AUTH__SECRET?
            environment HERALD_ADMIN__TOKEN_FIL: unknown variable; did you mean HERALD_ADMIN__TOKEN_FILE?
            environment HERALD_GATEWAY__LISTEN_FILE: unknown variable; did you mean HERALD_GATEWAY__LISTEN?
            environment HERALD_gateway__listen: unknown variable; did you mean HERALD_GATEWAY__LISTEN?
            environment HERALD_API_PORT: unknown variable; a key is set as HERALD_SECTION__KEY
            environment HERALD_: unknown variable; a key is set as HERALD_SECTION__KEY
            environment HERALD_??[31m: unknown variable; a key is set as HERALD_SECTION__KEY
        "#]].assert_eq(&actual);
    }

    #[test]
    fn a_secret_may_have_a_file_of_its_own() {
        let secret = |path| ("HERALD_AUTH__SECRET_FILE", path);
        let actual = [
            check(&[secret("/run/secret")]),
            check(&[secret("/run/secret"), SECRET]),
            check(&[secret("/run/binary")]),
            check(&[secret("/run/none")]),
            check(&[secret("hunter2-written-in-place-of-a-path")]),
            check(&[("HERALD_ADMIN__TOKEN_FILE", "/run/secret"), SECRET]),
        ];
        expect![[r#"
            "of a file of its own"
            environment HERALD_AUTH__SECRET_FILE: auth.secret: HERALD_AUTH__SECRET is set too; keep one of them
            environment HERALD_AUTH__SECRET_FILE: auth.secret: /run/binary cannot be used: it is no text in UTF-8; save it as plain text
            environment HERALD_AUTH__SECRET_FILE: auth.secret: /run/none cannot be used: entity not found
            environment HERALD_AUTH__SECRET_FILE: auth.secret: must name a file that holds the secret, by its path; what it says cannot be used: entity not found
            environment HERALD_ADMIN__TOKEN_FILE: admin.token = ***: must be at least 16 characters, ASCII and without spaces
        "#]].assert_eq(&actual.concat());
    }

    /// A Kubernetes Secret made with `echo`, a `.env` file with Windows' line breaks.
    #[test]
    fn white_space_around_a_value_does_not_count_whichever_way_it_comes() {
        const TOKEN: &str = "0123456789abcdef";
        const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let exposed = |loaded: Loaded| {
            let Config { auth, admin, callbacks, .. } = loaded.config;
            let headers = callbacks.headers.iter().map(|(_, value)| value.expose().to_owned());
            let secrets = callbacks.secrets.iter().map(|secret| secret.expose().to_owned());
            let single = [Some(auth.secret), admin.token, callbacks.bearer];
            let single = single.map(|secret| secret.unwrap().expose().to_owned());
            single.into_iter().chain(secrets).chain(headers).collect::<Vec<_>>()
        };
        let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        for (before, after) in [("", ""), ("", "\n"), (" ", ""), ("", "\r\n"), ("\t\n", " \n\n")] {
            let spaced = |text: &str| format!("{before}{text}{after}");
            let variables = [
                ("HERALD_AUTH__SECRET", spaced(TOKEN)),
                ("HERALD_ADMIN__TOKEN", spaced(TOKEN)),
                ("HERALD_CALLBACKS__BEARER", spaced(TOKEN)),
                ("HERALD_CALLBACKS__SECRETS", spaced(SIGNING)),
                ("HERALD_CALLBACKS__HEADERS", spaced(&format!("{{ X-Key = \"\\t{TOKEN}\\n\" }}"))),
                ("HERALD_GATEWAY__READ_TIMEOUT", spaced("40s")),
                ("HERALD_STORE__PATH", spaced("/data")),
                ("HERALD_CALLBACKS__SDK_NAME", spaced("sdk")),
            ];
            let env = variables.map(|(name, value)| (name.to_owned(), value));
            let loaded = load(None, env, false, &no_file).unwrap();
            assert_eq!(loaded.config.gateway.read_timeout.as_secs(), 40);
            assert_eq!(loaded.config.store.path, Path::new("/data"));
            assert_eq!(loaded.config.callbacks.sdk_name, "sdk");
            let expected = [TOKEN, TOKEN, TOKEN, SIGNING, TOKEN];
            assert_eq!(exposed(loaded), expected, "{before:?} {after:?}");

            let quoted = |text: &str| format!("{:?}", spaced(text));
            let (token, signing) = (quoted(TOKEN), quoted(SIGNING));
            let file = format!(
                "auth.secret = {token}\nadmin.token = {token}\ncallbacks.bearer = {token}\n\
                 callbacks.secrets = [{signing}]\ncallbacks.headers = {{ X-Key = {token} }}\n"
            );
            let loaded = load(Some(("herald.toml", &file)), [], false, &no_file).unwrap();
            assert_eq!(exposed(loaded), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_secret_of_white_space_is_none() {
        let blank = [("HERALD_AUTH__SECRET", " \n"), ("HERALD_ADMIN__TOKEN", "\n")];
        assert!(check(&blank).contains("auth.secret: missing"), "{}", check(&blank));
        let told = check(&[("HERALD_ADMIN__TOKEN", " \n"), SECRET]);
        assert_eq!(told, "\"0123456789abcdef\"\n");
    }

    #[test]
    fn secrets_that_sign_are_a_list_or_a_line_for_each() {
        const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        const OLD: &str = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh";
        let read_file = |_: &Path| Ok(format!("{NEW}\n{OLD}\n").into_bytes());
        let check = |name: &str, value: &str| {
            let variables = [(name, value), SECRET];
            let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            load(None, env, false, &read_file).map(|loaded| {
                let secrets = loaded.config.callbacks.secrets;
                secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
            })
        };
        let name = "HERALD_CALLBACKS__SECRETS";
        for (name, value, expected) in [
            (name, format!("[\"{NEW}\", '{OLD}']"), vec![NEW, OLD]),
            (name, format!(" {NEW} "), vec![NEW]),
            (name, format!("{NEW} {OLD}"), vec![NEW, OLD]),
            (name, String::new(), vec![]),
            (name, "[]".to_owned(), vec![]),
            ("HERALD_CALLBACKS__SECRETS_FILE", "/run/secrets".to_owned(), vec![NEW, OLD]),
        ] {
            assert_eq!(check(name, &value).unwrap(), expected, "{name}={value}");
        }
        let told = [format!("{NEW},{OLD}"), "[hunter2".to_owned()].map(|text| check(name, &text));
        let told = told.map(|errors| errors.unwrap_err().to_string()).join("\n");
        expect![[r#"
            environment HERALD_CALLBACKS__SECRETS: callbacks.secrets = ***: must be whsec_ and Base64 with its padding, as "whsec_$(openssl rand -base64 32)"
            environment HERALD_CALLBACKS__SECRETS: callbacks.secrets = ***: expected a list of texts in quotes"#]].assert_eq(&told);
    }

    #[test]
    fn a_service_called_herald_in_kubernetes_sets_nothing() {
        let env = [
            ("HERALD_SERVICE_HOST", "10.0.0.1"),
            ("HERALD_SERVICE_PORT_GATEWAY", "10001"),
            ("HERALD_PORT", "tcp://10.0.0.1:10001"),
            ("HERALD_API_PORT", "tcp://10.0.0.1:10002"),
            ("HERALD_PORT_10001_TCP_ADDR", "10.0.0.1"),
            SECRET,
        ];
        expect![[r#"
            "0123456789abcdef"
        "#]]
        .assert_eq(&check(&env));
    }

    #[test]
    fn further_endpoints_are_written_as_in_the_file_and_take_the_place_of_those_there() {
        let file =
            "[auth]\nsecret = '0123456789abcdef'\n[[callbacks.endpoints]]\nname = 'of-file'\n";
        let check = |rest: &str, name: &str, value: &str| {
            let file = file.to_owned() + rest;
            let env = [(name.to_owned(), value.to_owned())];
            let read_file = |path: &Path| match path.to_str() {
                Some("/run/endpoints") => Ok(b"[{ name = 'z', url = 'http://z' }]\n".to_vec()),
                _ => Err(io::Error::from(io::ErrorKind::NotFound)),
            };
            match load(Some(("a.toml", &file)), env, false, &read_file) {
                Err(errors) => format!("{errors}\n"),
                Ok(loaded) => {
                    let called = |(name, _): (&str, _)| {
                        format!(
                            "{name}: {}",
                            loaded.origins.of(&format!("callbacks.endpoints.{name}.url"))
                        )
                    };
                    loaded.config.endpoints().map(called).collect::<Vec<_>>().join(", ") + "\n"
                }
            }
        };
        const NAME: &str = "HERALD_CALLBACKS__ENDPOINTS";
        let url = "url = 'http://f'";
        let actual = [
            check(
                url,
                NAME,
                "[{name=\"audit\",url=\"http://a\"},\n {name=\"b\",url=\"http://b\"}]",
            ),
            check(url, NAME, "[]"),
            check(url, "HERALD_CALLBACKS__ENDPOINTS_FILE", "/run/endpoints"),
            check(url, "HERALD_CALLBACKS__ENDPOINTS_FILE", "/run/none"),
            check("", NAME, "[]"),
            check("url = 7", NAME, "[{ name = 'audit', url = 'a', bearer = 'hunter 2' }, 7]"),
            check(url, NAME, ""),
            check(url, NAME, "audit"),
            check(url, NAME, "[{ name = 'audit', secrets = [hunter2] }]"),
            check(url, NAME, "{ name = 'audit', url = 'http://a' }"),
            check(url, NAME, "[]\nauth.secret = 'other'"),
            check(url, "HERALD_CALLBACKS_ENDPOINTS", "[]"),
        ];
        expect![[r#"
            audit: environment HERALD_CALLBACKS__ENDPOINTS, b: environment HERALD_CALLBACKS__ENDPOINTS

            z: environment HERALD_CALLBACKS__ENDPOINTS_FILE
            environment HERALD_CALLBACKS__ENDPOINTS_FILE: callbacks.endpoints: /run/none cannot be used: entity not found

            a.toml:5: callbacks.endpoints.of-file.url = 7: expected a text in quotes
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints[1]: must be a table with a name and a url
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints.audit.bearer = ***: must be at most 4096 characters, ASCII and without spaces
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints.audit.url = 'a': must begin with https:// or http://
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints: expected a list such as [{ name = "audit", url = "https://…" }]; string values must be quoted, expected literal string
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints: expected a list such as [{ name = "audit", url = "https://…" }]; string values must be quoted, expected literal string
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints: expected a list such as [{ name = "audit", url = "https://…" }]; string values must be quoted, expected literal string
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints: is a list; write [[callbacks.endpoints]] above each of them
            environment HERALD_CALLBACKS__ENDPOINTS: callbacks.endpoints: expected a list such as [{ name = "audit", url = "https://…" }]; unexpected content, expected nothing
            environment HERALD_CALLBACKS_ENDPOINTS: unknown variable; did you mean HERALD_CALLBACKS__ENDPOINTS?
        "#]].assert_eq(&actual.concat());
    }
}
