//! Where a value came from.

use std::{collections::BTreeMap, fmt};

/// The source of one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file.
    File {
        /// The file, as the operator named it.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// `--dev` filled it in.
    Dev,
    /// The chosen dialect presets it.
    Preset,
    /// Nobody chose it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Dev => f.write_str("--dev"),
            Origin::Preset => f.write_str("dialect"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The source of every value, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where the value of a key such as `gateway.listen`, or of an endpoint
    /// (`callbacks.endpoints.audit.url`), came from.
    pub fn of(&self, key: &str) -> &Origin {
        self.0.get(key).unwrap_or(&Origin::Default)
    }

    pub(super) fn note(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }
}

impl IntoIterator for Origins {
    type Item = (String, Origin);
    type IntoIter = std::collections::btree_map::IntoIter<String, Origin>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
