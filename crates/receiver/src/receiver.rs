//! Decides whether a request is a callback meant for this App, and what it tells.
//!
//! It never asks the time, and never looks at where a request comes from: without
//! [`Receiver::secrets`] keep the callback URL away from strangers.

use crate::{Reject, Scope, verify};
use contract::{
    BodyError, Callback, Dialect, Kind, Status,
    signature::{SecretError, SigningSecret},
};
use std::time::Duration;

/// The largest body that is read, in bytes. Herald's have a few hundred.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads callbacks for one App: which commands it handles, under which name.
#[derive(Debug, Clone)]
pub struct Receiver {
    sdk_name: Option<String>,
    commands: Vec<Kind>,
    /// None: signatures are not looked at.
    secrets: Option<Vec<SigningSecret>>,
    tolerance: Duration,
}

impl Default for Receiver {
    fn default() -> Receiver {
        Receiver::new()
    }
}

impl Receiver {
    /// Takes every kind of callback, under any name.
    pub fn new() -> Receiver {
        Receiver {
            sdk_name: None,
            commands: Kind::ALL.to_vec(),
            secrets: None,
            tolerance: verify::TOLERANCE,
        }
    }

    /// Takes only requests that are signed with one of these secrets, as Herald does with its
    /// `callbacks.secrets`. Two of them while you change over; of an empty list nothing is taken.
    ///
    /// ```
    /// # use herald_receiver::Receiver;
    /// let receiver = Receiver::new().secrets(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
    /// # Ok::<(), herald_receiver::SecretError>(())
    /// ```
    pub fn secrets<S: AsRef<str>>(
        mut self,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Receiver, SecretError> {
        let secrets: Result<_, _> = secrets.into_iter().map(|s| s.as_ref().parse()).collect();
        self.secrets = Some(secrets?);
        Ok(self)
    }

    /// How far the time of a signature may be from ours, either way; 5 minutes unless said
    /// otherwise. Who caught a request can play it again for that long, and changes nothing by it
    /// where [`View`](crate::View) or a comparison of `seq` guards your flag.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Receiver {
        self.tolerance = tolerance;
        self
    }

