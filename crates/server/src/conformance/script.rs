//! Makes the request of a case: what Herald would send, and then the change to it.
//!
//! It never sends and never asks the time.

use super::{
    Tested,
    cases::{Case, Change, Signature, USER_PREFIX},
};
use contract::{
    Callback, Dialect, Kind, Target, request,
    signature::{SigningSecret, WEBHOOK_ID, sign, webhook_id},
};
use serde_json::{Map, Value};

const SEQ_MAX: u64 = (1 << 53) - 1;
const HUGE_BYTES: usize = 1_000_000;
const MORE_PARAMETERS: &str = "later=1&flag";
/// Some App's, but not that of the App that is tried.
const OTHER_SECRET: &str = "whsec_b25seS1mb3ItdHJ5aW5nLXdoYXQtaXMtbm90LXNpZ25lZA==";

/// What goes over the line.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) method: http::Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) title_case: bool,
    pub(super) body: Vec<u8>,
}

impl Sent {
    /// Reads a page of the App.
    pub(super) fn get(url: &str) -> Sent {
        Sent {
            method: http::Method::GET,
            url: url.to_owned(),
            headers: Vec::new(),
            title_case: false,
            body: Vec::new(),
        }
    }
}

impl Change {
    fn words(self) -> String {
        match self {
            Change::Plain => String::new(),
            Change::LargestSeq => "seq 2^53-1".into(),
            Change::NoConnection => "connID \"\"".into(),
            Change::InBackground => "isAppBackground".into(),
            Change::HeadersInOtherCase => "Operationid: …".into(),
            Change::ContentTypeInCapitals => "contenttype=JSON".into(),
            Change::MoreParameters => MORE_PARAMETERS.into(),
            Change::CommandInUrl("") => "no command".into(),
            Change::CommandInUrl(command) | Change::Command(command) => command.into(),
            Change::SdkName(name) => format!("sdkName={name}"),
            Change::Get => "GET".into(),
            Change::Body(body) => format!("`{body}`"),
            Change::CutShort => "half a body".into(),
            Change::MoreFields => "field later".into(),
            Change::OtherOrder => "fields reversed".into(),
            Change::Huge => "field padding".into(),
            Change::Without(field) => format!("without {field}"),
            Change::EmptyUser => "userID \"\"".into(),
            Change::SeqAsText => "seq \"…\"".into(),
            Change::Signature(signature) => signature.words(),
        }
    }
}

impl Signature {
    fn words(self) -> String {
        match self {
            Signature::Good => "signed".into(),
            Signature::None => "no headers of it".into(),
            Signature::Lacks(header) => format!("no {header}"),
            Signature::OfOtherSecret => "other secret".into(),
            Signature::OfOtherBody => "other body".into(),
            Signature::OfOtherId => "other webhook-id".into(),
            Signature::SecondsOff(by) => format!("timestamp {by:+} s"),
            Signature::TwoOneGood => "v1,bad v1,good".into(),
        }
    }
}

impl Case {
    /// The user, as the App is told.
    pub(super) fn user_id(&self) -> String {
        format!("{USER_PREFIX}{}", self.user)
    }

    /// Whether it says anything about this App.
    pub(super) fn concerns(&self, tested: &Tested) -> bool {
        match self.change {
            _ if self.kind == Kind::Background => tested.background,
            Change::SdkName(_) => !tested.sdk_name.is_empty(),
            Change::Signature(_) => tested.secret.is_some(),
            _ => true,
        }
    }

    /// The request in short, for a person.
    pub(super) fn in_short(&self) -> String {
        let kind = match self.kind {
            Kind::Online => "online",
            Kind::Offline => "offline",
            Kind::KickOff => "kick-off",
            Kind::Background => "background",
        };
        let user: String = self.user.chars().take(12).collect();
        let change = self.change.words();
        let comma = if change.is_empty() { "" } else { ", " };
        format!("{kind} {user} +{}{comma}{change}", self.seq)
    }

    /// The request, for a run that began then.
    pub(super) fn request(&self, tested: &Tested, began_ms: u64, now_s: u64) -> Sent {
        let target = Target {
            url: tested.url.clone(),
            sdk_name: self.sdk_name(tested),
            extra_fields: false,
            client_address: false,
        };
        let callback = self.callback(began_ms);
        let request = request(Dialect::Classic, &target, &callback);
        let id = webhook_id("conformance", &callback.user_id, callback.seq);
        let mut sent = Sent {
            method: http::Method::POST,
            url: request.url,
            headers: request.headers,
            title_case: self.change == Change::HeadersInOtherCase,
            body: request.body,
        };
        self.alter(&mut sent);
        if let Some(secret) = &tested.secret {
            let signature = match self.change {
                Change::Signature(signature) => signature,
                _ => Signature::Good,
            };
            sent.headers.extend(signed(signature, secret, &id, now_s, &sent.body));
        }
        sent
    }

