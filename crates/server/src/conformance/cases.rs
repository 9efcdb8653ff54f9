//! What is played, in this order: one line of a table for each request.
//!
//! It never sends; how a change is made is in `script.rs`, what an expectation means in `judge.rs`.

use Change::*;
use Expected::*;
use contract::Kind::{self, Background, KickOff, Offline, Online};

/// Every test user begins like this, so that an App can recognise them.
pub const USER_PREFIX: &str = "herald-conformance-";

/// One request and what must become of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What follows [`USER_PREFIX`].
    pub(super) user: &'static str,
    /// Counted from the milliseconds at which the run began.
    pub(super) seq: u64,
    pub(super) change: Change,
    pub(super) expected: Expected,
    /// How the App must show the user afterwards, where that is looked at.
    pub(super) seen_online: Option<bool>,
}

impl Case {
    const fn seen_online(self, online: bool) -> Case {
        Case { seen_online: Some(online), ..self }
    }

    /// Under which heading it stands.
    pub(super) fn section(&self) -> &'static str {
        match (self.change, self.expected) {
            _ if self.kind == Background => "front and background",
            (Change::Signature(_), _) => "signatures",
            (_, NotTaken | Survived) => "what Herald never sends, and others may",
            _ => "what Herald sends",
        }
    }
}

