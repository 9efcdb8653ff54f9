//! What the operator chose: one typed [`Config`], read from a file and the environment.
//!
//! Start at [`load`]. Sources are read in order (defaults, file, environment), the later one wins,
//! and everything that is wrong is told at once. What keys there are is the table in `keys.rs`:
//! reading, the dump and the tests follow from it, so a new setting is a field, a line there and a
//! paragraph in `default.toml`. A new type of value is an implementation of `Setting`.
//!
//! It never prints, never opens what it names, and never lets a secret into a text.

mod checks;
mod draft;
mod dump;
mod environment;
mod errors;
mod file;
mod keys;
mod nearest;
mod origin;
mod rules;
pub mod secret_file;
mod sections;
mod setting;
mod tls;
mod types;
mod warnings;
mod words;

pub use dump::dump;
pub use environment::environment;
pub use errors::{ConfigError, ConfigErrors};
pub(crate) use keys::without_query;
pub use origin::{Origin, Origins};
pub use sections::{
    Admin, Api, Auth, Callbacks, Config, FurtherEndpoint, Gateway, History, Log, Login, MAIN,
    Offline, Online, OptionalKind, Outbox, Presence, Store, section_of,
};
pub use types::{Backend, Headers, LogFormat, Mode, OnRefusal, Secret, Size, SyncMode};

use draft::Draft;
use std::{io, path::Path};

/// The annotated reference of all keys and their defaults, as a file to start from.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// OpenIM's secret that everybody knows: filled in by `--dev`, refused without it.
pub const DEV_SECRET: &str = "openIM123";

/// A configuration that can be used, and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the operator chose, and the defaults for the rest.
    pub config: Config,
    /// Where each value came from.
    pub origins: Origins,
    /// What is allowed but probably not meant, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads the configuration from its sources.
///
/// `file` is the name to call it by and its text. Of `env` ([`environment()`]) only names that begin
/// with `HERALD_` count. `dev` fills in the secret that everybody knows. `read_file` opens what
/// settings name: `&|path| std::fs::read(path)` outside of tests.
pub fn load(
    file: Option<(&str, &str)>,
    env: impl IntoIterator<Item = (String, String)>,
    dev: bool,
    read_file: ReadFile<'_>,
) -> Result<Loaded, ConfigErrors> {
    let mut draft = Draft::default();
    if let Some((name, text)) = file {
        file::read(&mut draft, name, text);
    }
    environment::read(&mut draft, env, read_file);
    if dev {
        draft.fill_in_for_dev();
    }
    draft.fill_in_presets();
    rules::check(&mut draft, dev, read_file);
    draft.finish()
}

/// Opens a file that a setting names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

#[cfg(test)]
mod tests {
    use super::{keys::KEYS, *};
    use presence::{MassLossPolicy, RefusalLimit, Scope};
    use std::time::Duration;

