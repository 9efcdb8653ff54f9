//! A configuration while its sources are being read: what is known so far, and what is wrong.

use super::{
    Config, ConfigError, ConfigErrors, DEV_SECRET, Loaded, OnRefusal, Origin, Origins, Secret,
    keys::{Key, Written, key},
    warnings::warnings,
};
use contract::Dialect;
use presence::Scope;
use std::collections::BTreeSet;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) origins: Origins,
    errors: Vec<ConfigError>,
    /// Keys whose value is not known, because what was written cannot be it.
    unknown: BTreeSet<&'static str>,
    /// Whether the file is no TOML, so that any key may be written there and not be seen.
    unreadable: bool,
}

impl Draft {
    /// Takes one value from a source; `text` is how it stands there.
    pub(super) fn set(&mut self, key: &Key, origin: Origin, written: &Written<'_>, text: &str) {
        match key.read(&mut self.config, written) {
            Ok(()) => self.origins.note(key.path, origin),
            Err(wrong) => {
                let value = if key.secret { "***".to_owned() } else { shortened(text) };
                self.report(origin, format!("{} = {value}: {wrong}", key.path));
                self.unknown.insert(key.path);
            }
        }
    }

    /// Notes that a key was written, but in a way from which no value can be had.
    pub(super) fn set_nothing(&mut self, key: &Key, origin: Origin, wrong: &str) {
        self.report(origin, format!("{}: {wrong}", key.path));
        self.unknown.insert(key.path);
    }

    /// Notes that the file is no TOML at some place.
    pub(super) fn report_syntax(&mut self, origin: Origin, column: usize, text: String) {
        self.unreadable = true;
        self.errors.push(ConfigError { origin: Some(origin), column: Some(column), text });
    }

    /// Notes what is wrong at a place.
    pub(super) fn report(&mut self, origin: Origin, text: String) {
        self.errors.push(ConfigError { origin: Some(origin), column: None, text });
    }

    /// Refuses a value for a reason that lies beyond it.
    pub(super) fn refuse(&mut self, path: &str, wrong: &str) {
        let origin = Some(self.origins.of(path).clone()).filter(|from| *from != Origin::Default);
        let text = match key(path).show(&self.config).as_str() {
            "\"\"" => format!("{path}: {wrong}"),
            value => format!("{path} = {value}: {wrong}"),
        };
        self.errors.push(ConfigError { origin, column: None, text });
    }

    /// Whether the values of these keys are known, so that it makes sense to compare them.
    pub(super) fn knows(&self, paths: &[&str]) -> bool {
        !self.unreadable && !paths.iter().any(|path| self.unknown.contains(path))
    }

    /// What the dialect presets, where nobody chose otherwise.
    pub(super) fn fill_in_presets(&mut self) {
        let Draft { config: Config { callbacks, .. }, origins, .. } = self;
        if callbacks.dialect == Dialect::default() {
            return;
        }
        let mut is_free = |key| {
            let free = *origins.of(key) == Origin::Default;
            if free {
                origins.note(key, Origin::Preset);
            }
            free
        };
        let preset = callbacks.dialect.preset();
        if is_free("callbacks.online.scope") {
            callbacks.online.scope = scope_of(preset.online_scope);
        }
        if is_free("callbacks.offline.scope") {
            callbacks.offline.scope = scope_of(preset.offline_scope);
        }
        if is_free("callbacks.online.on_refusal") {
            callbacks.online.on_refusal = match preset.refusal_disconnects {
                true => OnRefusal::Disconnect,
                false => OnRefusal::Ignore,
            };
        }
    }

    /// Sets the secret that everybody knows, if nobody set another.
    pub(super) fn fill_in_secret(&mut self) {
        let path = "auth.secret";
        if self.config.auth.secret.is_empty() && self.knows(&[path]) {
            self.config.auth.secret = Secret::new(DEV_SECRET);
            self.origins.note(path, Origin::Dev);
        }
    }

    pub(super) fn finish(self) -> Result<Loaded, ConfigErrors> {
        if !self.errors.is_empty() {
            return Err(ConfigErrors::new(self.errors));
        }
        let warnings = warnings(&self.config);
        Ok(Loaded { config: self.config, origins: self.origins, warnings })
    }
}

/// A value as it was written, fit for one line of a message.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let text = without_password(text.trim());
    let mut short: String = text.chars().take_while(|c| !c.is_control()).take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    if short.is_empty() { "\"\"".to_owned() } else { short }
}

/// A URL without its user and password, rather too much hidden than too little.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}***{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.to_owned(),
    }
}

fn scope_of(scope: contract::Scope) -> Scope {
    match scope {
        contract::Scope::Connection => Scope::Connection,
        contract::Scope::Platform => Scope::Platform,
        contract::Scope::User => Scope::User,
    }
}
