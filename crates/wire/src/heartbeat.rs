//! Text frames: the heartbeat of browsers, which cannot send a WebSocket ping.
//!
//! Never compressed and never a request. A ping is answered with the body it brought: newer cores
//! fail on a pong whose `body` is missing, and all are content with `null`.

use serde_json::value::RawValue;

use crate::frame::FrameError;
use crate::go_json::Fields;

#[derive(Clone, Copy, Debug)]
pub enum Heartbeat<'a> {
    /// Wants a [`pong`] with the same body.
    Ping(Option<&'a RawValue>),
    /// Counts as a sign of life, wants nothing.
    Pong,
}

/// Any other text frame ends the connection, as upstream does.
pub fn read(text: &str) -> Result<Heartbeat<'_>, FrameError> {
    let fields = Fields::read(text.as_bytes(), ["type", "body"])
        .ok_or(FrameError::Malformed("text frame is not a JSON object"))?;
    match fields.get::<String>("type").as_deref() {
        Some("ping") => Ok(Heartbeat::Ping(fields.raw("body"))),
        Some("pong") => Ok(Heartbeat::Pong),
        _ => Err(FrameError::Malformed("text frame is neither ping nor pong")),
    }
}

/// The text frame that answers a ping.
pub fn pong(body: Option<&RawValue>) -> String {
    format!(r#"{{"type":"pong","body":{}}}"#, body.map_or("null", RawValue::get))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn check(text: &str) -> String {
        match read(text) {
            Ok(Heartbeat::Ping(body)) => pong(body),
            Ok(Heartbeat::Pong) => "quiet".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_ping_gets_its_own_body_back_and_anything_else_nothing() {
        let rows = [
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","body":null}"#,
            r#"{"type":"ping","body":"17 \u00e9\""}"#,
            r#"{"type":"ping","body":{"a":[1,2.50]}}"#,
            r#"{"Type":"ping","x":1,"BODY":1e400}"#,
            r#"{"type":"pong","body":1}"#,
            r#"{"type":"hello"}"#,
            r#"{"type":1}"#,
            r#"{"body":"x"}"#,
            r#"ping"#,
            r#""#,
        ]
        .map(check);
        expect![[r#"
            {"type":"pong","body":null}
            {"type":"pong","body":null}
            {"type":"pong","body":"17 \u00e9\""}
            {"type":"pong","body":{"a":[1,2.50]}}
            {"type":"pong","body":1e400}
            quiet
            text frame is neither ping nor pong
            text frame is neither ping nor pong
            text frame is neither ping nor pong
            text frame is not a JSON object
            text frame is not a JSON object"#]]
        .assert_eq(&rows.join("\n"));
    }
}