    /// The default file with the one key that it leaves out, and what it is read as.
    fn complete() -> (String, Loaded) {
        let text = DEFAULT_TOML.replace("# secret = ", "secret = ");
        let read = |text: &str| load(Some(("default.toml", text)), [], false, &|_| unreachable!());
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("auth.secret = ***: must be one of your own"), "{error}");
        let text = text.replace(checks::EXAMPLE_SECRET, "a text that nobody can guess");
        let loaded = read(&text).unwrap();
        (text, loaded)
    }

    #[test]
    fn the_default_file_says_what_the_code_does() {
        let secret = [("HERALD_AUTH__SECRET".to_owned(), "x".repeat(16))];
        let file = Some(("default.toml", DEFAULT_TOML));
        let loaded = load(file, secret, false, &|_| unreachable!()).unwrap();
        let mut expected = Config::default();
        expected.auth.secret = Secret::new("x".repeat(16));
        assert_eq!(loaded.config, expected);
    }

    #[test]
    fn the_example_of_a_further_endpoint_in_the_default_file_can_be_used() {
        let (_, example) = DEFAULT_TOML.split_once("\n# [[callbacks.endpoints]]\n").unwrap();
        let example = example.lines().map_while(|line| line.strip_prefix("# "));
        let example = example.collect::<Vec<_>>().join("\n");
        let text = format!("[auth]\nsecret = 'of the test'\n[[callbacks.endpoints]]\n{example}");
        let loaded = load(Some(("a.toml", &text)), [], false, &|_| unreachable!()).unwrap();
        let [FurtherEndpoint { name, callbacks }] = &loaded.config.further_endpoints[..] else {
            panic!("{:?}", loaded.config.further_endpoints);
        };
        assert_eq!((name.as_str(), callbacks.online.scope), ("audit", Scope::User));
        assert_eq!(loaded.config.callbacks, Callbacks::default());
    }

    #[test]
    fn the_default_file_has_every_key_with_its_default_and_a_comment() {
        let (text, Loaded { origins, .. }) = complete();
        let lines: Vec<_> = text.lines().collect();
        for key in KEYS {
            let Origin::File { line, .. } = *origins.of(key.path) else {
                panic!("{} is missing", key.path);
            };
            let expected = format!("{} = {}", key.place().1, key.show(&Config::default()));
            assert!(key.path == "auth.secret" || lines[line - 1] == expected, "{expected}");
            assert!(lines[line - 2].starts_with("# "), "{} has no comment", key.path);
        }
    }

    #[test]
    fn the_default_file_is_in_the_order_of_the_table() {
        let (_, Loaded { origins, .. }) = complete();
        assert!(KEYS.is_sorted_by_key(|key| origins.of(key.path)));
    }

    #[test]
    fn every_field_can_be_set_and_a_dump_says_to_what_but_for_secrets() {
        let config = unlike_the_default();
        let text = dump(&config, &Origins::default());
        for shown in [&text, &format!("{config:?}")] {
            let secrets = ["eleven", "twelve", "hunter", "thirty", "forty", "whsec_"];
            assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
        }
        assert!(!text.contains("a=b"), "{text}");
        let mut text = text.replace("?***", "?a=b");
        let of_all = ["eleven-eleven-eleven", "twelve-twelve", "hunter-hunter"];
        let of_main = ["thirty", "thirty-one", SIGNING[0], SIGNING[1]];
        let of_further = ["forty", "forty-one"];
        for secret in [&of_all[..], &of_main, &of_further].concat() {
            text = text.replacen("***", secret, 1);
        }
        let (cert, key) = tls::tests::pair();
        let pem = |path: &Path| Ok(if path == "key.pem" { &key } else { &cert }.clone());
        let again = load(Some(("dump.toml", &text)), [], false, &pem).unwrap();
        assert_eq!(again.config, config);
    }

    #[test]
    fn no_text_makes_reading_it_panic() {
        const TEXT: &str = "[gateway]\nlisten = \"[::]:1\"\nconnections_max = 0x10\n[auth]\n\
            admin_users = ['a',\n\"\\u00e9\"] # é\nsecret = 'é'\n[callbacks]\nonline.enable=true\n\
            url = 'http://é'\nhistory = { age = '1h' }\n[[store]]\na = [{b = 1}]\n\
            [[callbacks.endpoints]]\nname='é'\nurl=\"b\"";
        let no_file = |_: &_| Err(io::ErrorKind::NotFound.into());
        let read = |text: &str| load(Some(("a.toml", text)), [], false, &no_file).is_ok();
        for (at, c) in TEXT.char_indices() {
            let (before, after) = (&TEXT[..at], &TEXT[at + c.len_utf8()..]);
            for change in ["", "é", "\"", "'", "[", "]", "{", "=", ".", ",", "\n", "0", "\0"] {
                read(&format!("{before}{change}{after}"));
            }
            read(before);
        }
    }

    const SIGNING: [&str; 2] =
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh"];

    /// Without `..`, so that a new field must be added here, and then to the table of keys.
    fn unlike_the_default() -> Config {
        Config {
            gateway: Gateway {
                listen: ([127, 0, 0, 1], 1).into(),
                connections_max: 2,
                frame_bytes_max: Size::kib(3),
                read_timeout: Duration::from_secs(4),
                ping_interval: Duration::from_secs(3),
                handshake_timeout: Duration::from_secs(36),
                outbound_frames_max: 7,
                pending_per_address_max: 8,
                clients_per_address_max: 9,
                trusted_proxies: vec!["10.0.0.0/8".to_owned()],
                proxy_protocol: true,
            },
            api: Api { listen: ([127, 0, 0, 1], 8).into(), body_bytes_max: Size::kib(9) },
            admin: Admin {
                listen: ([127, 0, 0, 1], 10).into(),
                token: Some(Secret::new("eleven-eleven-eleven")),
            },
            auth: Auth {
                secret: Secret::new("twelve-twelve"),
                previous_secret: Some(Secret::new("hunter-hunter")),
                admin_users: vec!["thirteen".to_owned(), "\"".to_owned()],
                token_expiry: Duration::from_secs(14),
                known_tokens_only: true,
                logout_denies_token: true,
                end_expired: true,
            },
            login: Login { policy: presence::LoginPolicy::PcAndOther },
            presence: Presence {
                offline_grace: Duration::from_secs(15),
                restart_grace: Duration::from_secs(16),
                virtual_lease: Duration::from_secs(17),
                user_budget: 3,
                refused_for: Duration::from_secs(7),
                forget_after: Duration::from_secs(180),
                mass_loss: MassLossPolicy {
                    share: 0.75,
                    min_connections: 8,
                    min_age: Duration::from_secs(11),
                    window: Duration::from_secs(9),
                    hold: Duration::from_secs(10),
                },
            },
            callbacks: Callbacks {
                url: Some("https://app.example/19?a=b".to_owned()),
                deny_private: true,
                ca: Some("ca.pem".into()),
                client_cert: Some("cert.pem".into()),
                client_key: Some("key.pem".into()),
                headers: [("X-A".to_owned(), Secret::new("thirty"))].into_iter().collect(),
                bearer: Some(Secret::new("thirty-one")),
                secrets: SIGNING.map(Secret::new).into(),
                dialect: contract::Dialect::Classic,
                sdk_name: "twenty".to_owned(),
                extra_fields: true,
                client_address: true,
                concurrency_max: 21,
                collapse_after: Duration::from_secs(22),
                retell: false,
                online: Online {
                    enable: false,
                    timeout: Duration::from_secs(23),
                    scope: Scope::Platform,
                    mode: Mode::Gate,
                    failed_continue: false,
                    gate_waiting_max: 5,
                    on_refusal: OnRefusal::Ignore,
                },
                refusal: RefusalLimit { share_max: 0.25, window: Duration::from_secs(11) },
                offline: Offline {
                    enable: false,
                    timeout: Duration::from_secs(24),
                    scope: Scope::Connection,
                },
                kick_off: OptionalKind { enable: true, timeout: Duration::from_secs(25) },
                background: OptionalKind { enable: true, timeout: Duration::from_secs(30) },
            },
            further_endpoints: further(),
            outbox: Outbox {
                retention: Duration::from_secs(22),
                owed_max: 2_200,
                history: History { age: Duration::from_secs(26), bytes: Size(27) },
            },
            store: Store {
                backend: Backend::Memory,
                path: "data28".into(),
                sync: SyncMode::Normal,
            },
            log: Log { format: LogFormat::Json, level: "trace".to_owned() },
        }
    }

    fn further() -> Vec<FurtherEndpoint> {
        let callbacks = Callbacks {
            url: Some("http://app.example".to_owned()),
            headers: [("X-A".to_owned(), Secret::new("forty"))].into_iter().collect(),
            bearer: Some(Secret::new("forty-one")),
            dialect: contract::Dialect::V38,
            offline: Offline { scope: Scope::Platform, ..Offline::default() },
            ..Callbacks::default()
        };
        let quiet = Callbacks { url: callbacks.url.clone(), ..Callbacks::default() };
        let endpoint = |name: &str, callbacks| FurtherEndpoint { name: name.to_owned(), callbacks };
        vec![endpoint("audit", callbacks), endpoint("quiet", quiet)]
    }
}
