//! The types of values that are ours: sizes, secrets, and the words of each choice.

use std::fmt;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Size {
    /// So many KiB.
    pub const fn kib(count: usize) -> Size {
        Size(count << 10)
    }

    /// So many MiB.
    pub const fn mib(count: usize) -> Size {
        Size(count << 20)
    }

    /// So many GiB.
    pub const fn gib(count: usize) -> Size {
        Size(count << 30)
    }
}

/// A text that no log, dump or error may show. Comparing two takes a time that tells about them:
/// not for what a stranger sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be shown instead: `***`, or nothing if there is none.
    pub fn masked(&self) -> &'static str {
        if self.is_empty() { "" } else { "***" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.masked()).finish()
    }
}

/// Headers by name. Their values may open something, so they are as secret as [`Secret`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers(Vec<(String, Secret)>);

impl Headers {
    /// Each name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is one of this name, however it is written.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(its, _)| its.eq_ignore_ascii_case(name))
    }
}

impl FromIterator<(String, Secret)> for Headers {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(headers: I) -> Headers {
        Headers(headers.into_iter().collect())
    }
}

/// When the App is told that a user comes online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Afterwards.
    Notify,
    /// Before, so that it can refuse.
    Gate,
}

/// What happens to a connection whose user the App refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    /// It is closed.
    Disconnect,
    /// Nothing.
    Ignore,
}

/// What remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file in [`Store::path`](super::Store::path).
    Sqlite,
    /// Nothing survives.
    Memory,
}

/// How much a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Survives a power cut.
    Full,
    /// Survives a killed process, not always a power cut.
    Normal,
}

/// For whom the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}