/// In what a request is not the plain one that Herald would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Plain,
    LargestSeq,
    NoConnection,
    InBackground,
    HeadersInOtherCase,
    ContentTypeInCapitals,
    MoreParameters,
    /// In the URL only; `""` leaves it out.
    CommandInUrl(&'static str),
    /// In URL and body.
    Command(&'static str),
    /// Played only if the App has a name; `""` leaves it out.
    SdkName(&'static str),
    Get,
    /// This and nothing else.
    Body(&'static str),
    CutShort,
    MoreFields,
    OtherOrder,
    Huge,
    Without(&'static str),
    EmptyUser,
    SeqAsText,
    /// Played only with a secret.
    Signature(Signature),
}

/// How a request is signed where that is what is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    None,
    Lacks(&'static str),
    OfOtherSecret,
    OfOtherBody,
    OfOtherId,
    SecondsOff(i64),
    TwoOneGood,
}

/// What the App must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// 200 and the contract's JSON with action code 0.
    Taken,
    /// Taken, and answered as the request before it.
    LikeTheFirst,
    /// Anything that Herald does not read as success.
    NotTaken,
    /// The same; 401 makes Herald hold back what it owes until the secrets agree.
    Unauthorized,
    /// Any answer, or the connection is closed, in time.
    Survived,
}

impl Expected {
    pub(super) fn words(self) -> &'static str {
        match self {
            Taken => "taken",
            LikeTheFirst => "as before",
            NotTaken => "not taken",
            Unauthorized => "not taken, best 401",
            Survived => "any answer",
        }
    }
}

/// With the prefix, 256 bytes: the longest that Herald lets in.
const LONG: &str = match std::str::from_utf8(&[b'x'; 256 - USER_PREFIX.len()]) {
    Ok(text) => text,
    Err(_) => panic!("x is a letter"),
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("a user comes online",                Online,  "ann",   1, Plain, Taken).seen_online(true),
    case("the same request again",             Online,  "ann",   1, Plain, LikeTheFirst),
    case("another login, a newer seq",         Online,  "ann",   5, Plain, Taken),
    case("a kick-off",                         KickOff, "ann",   6, Plain, Taken).seen_online(true),
    case("the user goes offline",              Offline, "ann",   7, Plain, Taken).seen_online(false),
    case("the same offline again",             Offline, "ann",   7, Plain, LikeTheFirst),
    case("an older online after it",           Online,  "ann",   2, Plain, Taken).seen_online(false),
    case("another user comes online",          Online,  "bob",   9, Plain, Taken).seen_online(true),
    case("an older offline after it",           Offline, "bob",   8, Plain, Taken).seen_online(true),
    case("the largest seq, 2^53-1",            Offline, "last",  1, LargestSeq, Taken),
    case("an offline of an unknown user",      Offline, "cy",    1, Plain, Taken),

    case("a user goes to the background",      Background, "hidden", 1, InBackground, Taken).seen_online(true),
    case("the same request again",             Background, "hidden", 1, InBackground, LikeTheFirst),
    case("the user comes back to the front",   Background, "hidden", 2, Plain, Taken).seen_online(true),
    case("one older than an offline",          Background, "cy",     0, InBackground, Taken).seen_online(false),

    case("a user with spaces",                 Online,  "a b  c ",         1, Plain, Taken),
    case("a user with quotes and slashes",     Online,  "\"'\\/<b>&;--",   1, Plain, Taken),
    case("a user in unicode",                  Online,  "zoë-東京-🙂",     1, Plain, Taken),
    case("a user of 256 bytes",                Online,  LONG,              1, Plain, Taken),
    case("a status without a connection",      Online,  "conn",  1, NoConnection, Taken),
    case("a login in the background",          Online,  "back",  1, InBackground, Taken),

    case("unknown fields in the body",         Online,  "form",  1, MoreFields, Taken),
    case("fields in another order",            Online,  "form",  2, OtherOrder, Taken),
    case("unknown parameters in the URL",      Online,  "form",  3, MoreParameters, Taken),
    case("contenttype=JSON in capitals",       Online,  "form",  4, ContentTypeInCapitals, Taken),
    case("header names in another case",       Online,  "form",  5, HeadersInOtherCase, Taken),

    case("URL and body differ in the command", Online,  "bad",  11, CommandInUrl("callbackUserOfflineCommand"), NotTaken),
    case("no command in the URL",              Online,  "bad",  12, CommandInUrl(""), NotTaken),
    case("an unknown command",                 Online,  "bad",  13, Command("callbackUserSneezeCommand"), NotTaken),
    case("another sdkName",                    Online,  "bad",  14, SdkName("other"), NotTaken),
    case("no sdkName",                         Online,  "bad",  15, SdkName(""), NotTaken),
    case("GET instead of POST",                Online,  "bad",  16, Get, NotTaken),
    case("an empty body",                      Online,  "bad",  17, Body(""), NotTaken),
    case("a body that is no JSON",             Online,  "bad",  18, Body("userID=u&seq=1"), NotTaken),
    case("a body that is no object",           Online,  "bad",  19, Body("[]"), NotTaken),
    case("a body cut short",                   Online,  "bad",  20, CutShort, NotTaken),
    case("no userID",                          Online,  "bad",  21, Without("userID"), NotTaken),
    case("an empty userID",                    Online,  "bad",  22, EmptyUser, NotTaken),
    case("no callbackCommand",                 Online,  "bad",  23, Without("callbackCommand"), NotTaken),
    case("no seq",                             Online,  "bad",  24, Without("seq"), NotTaken),
    case("seq as text",                        Online,  "bad",  25, SeqAsText, NotTaken),
    case("a body of 1 MB",                     Online,  "huge",  1, Huge, Survived),

    case("a good signature",                   Online,  "sign",  1, Signature(Signature::Good), Taken),
    case("two signatures, one is good",        Online,  "sign",  2, Signature(Signature::TwoOneGood), Taken),
    case("not signed",                         Online,  "sign", 11, Signature(Signature::None), Unauthorized),
    case("no webhook-signature",               Online,  "sign", 12, Signature(Signature::Lacks("webhook-signature")), Unauthorized),
    case("no webhook-timestamp",               Online,  "sign", 13, Signature(Signature::Lacks("webhook-timestamp")), Unauthorized),
    case("no webhook-id",                      Online,  "sign", 14, Signature(Signature::Lacks("webhook-id")), Unauthorized),
    case("signed with another secret",         Online,  "sign", 15, Signature(Signature::OfOtherSecret), Unauthorized),
    case("the signature of another body",      Online,  "sign", 16, Signature(Signature::OfOtherBody), Unauthorized),
    case("the signature of another id",        Online,  "sign", 17, Signature(Signature::OfOtherId), Unauthorized),
    case("signed 10 minutes ago",              Online,  "sign", 18, Signature(Signature::SecondsOff(-600)), Unauthorized),
    case("signed 10 minutes ahead",            Online,  "sign", 19, Signature(Signature::SecondsOff(600)), Unauthorized),

    case("a good one after all that",          Online,  "ann", 100, Plain, Taken),
];

/// Above every seq of the table but the largest there is.
pub(super) const FAREWELL_SEQ: u64 = 200;

/// Told to each user of the table at the end, so that nobody stays online in the App.
pub(super) const fn farewell(user: &'static str) -> Case {
    case("test users go offline", Offline, user, FAREWELL_SEQ, Plain, Taken)
}

const fn case(
    name: &'static str,
    kind: Kind,
    user: &'static str,
    seq: u64,
    change: Change,
    expected: Expected,
) -> Case {
    Case { name, kind, user, seq, change, expected, seen_online: None }
}
