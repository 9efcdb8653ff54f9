//! Why a request is not taken.

use contract::BodyError;

/// Why a request is not a callback for this App. Each is about this callback only: Herald sends it
/// three times, shows the text beside it in its console, and goes on with the next.
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
}

impl Reject {
    /// The HTTP status to answer with.
    ///
    /// Never 401, 403, 404 or 5xx: by those Herald would hold back every callback of this App.
    pub fn status(&self) -> u16 {
        match self {
            Reject::TooLarge => 413,
            _ => 400,
        }
    }
}
