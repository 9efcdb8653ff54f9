//! How each kind of App wants to be told. The facts are in `row.rs`, one row per dialect.
//!
//! A dialect never binds an endpoint in what it chooses for itself (scope, timeout, what a refusal
//! does): there it only has a [`Preset`], and what the server's configuration sets wins.

use crate::{
    Kind,
    body::Field,
    row::{self, Row},
};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Names, address and fields of the callbacks, as one generation of Apps knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Dialect {
    /// `?command=callbackUserOnlineCommand&contenttype=json` and five fields.
    #[default]
    #[serde(rename = "classic")]
    Classic,
    /// `/callbackAfterUserOnlineCommand` and eight fields: OpenIM 3.7 and later.
    #[serde(rename = "v3.8")]
    V38,
    /// `/callbackUserOnlineCommand` and eight fields: OpenIM 3.5 and 3.6.
    #[serde(rename = "v3.5")]
    V35,
    /// The bare callback URL and six fields, without connection and background: OpenIM 2.3.
    #[serde(rename = "v2")]
    V2,
}

/// There is no dialect of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dialect `{0}` is unknown")]
pub struct UnknownDialect(pub String);

/// What Apps of a dialect expect of an endpoint unless its operator says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Whose coming online is told.
    pub online_scope: Scope,
    /// Whose going offline is told.
    pub offline_scope: Scope,
    /// Whether a refusal closes the connection that came online; else it is ignored.
    pub refusal_disconnects: bool,
}

/// What is told when it comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each connection.
    Connection,
    /// A user's platform: with its first connection, and after its last.
    Platform,
    /// A user: with their first connection, and after their last.
    User,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Dialect; 4] = [Dialect::Classic, Dialect::V38, Dialect::V35, Dialect::V2];

    /// Its name in a configuration, as `v3.8`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The command that stands in the body of such a callback, and in the URL if the dialect has it
    /// there.
    pub fn command(self, kind: Kind) -> &'static str {
        self.row().told(kind).command
    }

    /// The kind that a command means, `None` if it is none of this dialect. Case matters.
    pub fn kind(self, command: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| self.command(kind) == command)
    }

    /// What its Apps expect unless the operator says otherwise.
    pub fn preset(self) -> Preset {
        self.row().preset
    }

    /// Whether every callback names its platform, even without [`Target::extra_fields`].
    ///
    /// [`Target::extra_fields`]: crate::Target::extra_fields
    pub fn names_platform(self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.row().told(kind).fields.contains(&Field::PlatformId))
    }

    pub(crate) fn row(self) -> &'static Row {
        match self {
            Dialect::Classic => &row::CLASSIC,
            Dialect::V38 => &row::V38,
            Dialect::V35 => &row::V35,
            Dialect::V2 => &row::V2,
        }
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Dialect, UnknownDialect> {
        let named = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
        named.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write as _;

    #[test]
    fn a_command_leads_back_to_its_kind() {
        for dialect in Dialect::ALL {
            for kind in Kind::ALL {
                assert_eq!(dialect.kind(dialect.command(kind)), Some(kind), "{dialect:?}");
            }
            for stranger in ["", "callbackuseronlinecommand", "callbackAfterSendSingleMsgCommand"] {
                assert_eq!(dialect.kind(stranger), None, "{dialect:?} {stranger}");
            }
        }
        assert_eq!(Dialect::Classic.kind("callbackAfterUserOnlineCommand"), None);
        assert_eq!(Dialect::V38.kind("callbackUserOnlineCommand"), None);
    }

    #[test]
    fn a_dialect_is_written_in_a_configuration_by_its_name() {
        for dialect in Dialect::ALL {
            let name = dialect.name();
            assert_eq!(name.parse(), Ok(dialect));
            assert_eq!(serde_json::to_value(dialect).unwrap(), name);
            assert_eq!(serde_json::from_value::<Dialect>(name.into()).unwrap(), dialect);
        }
        assert_eq!(Dialect::ALL.map(Dialect::name), ["classic", "v3.8", "v3.5", "v2"]);
        for stranger in ["", "Classic", "v3", "3.8", "v3.8 "] {
            assert_eq!(stranger.parse::<Dialect>(), Err(UnknownDialect(stranger.into())));
        }
    }

    #[test]
    fn only_the_classic_app_has_one_flag_per_user_and_is_obeyed() {
        let mut actual = String::new();
        for dialect in Dialect::ALL {
            let Preset { online_scope, offline_scope, refusal_disconnects } = dialect.preset();
            let refusal = if refusal_disconnects { "disconnect" } else { "ignore" };
            let platform = if dialect.names_platform() { "names the platform" } else { "-" };
            let name = dialect.name();
            writeln!(actual, "{name}: {online_scope:?}/{offline_scope:?} {refusal} {platform}")
                .unwrap();
        }
        expect![[r#"
            classic: Connection/User disconnect -
            v3.8: Platform/Platform ignore names the platform
            v3.5: Platform/Platform ignore names the platform
            v2: Platform/Platform ignore names the platform
        "#]]
        .assert_eq(&actual);
    }
}
