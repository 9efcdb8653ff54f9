//! OpenIM's error codes: the number a client acts upon, the fixed name it shows, our own detail.
//!
//! Only codes that a presence server sends. Codes that SDKs make up themselves (10000 and above)
//! never leave a server.

use std::fmt;

/// Why something was refused, in numbers that every SDK knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    ServerInternal = 500,
    Args = 1001,
    NoPermission = 1002,
    RecordNotFound = 1004,
    UserIdNotFound = 1101,
    RegisteredAlready = 1102,
    /// From here to [`Code::TokenNotExist`] the Go SDK logs the user out, at connect and on REST.
    TokenExpired = 1501,
    TokenInvalid = 1502,
    TokenMalformed = 1503,
    TokenNotValidYet = 1504,
    TokenUnknown = 1505,
    TokenKicked = 1506,
    TokenNotExist = 1507,
    ConnOverMax = 1601,
    ConnArgs = 1602,
}

impl Code {
    /// The `errCode`.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The `errMsg`, which is the same for every refusal with this code.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ServerInternal => "ServerInternalError",
            Self::Args => "ArgsError",
            Self::NoPermission => "NoPermissionError",
            Self::RecordNotFound => "RecordNotFoundError",
            Self::UserIdNotFound => "UserIDNotFoundError",
            Self::RegisteredAlready => "RegisteredAlreadyError",
            Self::TokenExpired => "TokenExpiredError",
            Self::TokenInvalid => "TokenInvalidError",
            Self::TokenMalformed => "TokenMalformedError",
            Self::TokenNotValidYet => "TokenNotValidYetError",
            Self::TokenUnknown => "TokenUnknownError",
            Self::TokenKicked => "TokenKickedError",
            Self::TokenNotExist => "TokenNotExistError",
            Self::ConnOverMax => "ConnOverMaxNumLimit",
            Self::ConnArgs => "args err, need token, sendID, platformID",
        }
    }

    /// Whether trying again with the same token is of no use.
    pub const fn is_about_token(self) -> bool {
        matches!(self.number(), 1501..=1507)
    }

    /// A refusal with this code; `detail` is free text for a person.
    pub fn with(self, detail: impl Into<String>) -> WireError {
        WireError { code: self, message: None, detail: detail.into() }
    }
}

/// A refusal as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    pub code: Code,
    /// The `errMsg`, where it is not the code's own.
    pub message: Option<String>,
    pub detail: String,
}

impl WireError {
    /// The same with an `errMsg` of somebody else's, unless that is empty.
    pub fn in_words(self, message: impl Into<String>) -> WireError {
        WireError { message: Some(message.into()).filter(|text| !text.is_empty()), ..self }
    }

    /// The `errMsg`.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.number(), self.message())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for WireError {}
