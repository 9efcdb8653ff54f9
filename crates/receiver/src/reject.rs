//! Why a request is not taken.

use contract::BodyError;

/// Why a request is not a callback for this App. Herald shows the text beside the callback.
///
/// Those of the signature are about the two configurations: Herald holds back what it owes and
/// nothing is lost. Each other is about this callback only: Herald sends it three times and goes on
/// with the next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// Something between Herald and here drops the query.
    #[error("the URL has no `command`; let proxies keep the query of the callback URL")]
    NoCommand,
    /// Herald is set to tell more than this App handles, or it is not Herald that calls.
    #[error(
        "command `{0}` is not handled here; switch that callback off in Herald, or name its kind \
         in `Receiver::commands`"
    )]
    UnknownCommand(String),
    /// URL and body are not of one callback.
    #[error(
        "command `{url}` in the URL is not callbackCommand `{body}` of the body; look at what \
         rewrites either on the way"
    )]
    CommandMismatch {
        /// The command in the URL.
        url: String,
        /// The command in the body.
        body: String,
    },
    /// Meant for another App, or the two configurations differ.
    #[error(
        "sdkName `{0}` is not this App's; give Herald's endpoint the `sdk_name` that \
         `Receiver::sdk_name` has"
    )]
    WrongSdkName(String),
    /// Not Herald, or a callback URL with a `contenttype` of its own behind Herald's.
    #[error("contenttype `{0}` is not json; take it out of the callback URL")]
    WrongContentType(String),
    /// The URL is right and the body is not a callback.
    #[error("the body is not a callback; look at what rewrites it on the way")]
    Body(#[source] BodyError),
    /// The body is above [`BODY_BYTES_MAX`](crate::BODY_BYTES_MAX).
    #[error("the body is above 64 KiB; look at who sends it, a callback has a few hundred bytes")]
    TooLarge,
    /// Not Herald, or a Herald without `callbacks.secrets`, or something drops the header.
    #[error(
        "the header `{0}` is missing; give Herald's endpoint `secrets = [\"whsec_…\"]`, and let \
         proxies keep the header"
    )]
    Unsigned(&'static str),
    /// Something rewrites the header.
    #[error("webhook-timestamp `{0}` is not a unix time in seconds; look at what rewrites it")]
    Timestamp(String),
    /// An old request is played again, it was held back on its way, or a clock is wrong.
    #[error(
        "signed {0} s ago, which is too long; set the clocks of both machines, and look at what \
         holds requests back"
    )]
    TooOld(u64),
    /// A clock is wrong.
    #[error("signed {0} s ahead of our time; set the clocks of both machines")]
    TooNew(u64),
    /// Not Herald, or the two sides have different secrets.
    #[error(
        "not signed with a secret of this App; give both sides the same one, and let proxies keep \
         the body as it is"
    )]
    BadSignature,
}

impl Reject {
    /// The HTTP status to answer with.
    ///
    /// By 401 Herald holds back every callback of this App, and that is meant: after a slip with
    /// secrets or clocks all are still owed. The others must not be 401, 403, 404 or 5xx.
    pub fn status(&self) -> u16 {
        match self {
            Reject::Unsigned(_)
            | Reject::Timestamp(_)
            | Reject::TooOld(_)
            | Reject::TooNew(_)
            | Reject::BadSignature => 401,
            Reject::TooLarge => 413,
            _ => 400,
        }
    }
}
