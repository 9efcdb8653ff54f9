//! What is wrong with a configuration, told all at once.

use super::Origin;
use std::fmt;

/// Everything that is wrong, a line each: file by line, then environment by name, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One thing that is wrong: where, which key, its value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) origin: Option<Origin>,
    /// Where in the line, for text that is no TOML.
    pub(super) column: Option<usize>,
    pub(super) text: String,
}

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> ConfigErrors {
        errors.sort_by_key(|error| (error.origin.is_none(), error.origin.clone(), error.column));
        ConfigErrors(errors)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// On one line, whatever was written: a terminal obeys control characters.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match (&self.origin, self.column) {
            (Some(origin), Some(column)) => format!("{origin}:{column}: {}", self.text),
            (Some(origin), None) => format!("{origin}: {}", self.text),
            (None, _) => self.text.clone(),
        };
        f.write_str(&line.replace(char::is_control, "?"))
    }
}
