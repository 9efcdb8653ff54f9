//! A configuration while its sources are being read: what is known so far, and what is wrong.

use super::{
    Config, ConfigError, ConfigErrors, DEV_SECRET, FurtherEndpoint, Loaded, OnRefusal, Origin,
    Origins, Secret,
    keys::{KEYS, Key, Written, key, without_query},
    warnings::warnings,
};
use contract::Dialect;
use presence::Scope;
use std::{collections::BTreeSet, net::Ipv4Addr};

/// What has been read so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) origins: Origins,
    /// Each of them read as a whole configuration of which only the callbacks are written.
    pub(super) endpoints: Vec<Draft>,
    /// Which of those this one is, if it is one.
    further: Option<Further>,
    errors: Vec<ConfigError>,
    /// Keys whose value is not known, because what was written cannot be it.
    unknown: BTreeSet<&'static str>,
    /// Whether the file is no TOML, so that any key may be written there and not be seen.
    unreadable: bool,
}

/// A further endpoint: its name, how its section is called, and where that begins.
struct Further {
    name: String,
    section: String,
    origin: Origin,
}

impl Draft {
    /// A draft of an endpoint of that name.
    pub(super) fn of_endpoint(name: String, section: String, origin: Origin) -> Draft {
        Draft { further: Some(Further { name, section, origin }), ..Draft::default() }
    }

    pub(super) fn is_of_endpoint(&self) -> bool {
        self.further.is_some()
    }

    /// Whether one of the endpoints has that name.
    pub(super) fn has_endpoint(&self, name: &str) -> bool {
        self.endpoints.iter().any(|draft| draft.further.as_ref().is_some_and(|f| f.name == name))
    }

    /// Makes room for the endpoints of a later source. What was wrong stays wrong.
    pub(super) fn drop_endpoints(&mut self) {
        self.errors.extend(self.endpoints.drain(..).flat_map(|endpoint| endpoint.errors));
    }

    /// What may be written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let all = !self.is_of_endpoint();
        KEYS.iter().filter(move |key| all || key.is_of_endpoint())
    }

    /// How messages call what the table calls so.
    pub(super) fn called(&self, path: &str) -> String {
        match &self.further {
            Some(further) => path.replacen("callbacks", &further.section, 1),
            None => path.to_owned(),
        }
    }

    /// Takes one value from a source; `text` is how it stands there.
    pub(super) fn set(&mut self, key: &Key, origin: Origin, written: &Written<'_>, text: &str) {
        match key.read(&mut self.config, written) {
            Ok(()) => self.origins.note(key.path, origin),
            Err(wrong) => {
                let text = if key.secret { "***" } else { text };
                self.refuse_written(origin, &self.called(key.path), text, &wrong);
                self.unknown.insert(key.path);
            }
        }
    }

    /// Notes that what was written of something is wrong.
    pub(super) fn refuse_written(&mut self, origin: Origin, what: &str, text: &str, wrong: &str) {
        self.report(origin, format!("{what} = {}: {wrong}", shortened(text)));
    }

    /// Notes that a key was written, but in a way from which no value can be had.
    pub(super) fn set_nothing(&mut self, key: &Key, origin: Origin, wrong: &str) {
        self.report(origin, format!("{}: {wrong}", self.called(key.path)));
        self.unknown.insert(key.path);
    }

    /// Notes that the file is no TOML at some place.
    pub(super) fn report_syntax(&mut self, origin: Origin, column: usize, text: String) {
        self.unreadable = true;
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.unreadable = true);
        self.errors.push(ConfigError { origin: Some(origin), column: Some(column), text });
    }

    /// Notes what is wrong at a place.
    pub(super) fn report(&mut self, origin: Origin, text: String) {
        self.errors.push(ConfigError { origin: Some(origin), column: None, text });
    }

    /// Refuses a value for a reason that lies beyond it.
    pub(super) fn refuse(&mut self, path: &str, wrong: &str) {
        let origin = Some(self.origins.of(path).clone()).filter(|from| *from != Origin::Default);
        let origin = origin.or_else(|| Some(self.further.as_ref()?.origin.clone()));
        let called = self.called(path);
        let text = match key(path).show(&self.config).as_str() {
            "\"\"" => format!("{called}: {wrong}"),
            value => format!("{called} = {value}: {wrong}"),
        };
        self.errors.push(ConfigError { origin, column: None, text });
    }

    /// Whether the values of these keys are known, so that it makes sense to compare them.
    pub(super) fn knows(&self, paths: &[&str]) -> bool {
        !self.unreadable && !paths.iter().any(|path| self.unknown.contains(path))
    }

    /// What the dialect presets, where nobody chose otherwise.
    pub(super) fn fill_in_presets(&mut self) {
        let Draft { config: Config { callbacks, .. }, origins, endpoints, .. } = self;
        endpoints.iter_mut().for_each(Draft::fill_in_presets);
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
    /// The secret that everybody knows, and then nobody else may come.
    pub(super) fn fill_in_for_dev(&mut self) {
        let path = "auth.secret";
        if self.config.auth.secret.is_empty() && self.knows(&[path]) {
            self.config.auth.secret = Secret::new(DEV_SECRET);
            self.origins.note(path, Origin::Dev);
        }
        for path in ["gateway.listen", "api.listen"] {
            if *self.origins.of(path) == Origin::Default {
                let listen = match path {
                    "api.listen" => &mut self.config.api.listen,
                    _ => &mut self.config.gateway.listen,
                };
                listen.set_ip(Ipv4Addr::LOCALHOST.into());
                self.origins.note(path, Origin::Dev);
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Loaded, ConfigErrors> {
        std::mem::take(&mut self.endpoints).into_iter().for_each(|endpoint| self.take_in(endpoint));
        if !self.errors.is_empty() {
            return Err(ConfigErrors::new(self.errors));
        }
        let warnings = warnings(&self.config);
        Ok(Loaded { config: self.config, origins: self.origins, warnings })
    }

    fn take_in(&mut self, endpoint: Draft) {
        for (path, origin) in endpoint.origins.clone() {
            let called = endpoint.called(&path);
            self.origins.note(called, origin);
        }
        self.errors.extend(endpoint.errors);
        let callbacks = endpoint.config.callbacks;
        let Some(Further { name, section, origin }) = endpoint.further else { return };
        self.origins.note(format!("{section}.name"), origin);
        self.config.further_endpoints.push(FurtherEndpoint { name, callbacks });
    }
}

/// A value as it was written, fit for one line of a message.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let text = without_secrets(text.trim());
    let mut short: String = text.chars().take_while(|c| !c.is_control()).take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    if short.is_empty() { "\"\"".to_owned() } else { short }
}

/// A URL without its user, password and query, rather too much hidden than too little.
fn without_secrets(text: &str) -> String {
    let Some(scheme) = text.find("://") else { return text.to_owned() };
    let text = without_query(text);
    match text.rfind('@') {
        Some(at) if scheme + 3 <= at => format!("{}***{}", &text[..scheme + 3], &text[at..]),
        _ => text,
    }
}

fn scope_of(scope: contract::Scope) -> Scope {
    match scope {
        contract::Scope::Connection => Scope::Connection,
        contract::Scope::Platform => Scope::Platform,
        contract::Scope::User => Scope::User,
    }
}
