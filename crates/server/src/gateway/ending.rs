//! Every way a connection ends, as one table: the frame that says so, the close code, and what
//! presence is told. `docs/endings.md` is this table for people; a test keeps the two equal.

use presence::End;
use std::borrow::Cow;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use wire::identifier;

/// A close frame's reason may have so many bytes (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// A way to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client says goodbye.
    ClientCloses,
    /// The line breaks without a word, or the upgrade is never completed.
    LineBreaks,
    /// Nothing is heard for the read timeout, not even the answer to a ping.
    Silent,
    /// A frame cannot be written within the write timeout.
    WriteStalls,
    /// Too many frames wait for a client that does not read them.
    FallsBehind,
    /// The client logs out; it was answered, and presence knows.
    LogsOut,
    /// Kicked, replaced by a login, logged out by force, or refused by the App: presence knows.
    Kicked,
    /// Its token is good no more, and the operator wants that to end it.
    TokenExpires,
    /// The server goes away; presence keeps the connection for the grace of a restart.
    ServerStops,
    /// A frame that is longer than allowed, packed or unpacked.
    FrameTooLarge,
    /// A frame that is not what the handshake promised.
    FrameUnreadable,
    /// WebSocket's own rules are broken.
    ProtocolBroken,
    /// A request in the name of another user, or one that does not exist.
    RequestNotAllowed,
}

/// What is said to the client before the line is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Farewell {
    /// The request identifier of a last binary frame.
    pub(super) frame: Option<i32>,
    pub(super) close: Close,
}

/// How WebSocket's own closing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// There is nobody to say it to.
    Unsaid,
    /// The client's close frame is answered with its own code.
    Echoed,
    /// This code.
    Code(CloseCode),
}

/// An ending with its reason for people, in the words of the close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    why: Cow<'static, str>,
}

impl Ending {
    pub(super) fn because(self, why: impl Into<Cow<'static, str>>) -> Ended {
        Ended { ending: self, why: why.into() }
    }

    /// What the client is told.
    pub(super) fn farewell(self) -> Farewell {
        let (frame, close) = match self {
            Ending::ClientCloses => (None, Close::Echoed),
            Ending::LineBreaks | Ending::Silent | Ending::WriteStalls => (None, Close::Unsaid),
            Ending::FallsBehind => (None, Close::Code(CloseCode::Policy)),
            Ending::LogsOut => (None, Close::Code(CloseCode::Normal)),
            Ending::Kicked => (Some(identifier::KICK_ONLINE), Close::Code(CloseCode::Policy)),
            Ending::TokenExpires => (None, Close::Code(CloseCode::Policy)),
            Ending::ServerStops => (None, Close::Code(CloseCode::Restart)),
            Ending::FrameTooLarge => (None, Close::Code(CloseCode::Size)),
            Ending::FrameUnreadable => (None, Close::Code(CloseCode::Invalid)),
            Ending::ProtocolBroken => (None, Close::Code(CloseCode::Protocol)),
            Ending::RequestNotAllowed => (None, Close::Code(CloseCode::Policy)),
        };
        Farewell { frame, close }
    }

    /// What presence is told; nothing if it knows already, or is to keep the connection.
    pub(super) fn told(self) -> Option<End> {
        match self {
            Ending::ClientCloses => Some(End::Closed),
            Ending::LineBreaks
            | Ending::Silent
            | Ending::WriteStalls
            | Ending::FallsBehind
            | Ending::TokenExpires => Some(End::Lost),
            Ending::FrameTooLarge
            | Ending::FrameUnreadable
            | Ending::ProtocolBroken
            | Ending::RequestNotAllowed => Some(End::Misbehaved),
            Ending::LogsOut | Ending::Kicked | Ending::ServerStops => None,
        }
    }
}

impl From<Ending> for Ended {
    /// With the words that most endings need.
    fn from(ending: Ending) -> Ended {
        ending.because(match ending {
            Ending::FallsBehind => "too slow",
            Ending::LogsOut => "logged out",
            Ending::Kicked => "kicked",
            Ending::TokenExpires => "token expired",
            Ending::ServerStops => "server restarts",
            _ => "",
        })
    }
}

impl Ended {
    /// The close frame, unless nothing or only the client's own is said.
    pub(super) fn close_frame(&self) -> Option<CloseFrame> {
        let Close::Code(code) = self.ending.farewell().close else { return None };
        let end = self.why.floor_char_boundary(REASON_BYTES_MAX);
        Some(CloseFrame { code, reason: self.why[..end].into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence::Reason;

    /// Each ending as it is called in the document, and what presence makes of those it knows.
    const ALL: [(Ending, &str, &str); 13] = [
        (Ending::ClientCloses, "the client closes", ""),
        (Ending::LineBreaks, "the line breaks", ""),
        (Ending::Silent, "silence", ""),
        (Ending::WriteStalls, "a write stalls", ""),
        (Ending::FallsBehind, "the client falls behind", ""),
        (Ending::LogsOut, "the client logs out", "`logged_out`"),
        (Ending::Kicked, "a kick", "`kicked` or `refused`"),
        (Ending::TokenExpires, "a token expires", ""),
        (Ending::ServerStops, "the server stops", "`server_lost`"),
        (Ending::FrameTooLarge, "a frame is too large", ""),
        (Ending::FrameUnreadable, "a frame is unreadable", ""),
        (Ending::ProtocolBroken, "WebSocket's rules are broken", ""),
        (Ending::RequestNotAllowed, "a request is not allowed", ""),
    ];

    #[test]
    fn the_document_says_what_the_code_does() {
        let document = include_str!("../../../../docs/endings.md");
        let (_, table) = document.split_once("|---|---|---|---|---|---|\n").unwrap();
        let written: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        assert_eq!(written.len(), ALL.len());
        for ((ending, name, known), line) in ALL.into_iter().zip(written) {
            let Farewell { frame, close } = ending.farewell();
            let frame = match (ending, frame) {
                (Ending::LogsOut, _) => "2003, the answer".to_owned(),
                (_, frame) => frame.map_or("–".to_owned(), |id| id.to_string()),
            };
            let close = match close {
                Close::Unsaid => "–".to_owned(),
                Close::Echoed => "the client's".to_owned(),
                Close::Code(code) => u16::from(code).to_string(),
            };
            let told = ending.told().map(|end| format!("`{}`", Reason::from(end).name()));
            let told = told.unwrap_or(known.to_owned());
            let row = format!("| {name} | {frame} | {close} | {told} |");
            assert!(line.starts_with(&row), "{line}\nshould begin with\n{row}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let ended = Ending::FrameUnreadable.because("é".repeat(100));
        assert_eq!(ended.close_frame().unwrap().reason.len(), 122);
    }
}
