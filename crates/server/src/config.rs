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