    /// Takes only callbacks whose URL says `sdkName=name`, as `sdk_name` of Herald's endpoint makes
    /// it say. An empty name takes any.
    #[must_use]
    pub fn sdk_name(mut self, name: impl Into<String>) -> Receiver {
        self.sdk_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Takes only these kinds. Switch the others off in Herald: it cannot deliver them.
    #[must_use]
    pub fn commands(mut self, kinds: impl IntoIterator<Item = Kind>) -> Receiver {
        self.commands = kinds.into_iter().collect();
        self
    }

    /// Reads one request: the query of its URL (without `?`), the value of a header by its name in
    /// small letters, its raw body, and the time of now in unix seconds.
    ///
    /// Where a parameter is there twice the last one counts, because Herald adds its own behind
    /// those of the callback URL.
    pub fn read_request<'h>(
        &self,
        query: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now_unix_s: u64,
    ) -> Result<Event, Reject> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Reject::TooLarge);
        }
        if let Some(secrets) = &self.secrets {
            verify::verify(secrets, self.tolerance, &header, body, now_unix_s)?;
        }
        let mut event = self.event(query, body)?;
        let operation_id = header("operationid").filter(|id| !id.is_empty());
        event.operation_id = operation_id.map(str::to_owned).or(event.operation_id);
        event.epoch = header("herald-epoch").map(str::to_owned);
        event.resync_needed = header("herald-resync") == Some("needed");
        Ok(event)
    }

    /// Reads one request of which there are no headers: with [`Receiver::secrets`] none is taken.
    pub fn read(&self, query: &str, body: &[u8]) -> Result<Event, Reject> {
        self.read_request(query, |_| None, body, 0)
    }

    fn event(&self, query: &str, body: &[u8]) -> Result<Event, Reject> {
        let query = Query::read(query);
        let kind = self.kind(query.command.as_deref())?;
        query.check_content_type()?;
        self.check_sdk_name(query.sdk_name)?;
        match Callback::read(Dialect::Classic, body) {
            Ok(callback) if callback.kind == kind => Ok(callback.into()),
            Ok(callback) => Err(mismatch(kind, Dialect::Classic.command(callback.kind).into())),
            Err(BodyError::UnknownCommand(command)) => Err(mismatch(kind, command)),
            Err(error) => Err(Reject::Body(error)),
        }
    }

    fn kind(&self, command: Option<&str>) -> Result<Kind, Reject> {
        let command = command.ok_or(Reject::NoCommand)?;
        Dialect::Classic
            .kind(command)
            .filter(|kind| self.commands.contains(kind))
            .ok_or_else(|| Reject::UnknownCommand(command.to_owned()))
    }

    fn check_sdk_name(&self, actual: Option<String>) -> Result<(), Reject> {
        match &self.sdk_name {
            Some(ours) if actual.as_ref() != Some(ours) => {
                Err(Reject::WrongSdkName(actual.unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }
}

fn mismatch(in_url: Kind, body: String) -> Reject {
    Reject::CommandMismatch { url: Dialect::Classic.command(in_url).into(), body }
}

/// The parameters that matter, decoded.
#[derive(Default)]
struct Query {
    command: Option<String>,
    content_type: Option<String>,
    sdk_name: Option<String>,
}

impl Query {
    fn read(query: &str) -> Query {
        let mut read = Query::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "command" => read.command = Some(value.into_owned()),
                "contenttype" => read.content_type = Some(value.into_owned()),
                "sdkName" => read.sdk_name = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }

    /// Missing is fine: the body shows what it is.
    fn check_content_type(&self) -> Result<(), Reject> {
        match &self.content_type {
            Some(actual) if !actual.eq_ignore_ascii_case("json") => {
                Err(Reject::WrongContentType(actual.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// What Herald tells about one user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// The user; never empty.
    pub user_id: String,
    /// Number of the change: grows with each change of this user, so the highest is the newest. At
    /// least the unix milliseconds of the change. Gaps mean nothing.
    pub seq: u64,
    /// Whether that connection was in the background; always false but for online and background.
    pub is_app_background: bool,
    /// The connection, `""` when there is none.
    pub conn_id: String,
    /// Traces one operation through all logs: the header `operationID`, else that of the body.
    pub operation_id: Option<String>,
    /// OpenIM's number of the platform; only with Herald's `extra_fields`, like the next two.
    pub platform_id: Option<u8>,
    /// OpenIM's name of the platform, as `IOS`.
    pub platform: Option<String>,
    /// Why it happened, in a word.
    pub reason: Option<String>,
    /// How many older callbacks of the user this one speaks for: they were not sent, because this one
    /// says all that matters after an outage.
    pub collapsed: u64,
    /// The user's custom status, if they have one: with an online callback, and Herald's `extra_fields`.
    pub status: Option<Status>,
    /// Where the client of that connection is; only with Herald's `client_address`.
    pub client_address: Option<String>,
    /// Names the store of Herald: the header `herald-epoch`. Another one than before: the store was
    /// lost.
    pub epoch: Option<String>,
    /// Whether something was not told for good: the header `herald-resync`. Read who is online; see
    /// [`sync`](crate::sync).
    pub resync_needed: bool,
}

impl Event {
    /// What it says about being online; nothing for a kick-off. A background callback is about somebody
    /// who is online.
    pub fn online(&self) -> Option<bool> {
        match self.kind {
            Kind::Online | Kind::Background => Some(true),
            Kind::Offline => Some(false),
            Kind::KickOff => None,
        }
    }

    /// What it is about, to an App that keeps apart what this scope does; none if Herald did not
    /// tell the platform.
    pub fn subject(&self, scope: Scope) -> Option<Subject> {
        match scope {
            Scope::User => Some(Subject::User),
            Scope::Platform => self.platform_id.map(Subject::Platform),
            Scope::Connection => Some(Subject::Connection(self.conn_id.clone())),
        }
    }
}

/// What an App keeps one flag for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The user as a whole.
    User,
    /// The user on a platform, by OpenIM's number.
    Platform(u8),
    /// One connection by its connID, or by `""` all that a status holds without a connection.
    Connection(String),
}

impl Subject {
    pub(crate) const FIRST: Subject = Subject::User;
}

impl From<Callback> for Event {
    fn from(callback: Callback) -> Event {
        let told = |text: String| Some(text).filter(|text| !text.is_empty());
        Event {
            kind: callback.kind,
            user_id: callback.user_id,
            seq: callback.seq,
            is_app_background: callback.is_app_background,
            conn_id: callback.conn_id,
            operation_id: told(callback.operation_id),
            platform_id: Some(callback.platform_id).filter(|&id| id != 0),
            platform: told(callback.platform),
            reason: told(callback.reason),
            collapsed: callback.collapsed,
            status: callback.status,
            client_address: told(callback.client_address),
            epoch: None,
            resync_needed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::{error::Error, fmt::Write as _};

    const ONLINE: &str = r#"{"userID":"u1","callbackCommand":"callbackUserOnlineCommand","seq":7,"isAppBackground":true,"connID":"c1"}"#;
    const OFFLINE: &str =
        r#"{"userID":"u1","callbackCommand":"callbackUserOfflineCommand","seq":8,"connID":"c1"}"#;
    const KICK_OFF: &str =
        r#"{"userID":"u1","callbackCommand":"callbackUserKickOffCommand","seq":9}"#;

    const BACKGROUND: &str = r#"{"userID":"u1","callbackCommand":"callbackUserBackgroundCommand","seq":10,"isAppBackground":true,"connID":"c1"}"#;

    fn check(receiver: &Receiver, requests: &[(&str, &str)], expected: Expect) {
        let mut actual = String::new();
        for (query, body) in requests {
            match receiver.read(query, body.as_bytes()) {
                Ok(e) => {
                    let Event { kind, user_id, seq, is_app_background, conn_id, .. } = e;
                    writeln!(actual, "{kind:?} {user_id} #{seq} {is_app_background} {conn_id:?}")
                }
                Err(reject) => match reject.source() {
                    Some(source) => writeln!(actual, "{} {reject}: {source}", reject.status()),
                    None => writeln!(actual, "{} {reject}", reject.status()),
                },
            }
            .unwrap();
        }
        expected.assert_eq(&actual);
    }

    #[test]
    fn the_four_callbacks_are_read() {
        check(
            &Receiver::new(),
            &[
                ("command=callbackUserOnlineCommand&contenttype=json", ONLINE),
                ("command=callbackUserOfflineCommand&contenttype=JSON", OFFLINE),
                ("contenttype=Json&command=callbackUserKickOffCommand", KICK_OFF),
                ("command=callbackUserBackgroundCommand&contenttype=json", BACKGROUND),
                ("command=callbackUserOnlineCommand", ONLINE),
                (
                    "tenant=7&command=mine&command=callbackUserOnlineCommand&contenttype=json",
                    ONLINE,
                ),
                ("command=callbackUserOnlineCommand&contenttype=json&sdkName=other", ONLINE),
            ],
            expect![[r#"
                Online u1 #7 true "c1"
                Offline u1 #8 false "c1"
                KickOff u1 #9 false ""
                Background u1 #10 true "c1"
                Online u1 #7 true "c1"
                Online u1 #7 true "c1"
                Online u1 #7 true "c1"
            "#]],
        );
    }

    #[test]
    fn what_is_not_ours_is_rejected_with_what_to_do() {
        let long = " ".repeat(BODY_BYTES_MAX) + ONLINE;
        check(
            &Receiver::new(),
            &[
                ("", ONLINE),
                ("command=", ONLINE),
                ("command=callbackuseronlinecommand&contenttype=json", ONLINE),
                ("command=callbackAfterUserOnlineCommand&contenttype=json", ONLINE),
                ("command=callbackUserOnlineCommand&contenttype=json", OFFLINE),
                ("command=callbackUserOnlineCommand&contenttype=xml", ONLINE),
                ("command=callbackUserOnlineCommand&contenttype=json", ""),
                ("command=callbackUserOnlineCommand&contenttype=json", "{}"),
                (
                    "command=callbackUserOnlineCommand",
                    r#"{"userID":"u1","callbackCommand":"other","seq":1}"#,
                ),
                ("command=callbackUserOnlineCommand&contenttype=json", &long),
            ],
            expect![[r#"
                400 the URL has no `command`; let proxies keep the query of the callback URL
                400 command `` is not handled here; switch that callback off in Herald, or name its kind in `Receiver::commands`
                400 command `callbackuseronlinecommand` is not handled here; switch that callback off in Herald, or name its kind in `Receiver::commands`
                400 command `callbackAfterUserOnlineCommand` is not handled here; switch that callback off in Herald, or name its kind in `Receiver::commands`
                400 command `callbackUserOnlineCommand` in the URL is not callbackCommand `callbackUserOfflineCommand` of the body; look at what rewrites either on the way
                400 contenttype `xml` is not json; take it out of the callback URL
                400 the body is not a callback; look at what rewrites it on the way: EOF while parsing a value at line 1 column 0
                400 the body is not a callback; look at what rewrites it on the way: missing field `userID` at line 1 column 2
                400 command `callbackUserOnlineCommand` in the URL is not callbackCommand `other` of the body; look at what rewrites either on the way
                413 the body is above 64 KiB; look at who sends it, a callback has a few hundred bytes
            "#]],
        );
    }

    #[test]
    fn a_named_receiver_takes_only_its_own() {
        check(
            &Receiver::new().sdk_name("chat eu+1"),
            &[
                (
                    "command=callbackUserOnlineCommand&contenttype=json&sdkName=chat%20eu%2B1",
                    ONLINE,
                ),
                ("command=callbackUserOnlineCommand&contenttype=json&sdkName=chat", ONLINE),
                ("command=callbackUserOnlineCommand&contenttype=json", ONLINE),
            ],
            expect![[r#"
                Online u1 #7 true "c1"
                400 sdkName `chat` is not this App's; give Herald's endpoint the `sdk_name` that `Receiver::sdk_name` has
                400 sdkName `` is not this App's; give Herald's endpoint the `sdk_name` that `Receiver::sdk_name` has
            "#]],
        );
        let anyone = Receiver::new().sdk_name("");
        assert!(anyone.read("command=callbackUserOnlineCommand", ONLINE.as_bytes()).is_ok());
    }

    #[test]
    fn a_receiver_of_some_kinds_rejects_the_others() {
        check(
            &Receiver::new().commands([Kind::Online]),
            &[
                ("command=callbackUserOnlineCommand&contenttype=json", ONLINE),
                ("command=callbackUserOfflineCommand&contenttype=json", OFFLINE),
            ],
            expect![[r#"
                Online u1 #7 true "c1"
                400 command `callbackUserOfflineCommand` is not handled here; switch that callback off in Herald, or name its kind in `Receiver::commands`
            "#]],
        );
    }

    #[test]
    fn what_herald_writes_is_read() {
        let callback = Callback {
            kind: Kind::Online,
            user_id: "u1".into(),
            seq: 7,
            is_app_background: false,
            conn_id: "c1".into(),
            operation_id: "op".into(),
            platform_id: 5,
            platform: "Web".into(),
            reason: "login".into(),
            collapsed: 0,
            epoch: String::new(),
            status: None,
            client_address: String::new(),
        };
        for extra_fields in [false, true] {
            let target = contract::Target {
                url: "https://app.example/cb?tenant=7".into(),
                sdk_name: "chat eu+1".into(),
                extra_fields,
                client_address: false,
            };
            let request = contract::request(Dialect::Classic, &target, &callback);
            let query = request.url.split_once('?').unwrap().1;
            let event = Receiver::new().sdk_name("chat eu+1").read(query, &request.body).unwrap();
            assert_eq!((event.user_id.as_str(), event.seq), ("u1", 7));
            assert_eq!(event.platform_id, extra_fields.then_some(5));
            assert_eq!(event.reason.as_deref(), extra_fields.then_some("login"));
        }
    }
}
