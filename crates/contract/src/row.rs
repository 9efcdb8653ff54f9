//! The table of dialects: one row of facts each, as OpenIM's versions wrote and read them.
//!
//! A new dialect is a new [`Row`] here, not a branch elsewhere. Where a row is not what OpenIM sent,
//! it says so.

use crate::{Kind, Preset, Scope, body::Field};
use Field::{
    Availability, CallbackCommand, Collapsed, ConnId, Emoji, Epoch, IsAppBackground, OperationId,
    Platform, PlatformId, Reason, Seq, Text, UserId,
};

/// The facts of one dialect.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) url: UrlForm,
    pub(crate) content_type: &'static str,
    /// Whether the operation id is a header too.
    pub(crate) operation_id_header: bool,
    pub(crate) body: BodyForm,
    pub(crate) refusal: RefusalRule,
    pub(crate) preset: Preset,
    /// Added after a callback's own fields for an operator who asks for more.
    pub(crate) extra: &'static [Field],
    online: Told,
    offline: Told,
    kick_off: Told,
    background: Told,
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
    /// As the last segment of the path, before what the callback URL asks.
    Path,
    /// Not at all: the App finds it in the body.
    Bare,
}

/// How the JSON of a body is spelled. It means the same to any parser.
#[derive(Clone, Copy)]
pub(crate) enum BodyForm {
    /// Nothing escaped that need not be.
    Plain,
    /// `<`, `>`, `&` and the two line separators of Unicode escaped, as by Go's `json.Marshal`.
    Escaped,
    /// The same and a newline, as by Go's `json.Encoder`.
    EscapedLine,
}

/// Which answers refuse.
#[derive(Clone, Copy)]
pub(crate) enum RefusalRule {
    /// `actionCode` 0 and `nextCode` 1.
    Next,
    /// `actionCode` not 0, or `nextCode` 1.
    ActionOrNext,
    /// `actionCode` not 0, or `errCode` not 0.
    ActionOrErr,
}

impl RefusalRule {
    pub(crate) fn refuses(self, action_code: i64, err_code: i64, next_code: i64) -> bool {
        match self {
            RefusalRule::Next => action_code == 0 && next_code == 1,
            RefusalRule::ActionOrNext => action_code != 0 || next_code == 1,
            RefusalRule::ActionOrErr => action_code != 0 || err_code != 0,
        }
    }
}

impl Row {
    pub(crate) fn told(&self, kind: Kind) -> &Told {
        match kind {
            Kind::Online => &self.online,
            Kind::Offline => &self.offline,
            Kind::KickOff => &self.kick_off,
            Kind::Background => &self.background,
        }
    }
}

pub(crate) const CLASSIC: Row = Row {
    name: "classic",
    url: UrlForm::Query,
    content_type: "application/json",
    operation_id_header: true,
    body: BodyForm::Plain,
    refusal: RefusalRule::Next,
    preset: Preset {
        online_scope: Scope::Connection,
        offline_scope: Scope::User,
        refusal_disconnects: true,
    },
    extra: &[
        OperationId,
        PlatformId,
        Platform,
        Reason,
        Collapsed,
        Epoch,
        Availability,
        Text,
        Emoji,
    ],
    online: Told {
        command: "callbackUserOnlineCommand",
        fields: &[UserId, CallbackCommand, Seq, IsAppBackground, ConnId],
    },
    offline: Told {
        command: "callbackUserOfflineCommand",
        fields: &[UserId, CallbackCommand, Seq, ConnId],
    },
    kick_off: Told {
        command: "callbackUserKickOffCommand",
        fields: &[UserId, CallbackCommand, Seq],
    },
    background: Told {
        command: BACKGROUND_COMMAND,
        fields: &[UserId, CallbackCommand, Seq, IsAppBackground, ConnId],
    },
};

/// Also 3.7. Herald fills `connID`, which OpenIM 3.8 sends empty, and gives each callback the
/// operation id of its own operation, not that of a batch.
pub(crate) const V38: Row = Row {
    name: "v3.8",
    body: BodyForm::EscapedLine,
    refusal: RefusalRule::Next,
    online: Told { command: "callbackAfterUserOnlineCommand", ..V35.online },
    offline: Told { command: "callbackAfterUserOfflineCommand", ..V35.offline },
    kick_off: Told { command: "callbackAfterUserKickOffCommand", ..V35.kick_off },
    ..V35
};

/// Also 3.6.
pub(crate) const V35: Row = Row {
    name: "v3.5",
    url: UrlForm::Path,
    content_type: GO_CONTENT_TYPE,
    operation_id_header: true,
    body: BodyForm::Escaped,
    refusal: RefusalRule::ActionOrNext,
    preset: BY_PLATFORM,
    extra: &[Reason, Collapsed, Epoch, Availability, Text, Emoji],
    online: Told { fields: V35_ONLINE, ..CLASSIC.online },
    offline: Told {
        fields: &[CallbackCommand, OperationId, PlatformId, Platform, UserId, Seq, ConnId],
        ..CLASSIC.offline
    },
    kick_off: Told {
        fields: &[CallbackCommand, OperationId, PlatformId, Platform, UserId, Seq],
        ..CLASSIC.kick_off
    },
    background: Told { command: BACKGROUND_COMMAND, fields: V35_ONLINE },
};

/// 2.3. OpenIM's online had a `token` before `seq`: Herald keeps no tokens, and an empty one would
/// look like one, so there is none. The refusal is that of 3.0, the nearest version with one rule
/// for all callbacks.
pub(crate) const V2: Row = Row {
    name: "v2",
    url: UrlForm::Bare,
    content_type: GO_CONTENT_TYPE,
    operation_id_header: false,
    body: BodyForm::Escaped,
    refusal: RefusalRule::ActionOrErr,
    preset: BY_PLATFORM,
    extra: &[Reason, Collapsed, Epoch, Availability, Text, Emoji],
    online: Told { command: CLASSIC.online.command, ..V35.kick_off },
    offline: Told { command: CLASSIC.offline.command, ..V35.kick_off },
    kick_off: V35.kick_off,
    background: V35.background,
};

/// Herald's own, in every dialect: OpenIM has none.
const BACKGROUND_COMMAND: &str = "callbackUserBackgroundCommand";

const V35_ONLINE: &[Field] =
    &[CallbackCommand, OperationId, PlatformId, Platform, UserId, Seq, IsAppBackground, ConnId];

const GO_CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// What OpenIM does: it tells the state of platforms, and looks at no answer.
const BY_PLATFORM: Preset = Preset {
    online_scope: Scope::Platform,
    offline_scope: Scope::Platform,
    refusal_disconnects: false,
};
