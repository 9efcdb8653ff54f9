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
mod sections;
mod setting;
mod types;
mod warnings;
mod words;

pub use dump::dump;
pub use errors::{ConfigError, ConfigErrors};
pub use origin::{Origin, Origins};
pub use sections::{
    Admin, Api, Auth, Callbacks, Config, Gateway, History, KickOff, Log, Offline, Online, Presence,
    Store,
};
pub use types::{Backend, LogFormat, OnRefusal, Secret, Size, SyncMode};

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
/// `file` is the name to call it by and its text. Of `env` only names that begin with `HERALD_`
/// count. `dev` fills in the secret that everybody knows. `read_file` opens the files that settings
/// name: `&|path| std::fs::read(path)` outside of tests.
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
        draft.fill_in_secret();
    }
    rules::check(&mut draft, dev, read_file);
    draft.finish()
}

/// Reads the configuration of this process: a file if one is named, and its environment.
pub fn load_here(file: Option<&Path>, dev: bool) -> Result<Loaded, ConfigErrors> {
    let read_file = |path: &Path| std::fs::read(path);
    let Some(path) = file else { return load(None, environment::here(), dev, &read_file) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigErrors::one(format!("{name}: cannot be read: {error}")))?;
    load(Some((&name, &text)), environment::here(), dev, &read_file)
}

/// Opens a file that a setting names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

#[cfg(test)]
mod tests {
    use super::{
        keys::{KEYS, key},
        *,
    };

    /// The default file with the one key that it leaves out, and what it is read as.
    fn complete() -> (String, Loaded) {
        let text = DEFAULT_TOML.replace("# secret = ", "secret = ");
        let loaded = load(Some(("default.toml", &text)), [], false, &|_| unreachable!());
        (text, loaded.unwrap())
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
    fn a_dump_is_a_file_with_the_same_values() {
        let Loaded { mut config, origins, .. } = complete().1;
        let text = dump(&config, &origins);
        let again = load(Some(("dump.toml", &text)), [], false, &|_| unreachable!()).unwrap();
        config.auth.secret = Secret::new(config.auth.secret.masked());
        assert_eq!(again.config, config);
        assert_eq!(key("auth.secret").show(&config), r#""***""#);
    }
}
