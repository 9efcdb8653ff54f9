//! How each kind of App wants to be told: one row of facts per dialect.
//!
//! A new dialect is a new [`Row`], not a branch elsewhere. It never holds what an endpoint chooses
//! for itself (scope, timeout, what a refusal does): those are the server's configuration.

use crate::{Kind, body::Field};
use serde::{Deserialize, Serialize};

/// Names, address and fields of the callbacks, as one generation of Apps knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dialect {
    /// `?command=callbackUserOnlineCommand&contenttype=json` and five fields.
    #[default]
    Classic,
}

impl Dialect {
    /// The command that stands in the URL and in the body of such a callback.
    pub fn command(self, kind: Kind) -> &'static str {
        self.row().told(kind).command
    }

    /// The kind that a command means, `None` if it is none of this dialect. Case matters.
    pub fn kind(self, command: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| self.command(kind) == command)
    }

    pub(crate) fn row(self) -> &'static Row {
        match self {
            Dialect::Classic => &CLASSIC,
        }
    }
}

/// The facts of one dialect.
pub(crate) struct Row {
    pub(crate) url: UrlForm,
    /// Added after a callback's own fields for an operator who asks for more.
    pub(crate) extra: &'static [Field],
    online: Told,
    offline: Told,
    kick_off: Told,
}

/// How one kind of callback is told: its command and its fields, in their order on the wire.
pub(crate) struct Told {
    pub(crate) command: &'static str,
    pub(crate) fields: &'static [Field],
}

/// How the command gets into the URL.
pub(crate) enum UrlForm {
    /// `?command=…&contenttype=json`, beside what the callback URL already asks.
    Query,
}

impl Row {
    pub(crate) fn told(&self, kind: Kind) -> &Told {
        match kind {
            Kind::Online => &self.online,
            Kind::Offline => &self.offline,
            Kind::KickOff => &self.kick_off,
        }
    }
}

const CLASSIC: Row = Row {
    url: UrlForm::Query,
    extra: &[Field::OperationId, Field::PlatformId, Field::Platform, Field::Reason],
    online: Told {
        command: "callbackUserOnlineCommand",
        fields: &[
            Field::UserId,
            Field::CallbackCommand,
            Field::Seq,
            Field::IsAppBackground,
            Field::ConnId,
        ],
    },
    offline: Told {
        command: "callbackUserOfflineCommand",
        fields: &[Field::UserId, Field::CallbackCommand, Field::Seq, Field::ConnId],
    },
    kick_off: Told {
        command: "callbackUserKickOffCommand",
        fields: &[Field::UserId, Field::CallbackCommand, Field::Seq],
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_leads_back_to_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Dialect::Classic.kind(Dialect::Classic.command(kind)), Some(kind));
        }
        for stranger in ["", "callbackuseronlinecommand", "callbackAfterUserOnlineCommand"] {
            assert_eq!(Dialect::Classic.kind(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_dialect_is_written_in_a_configuration_by_its_name() {
        assert_eq!(serde_json::to_string(&Dialect::Classic).unwrap(), r#""classic""#);
        assert_eq!(serde_json::from_str::<Dialect>(r#""classic""#).unwrap(), Dialect::Classic);
    }
}
