//! The choices between a few words. A new choice is a row here.

use super::{
    setting::{Setting, quoted},
    types::{Backend, LogFormat, Mode, OnRefusal, SyncMode},
};
use contract::Dialect;
use presence::{LoginPolicy, Scope};
use toml::de::DeValue;

/// A choice between a few words.
pub(super) trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Mode)] =
        &[("notify", Mode::Notify), ("gate", Mode::Gate)];
}

impl Words for OnRefusal {
    const WORDS: &'static [(&'static str, OnRefusal)] =
        &[("disconnect", OnRefusal::Disconnect), ("ignore", OnRefusal::Ignore)];
}

impl Words for Backend {
    const WORDS: &'static [(&'static str, Backend)] =
        &[("sqlite", Backend::Sqlite), ("memory", Backend::Memory)];
}

impl Words for SyncMode {
    const WORDS: &'static [(&'static str, SyncMode)] =
        &[("full", SyncMode::Full), ("normal", SyncMode::Normal)];
}

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, LogFormat)] =
        &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
}

impl Words for Scope {
    const WORDS: &'static [(&'static str, Scope)] =
        &[("connection", Scope::Connection), ("platform", Scope::Platform), ("user", Scope::User)];
}

impl Words for LoginPolicy {
    const WORDS: &'static [(&'static str, LoginPolicy)] = &[
        ("none", LoginPolicy::None),
        ("same_platform_kicks", LoginPolicy::SamePlatformKicks),
        ("same_class_kicks", LoginPolicy::SameClassKicks),
        ("pc_and_other", LoginPolicy::PcAndOther),
    ];
}

impl Words for Dialect {
    const WORDS: &'static [(&'static str, Dialect)] = &[
        ("classic", Dialect::Classic),
        ("v3.8", Dialect::V38),
        ("v3.5", Dialect::V35),
        ("v2", Dialect::V2),
    ];
}

impl<T: Words> Setting for T {
    fn read(value: &DeValue<'_>) -> Option<T> {
        let text = value.as_str()?;
        T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
    }

    fn show(&self) -> String {
        let word = T::WORDS.iter().find(|(_, meaning)| meaning == self).map(|(word, _)| word);
        quoted(word.expect("each meaning has its word"))
    }

    fn expected(_: &T) -> String {
        T::WORDS.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(" or ")
    }
}
