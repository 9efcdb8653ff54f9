//! The body of the request: written field by field for the App, and read on its side.
//!
//! It never knows which fields a callback has: that is a row in `row.rs`.

use crate::{Callback, Dialect, Kind, Status, Target, operation_id, row::BodyForm};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::fmt::Write as _;

/// A field of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    UserId,
    CallbackCommand,
    Seq,
    IsAppBackground,
    ConnId,
    OperationId,
    PlatformId,
    Platform,
    Reason,
    /// Only if it speaks for others.
    Collapsed,
    Epoch,
    /// These three only if there is a status.
    Availability,
    Text,
    Emoji,
    /// Only if it is known.
    ClientAddress,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::UserId => "userID",
            Field::CallbackCommand => "callbackCommand",
            Field::Seq => "seq",
            Field::IsAppBackground => "isAppBackground",
            Field::ConnId => "connID",
            Field::OperationId => "operationID",
            Field::PlatformId => "platformID",
            Field::Platform => "platform",
            Field::Reason => "reason",
            Field::Collapsed => "collapsed",
            Field::Epoch => "epoch",
            Field::Availability => "availability",
            Field::Text => "text",
            Field::Emoji => "emoji",
            Field::ClientAddress => "clientAddress",
        }
    }

    fn value(self, dialect: Dialect, callback: &Callback) -> Value {
        match self {
            Field::UserId => callback.user_id.as_str().into(),
            Field::CallbackCommand => dialect.command(callback.kind).into(),
            Field::Seq => callback.seq.into(),
            Field::IsAppBackground => callback.is_app_background.into(),
            Field::ConnId => callback.conn_id.as_str().into(),
            // As in the header: one operation has one name.
            Field::OperationId => operation_id(&callback.operation_id).into(),
            Field::PlatformId => callback.platform_id.into(),
            Field::Platform => callback.platform.as_str().into(),
            Field::Reason => callback.reason.as_str().into(),
            Field::Collapsed => callback.collapsed.into(),
            Field::Epoch => callback.epoch.as_str().into(),
            Field::Availability => callback.status.as_ref().map(|s| s.availability.as_str()).into(),
            Field::Text => callback.status.as_ref().map(|s| s.text.as_str()).into(),
            Field::Emoji => callback.status.as_ref().map(|s| s.emoji.as_str()).into(),
            Field::ClientAddress => callback.client_address.as_str().into(),
        }
    }

    /// Whether there is something to say.
    fn is_told(self, callback: &Callback) -> bool {
        match self {
            Field::Collapsed => callback.collapsed > 0,
            Field::Availability | Field::Text | Field::Emoji => callback.status.is_some(),
            Field::ClientAddress => !callback.client_address.is_empty(),
            _ => true,
        }
    }
}

/// The body as bytes: one line of JSON, fields in the order of the dialect.
pub(crate) fn write(dialect: Dialect, callback: &Callback, target: &Target) -> Vec<u8> {
    let body = Body { dialect, callback, target };
    let json = serde_json::to_string(&body);
    let json = json.expect("strings, numbers and flags can always be written");
    let json = match dialect.row().body {
        BodyForm::Plain => json,
        BodyForm::Escaped => escaped(&json),
        BodyForm::EscapedLine => escaped(&json) + "\n",
    };
    json.into_bytes()
}

/// What Go escapes beyond JSON's own rules. In JSON these stand in strings only.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(escaped, "\\u{:04x}", u32::from(c)).expect("a string takes all");
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

struct Body<'a> {
    dialect: Dialect,
    callback: &'a Callback,
    target: &'a Target,
}

impl Serialize for Body<'_> {
    // Streamed, not collected into a map: a map would sort the keys.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.dialect.row();
        let extra = if self.target.extra_fields { row.extra } else { &[] };
        let address: &[Field] =
            if self.target.client_address { &[Field::ClientAddress] } else { &[] };
        let fields = row.told(self.callback.kind).fields.iter().chain(extra).chain(address);
        let fields = fields.filter(|field| field.is_told(self.callback));
        serializer.collect_map(fields.map(|f| (f.name(), f.value(self.dialect, self.callback))))
    }
}

/// Why bytes are not a callback. The same bytes will never be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Not JSON, a field missing or of another type.
    #[error("{0}")]
    Unreadable(serde_json::Error),
    /// Well formed, but of a kind that this dialect does not have.
    #[error("callbackCommand `{0}` is unknown")]
    UnknownCommand(String),
    /// Every callback is about a user.
    #[error("userID is empty")]
    NoUser,
}