    fn sdk_name(&self, tested: &Tested) -> String {
        match self.change {
            Change::SdkName(other) => other.to_owned(),
            _ => tested.sdk_name.clone(),
        }
    }

    fn callback(&self, began_ms: u64) -> Callback {
        let seq = began_ms + self.seq;
        let connected = self.change != Change::NoConnection;
        Callback {
            kind: self.kind,
            user_id: self.user_id(),
            seq: if self.change == Change::LargestSeq { SEQ_MAX } else { seq },
            is_app_background: self.change == Change::InBackground,
            conn_id: if connected { format!("conformance-{seq}") } else { String::new() },
            operation_id: format!("herald-conformance-{seq}"),
            platform_id: 0,
            platform: String::new(),
            reason: String::new(),
            collapsed: 0,
            epoch: String::new(),
            status: None,
            client_address: String::new(),
        }
    }

    fn alter(&self, sent: &mut Sent) {
        let ours = Dialect::Classic.command(self.kind);
        match self.change {
            Change::CommandInUrl(command) => sent.url = command_in_url(&sent.url, ours, command),
            Change::Command(command) => {
                sent.url = command_in_url(&sent.url, ours, command);
                fields(sent, |body| drop(body.insert("callbackCommand".into(), command.into())));
            }
            Change::ContentTypeInCapitals => {
                sent.url = replaced_last(&sent.url, "contenttype=json", "contenttype=JSON");
            }
            Change::MoreParameters => sent.url = format!("{}&{MORE_PARAMETERS}", sent.url),
            Change::Get => {
                sent.method = http::Method::GET;
                sent.body.clear();
            }
            Change::Body(body) => sent.body = body.as_bytes().to_vec(),
            Change::CutShort => sent.body.truncate(sent.body.len() / 2),
            Change::OtherOrder => fields(sent, |_| {}),
            Change::MoreFields => fields(sent, |body| {
                body.insert("later".into(), serde_json::json!({ "deep": [1, null, "text"] }));
            }),
            Change::Huge => fields(sent, |body| {
                body.insert("padding".into(), "x".repeat(HUGE_BYTES).into());
            }),
            Change::Without(field) => fields(sent, |body| drop(body.remove(field))),
            Change::EmptyUser => fields(sent, |body| drop(body.insert("userID".into(), "".into()))),
            Change::SeqAsText => fields(sent, |body| {
                let text = body["seq"].to_string();
                body.insert("seq".into(), text.into());
            }),
            _ => {}
        }
    }
}

/// Changes fields of the body, which come out in another order than Herald's.
fn fields(sent: &mut Sent, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut body = serde_json::from_slice(&sent.body).expect("the contract writes an object");
    change(&mut body);
    let reversed: Vec<_> =
        body.iter().rev().map(|(k, v)| format!("{}:{v}", Value::from(k.as_str()))).collect();
    sent.body = format!("{{{}}}", reversed.join(",")).into_bytes();
}

fn command_in_url(url: &str, ours: &str, command: &str) -> String {
    let with = if command.is_empty() { String::new() } else { format!("command={command}&") };
    replaced_last(url, &format!("command={ours}&"), &with)
}

/// The last one is Herald's: the callback URL may have one of its own before it.
fn replaced_last(text: &str, from: &str, to: &str) -> String {
    let (before, after) = text.rsplit_once(from).expect("the contract puts it into each URL");
    format!("{before}{to}{after}")
}

fn signed(
    how: Signature,
    secret: &SigningSecret,
    id: &str,
    now_s: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let other = || OTHER_SECRET.parse::<SigningSecret>().expect("the prefix and 37 bytes");
    let ours = || secret.clone();
    match how {
        Signature::Good => sign(&[ours()], id, now_s, body),
        Signature::None => Vec::new(),
        Signature::OfOtherSecret => sign(&[other()], id, now_s, body),
        Signature::TwoOneGood => sign(&[other(), ours()], id, now_s, body),
        Signature::OfOtherBody => sign(&[ours()], id, now_s, &[body, b" "].concat()),
        Signature::SecondsOff(by) => sign(&[ours()], id, now_s.saturating_add_signed(by), body),
        Signature::Lacks(name) => {
            let mut headers = sign(&[ours()], id, now_s, body);
            headers.retain(|(header, _)| *header != name);
            headers
        }
        Signature::OfOtherId => {
            let mut headers = sign(&[ours()], &format!("{id}-other"), now_s, body);
            headers.retain(|(header, _)| *header != WEBHOOK_ID);
            headers.push((WEBHOOK_ID, id.to_owned()));
            headers
        }
    }
}