impl Callback {
    /// Reads the body of a request. `userID`, `callbackCommand` and `seq` must be there; any other
    /// field may be missing, and fields that we do not know are skipped. The caller bounds `body`.
    pub fn read(dialect: Dialect, body: &[u8]) -> Result<Callback, BodyError> {
        let written: Written = serde_json::from_slice(body).map_err(BodyError::Unreadable)?;
        match dialect.kind(&written.callback_command) {
            None => Err(BodyError::UnknownCommand(written.callback_command)),
            Some(_) if written.user_id.is_empty() => Err(BodyError::NoUser),
            Some(kind) => Ok(written.into_callback(kind)),
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Written {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "callbackCommand")]
    callback_command: String,
    seq: u64,
    #[serde(default, rename = "isAppBackground")]
    is_app_background: bool,
    #[serde(default, rename = "connID")]
    conn_id: String,
    #[serde(default, rename = "operationID")]
    operation_id: String,
    #[serde(default, rename = "platformID")]
    platform_id: u8,
    #[serde(default)]
    platform: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    collapsed: u64,
    #[serde(default)]
    epoch: String,
    availability: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    emoji: String,
    #[serde(default, rename = "clientAddress")]
    client_address: String,
}

impl Written {
    fn into_callback(self, kind: Kind) -> Callback {
        Callback {
            kind,
            user_id: self.user_id,
            seq: self.seq,
            is_app_background: self.is_app_background,
            conn_id: self.conn_id,
            operation_id: self.operation_id,
            platform_id: self.platform_id,
            platform: self.platform,
            reason: self.reason,
            collapsed: self.collapsed,
            epoch: self.epoch,
            status: self.availability.map(|availability| Status {
                availability,
                text: self.text,
                emoji: self.emoji,
            }),
            client_address: self.client_address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn told(kind: Kind) -> Callback {
        Callback {
            kind,
            user_id: "user \"1\" <ü>\n".into(),
            seq: (1 << 53) - 1,
            is_app_background: true,
            conn_id: "conn123".into(),
            operation_id: "1646445464564".into(),
            platform_id: 1,
            platform: "IOS".into(),
            reason: "login".into(),
            collapsed: 3,
            epoch: "0123456789abcdef".into(),
            status: Some(Status {
                availability: "busy".into(),
                text: "in a meeting".into(),
                emoji: "🙂".into(),
            }),
            client_address: "203.0.113.7".into(),
        }
    }

    fn all() -> Target {
        Target { extra_fields: true, client_address: true, ..Target::default() }
    }

    #[test]
    fn what_is_written_with_all_fields_is_read_back() {
        for dialect in Dialect::ALL {
            for kind in Kind::ALL {
                let connected = dialect != Dialect::V2 || kind == Kind::Background;
                let body = write(dialect, &told(kind), &all());
                let mut expected = told(kind);
                expected.is_app_background =
                    connected && matches!(kind, Kind::Online | Kind::Background);
                if !connected || kind == Kind::KickOff {
                    expected.conn_id.clear();
                }
                assert_eq!(Callback::read(dialect, &body).unwrap(), expected, "{dialect:?}");
            }
        }
    }

    #[test]
    fn the_operation_id_is_the_same_as_in_the_header() {
        let callback = Callback { operation_id: "a b".into(), ..told(Kind::Online) };
        for dialect in Dialect::ALL {
            let body = write(dialect, &callback, &all());
            assert_eq!(Callback::read(dialect, &body).unwrap().operation_id, "a_b");
        }
    }

    #[test]
    fn all_but_classic_escape_as_go_does_and_mean_the_same() {
        let plain = "\"<a&b> \u{2028}\u{2029}é\\u003c\"";
        assert_eq!(escaped(plain), r#""\u003ca\u0026b\u003e \u2028\u2029é\u003c""#);
        let callback = Callback { user_id: plain.into(), ..told(Kind::Online) };
        for dialect in Dialect::ALL {
            let body = write(dialect, &callback, &Target::default());
            assert_eq!(body.contains(&b'<'), dialect == Dialect::Classic, "{dialect:?}");
            assert_eq!(body.ends_with(b"\n"), dialect == Dialect::V38, "{dialect:?}");
            assert_eq!(Callback::read(dialect, &body).unwrap().user_id, plain, "{dialect:?}");
        }
    }

    fn check(bodies: &[&str], expected: Expect) {
        let mut actual = String::new();
        for body in bodies {
            match Callback::read(Dialect::Classic, body.as_bytes()) {
                Ok(c) => writeln!(actual, "{:?} {} #{} {:?}", c.kind, c.user_id, c.seq, c.conn_id),
                Err(error) => writeln!(actual, "{error}"),
            }
            .unwrap();
        }
        expected.assert_eq(&actual);
    }

    #[test]
    fn a_body_may_lack_extras_but_not_what_it_is_about() {
        check(
            &[
                r#"{"userID":"u","callbackCommand":"callbackUserOnlineCommand","seq":7}"#,
                r#" {"seq":7,"new":[{}],"connID":"c","callbackCommand":"callbackUserOfflineCommand","userID":"u"} "#,
                r#"{"userID":"u","callbackCommand":"callbackUserOnlineCommand"}"#,
                r#"{"userID":"u","callbackCommand":"callbackUserOnlineCommand","seq":-1}"#,
                r#"{"userID":"u","callbackCommand":"callbackUserOnlineCommand","seq":"7"}"#,
                r#"{"userID":"","callbackCommand":"callbackUserOnlineCommand","seq":7}"#,
                r#"{"userID":"u","callbackCommand":"callbackBeforeSendMsg","seq":7}"#,
                "",
                "[]",
            ],
            expect![[r#"
                Online u #7 ""
                Offline u #7 "c"
                missing field `seq` at line 1 column 60
                invalid value: integer `-1`, expected u64 at line 1 column 68
                invalid type: string "7", expected u64 at line 1 column 69
                userID is empty
                callbackCommand `callbackBeforeSendMsg` is unknown
                EOF while parsing a value at line 1 column 0
                invalid length 0, expected an object at line 1 column 2
            "#]],
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_quietly() {
        let deep = "[".repeat(60_000);
        for body in [&b"\xff\xfe{"[..], deep.as_bytes(), b"{\"userID\":\"\xff\"}"] {
            assert!(matches!(
                Callback::read(Dialect::Classic, body),
                Err(BodyError::Unreadable(_))
            ));
        }
    }
}
