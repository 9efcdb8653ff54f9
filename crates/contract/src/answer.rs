//! The App's answer: read as liberally as Apps write it, written exactly as the contract has it.
//!
//! It never decides what becomes of the callback: that is the verdict, in `presence`.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use std::fmt;

/// What the App said about one callback.
///
/// An answer that is not [`readable`](Self::readable) has action code 0 and never refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the App executed the callback: 0 = success, anything else = it failed.
    pub action_code: i64,
    /// The App's own code for what went wrong; 0 when nothing did.
    pub err_code: i64,
    /// The error in short, for people; may be empty.
    pub err_msg: String,
    /// The error in detail, for people; may be empty.
    pub err_dlt: String,
    /// Whether the App will not have the user go on: `nextCode` 1 beside an action code of 0.
    pub refuses: bool,
    /// Whether this was an answer at all: a JSON object whose action code is a number, empty or
    /// missing.
    pub readable: bool,
}

impl Answer {
    /// Done; carry on.
    pub fn ok() -> Answer {
        Answer {
            action_code: 0,
            err_code: 0,
            err_msg: String::new(),
            err_dlt: String::new(),
            refuses: false,
            readable: true,
        }
    }

    /// Done, and the user shall not go on being online; `err_msg` says why.
    pub fn refuse(err_msg: impl Into<String>) -> Answer {
        Answer { err_msg: err_msg.into(), refuses: true, ..Answer::ok() }
    }

    /// Not done, and about this callback only: after three tries in all it is not sent again. An
    /// App that can do nothing at the moment answers HTTP 503 instead, and is sent it later.
    pub fn failed(err_code: i64, err_msg: impl Into<String>) -> Answer {
        Answer { action_code: 1, err_code, err_msg: err_msg.into(), ..Answer::ok() }
    }

    /// Reads the body of an answer, whatever it is.
    ///
    /// Codes may be numbers (also `1.0`), numeric strings, `""`, `null` or missing (0). Keys may be
    /// in any order and case, extra or repeated (the last one counts). Memory and time are linear
    /// in `body`, which the caller bounds.
    pub fn read(body: &[u8]) -> Answer {
        // A message in another encoding must not hide the code beside it.
        let text = String::from_utf8_lossy(body);
        serde_json::from_str::<Written>(text.trim_start_matches('\u{feff}'))
            .map_or_else(|_| Answer::unreadable(), Answer::from)
    }

    /// The answer as one line of JSON, all five keys in the contract's order.
    pub fn to_json(&self) -> String {
        let next_code = if self.refuses { Value::from(1) } else { Value::from("") };
        let json = Json {
            action_code: self.action_code,
            err_code: self.err_code,
            err_msg: &self.err_msg,
            err_dlt: &self.err_dlt,
            next_code,
        };
        serde_json::to_string(&json).expect("numbers and strings can always be written")
    }

    fn unreadable() -> Answer {
        Answer { readable: false, ..Answer::ok() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    action_code: i64,
    err_code: i64,
    err_msg: &'a str,
    err_dlt: &'a str,
    next_code: Value,
}

/// The five values as the App wrote them; null when missing.
#[derive(Default)]
struct Written {
    action_code: Value,
    err_code: Value,
    err_msg: Value,
    err_dlt: Value,
    next_code: Value,
}

impl From<Written> for Answer {
    fn from(written: Written) -> Answer {
        let action_code = integer(&written.action_code);
        Answer {
            action_code: action_code.unwrap_or(0),
            err_code: integer(&written.err_code).unwrap_or(0),
            err_msg: text(written.err_msg),
            err_dlt: text(written.err_dlt),
            refuses: action_code == Some(0) && integer(&written.next_code) == Some(1),
            readable: action_code.is_some(),
        }
    }
}

/// A whole number in any form that Apps write it, beyond i64 its nearest; `None` if it is none.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Null => Some(0),
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => match text.trim() {
            "" => Some(0),
            text => text.parse().ok().or_else(|| whole(text.parse().ok()?)),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    // Infinity and NaN have no fraction of 0; the cast saturates.
    (number.fract() == 0.0).then_some(number as i64)
}

/// What people are shown: a text as it is, anything else as its JSON.
fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl Written {
    fn slot(&mut self, key: &str) -> Option<&mut Value> {
        let slots = [
            ("actionCode", &mut self.action_code),
            ("errCode", &mut self.err_code),
            ("errMsg", &mut self.err_msg),
            ("errDlt", &mut self.err_dlt),
            ("nextCode", &mut self.next_code),
        ];
        // Any case: OpenIM reads it so, and the libraries of some languages write `ActionCode`.
        slots.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, slot)| slot)
    }
}

// By hand, because the derived one fails on a repeated key and knows one case only.
impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_map(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Written, M::Error> {
        let mut written = Written::default();
        while let Some(key) = map.next_key::<String>()? {
            match written.slot(&key) {
                Some(slot) => *slot = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write as _;

    #[test]
    fn an_answer_is_written_as_in_the_document() {
        let answers =
            [Answer::ok(), Answer::refuse("not \"today\""), Answer::failed(1001, "no user")];
        let actual: Vec<_> = answers.iter().map(Answer::to_json).collect();
        expect![[r#"
            {"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}
            {"actionCode":0,"errCode":0,"errMsg":"not \"today\"","errDlt":"","nextCode":1}
            {"actionCode":1,"errCode":1001,"errMsg":"no user","errDlt":"","nextCode":""}"#]]
        .assert_eq(&actual.join("\n"));
        for answer in answers {
            assert_eq!(Answer::read(answer.to_json().as_bytes()), answer);
        }
    }

    #[test]
    fn an_answer_is_read_however_it_is_written() {
        let bodies: &[&[u8]] = &[
            br#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}"#,
            br#"{"nextCode":"1","errDlt":"d","errMsg":"m","errCode":7,"actionCode":0}"#,
            b"{}",
            b" \r\n{ }\n",
            br#"{"nextCode":1}"#,
            br#"{"nextCode":1.0}"#,
            br#"{"nextCode":" 1 "}"#,
            br#"{"nextCode":"1.0"}"#,
            br#"{"nextCode":0}"#,
            br#"{"nextCode":"0"}"#,
            br#"{"nextCode":null}"#,
            br#"{"nextCode":2}"#,
            br#"{"nextCode":-1}"#,
            br#"{"nextCode":true}"#,
            br#"{"nextCode":[1]}"#,
            br#"{"nextCode":1,"errCode":0}"#,
            br#"{"nextCode":1,"errCode":5}"#,
            br#"{"nextCode":1,"actionCode":3}"#,
            br#"{"actionCode":1,"errCode":1001,"errMsg":"no","errDlt":"no such user"}"#,
            br#"{"actionCode":"1","errCode":"1001"}"#,
            br#"{"actionCode":"","errCode":""}"#,
            br#"{"actionCode":null,"errCode":null,"errMsg":null,"errDlt":null}"#,
            br#"{"actionCode":-1.0,"errCode":"E42"}"#,
            br#"{"actionCode":1e300}"#,
            br#"{"actionCode":99999999999999999999}"#,
            br#"{"ActionCode":1,"ERRMSG":"pascal"}"#,
            br#"{"actionCode":0,"actionCode":2}"#,
            br#"{"errMsg":17,"errDlt":{"at":[1,2]}}"#,
            br#"{"extra":{"a":[1e999]},"actionCode":4}"#,
            b"{\"actionCode\":1,\"errMsg\":\"caf\xe9\"}",
            b"\xef\xbb\xbf{\"actionCode\":1}",
            br#"{"actionCode":true,"nextCode":1}"#,
            br#"{"actionCode":0.5}"#,
            br#"{"actionCode":"inf"}"#,
            br#"{"actionCode":"no","errMsg":"kept"}"#,
            b"",
            b"null",
            b"OK",
            br#""ok""#,
            b"[0]",
            br#"{"actionCode":1"#,
            br#"{"actionCode":1} trailing"#,
            b"<html>502</html>",
            b"\xff\xfe\x00",
        ];
        let mut actual = String::new();
        for body in bodies {
            let Answer { action_code, err_code, err_msg, err_dlt, refuses, readable } =
                Answer::read(body);
            let what = match (readable, refuses) {
                (true, false) => "",
                (true, true) => " refuses",
                (false, false) => " unreadable",
                (false, true) => unreachable!("an unreadable answer never refuses"),
            };
            let body = body.escape_ascii().to_string().replace("\\\"", "\"");
            writeln!(actual, "{body}\n    {action_code} {err_code} {err_msg:?} {err_dlt:?}{what}")
                .unwrap();
        }
        expect![[r#"
            {"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}
                0 0 "" ""
            {"nextCode":"1","errDlt":"d","errMsg":"m","errCode":7,"actionCode":0}
                0 7 "m" "d" refuses
            {}
                0 0 "" ""
             \r\n{ }\n
                0 0 "" ""
            {"nextCode":1}
                0 0 "" "" refuses
            {"nextCode":1.0}
                0 0 "" "" refuses
            {"nextCode":" 1 "}
                0 0 "" "" refuses
            {"nextCode":"1.0"}
                0 0 "" "" refuses
            {"nextCode":0}
                0 0 "" ""
            {"nextCode":"0"}
                0 0 "" ""
            {"nextCode":null}
                0 0 "" ""
            {"nextCode":2}
                0 0 "" ""
            {"nextCode":-1}
                0 0 "" ""
            {"nextCode":true}
                0 0 "" ""
            {"nextCode":[1]}
                0 0 "" ""
            {"nextCode":1,"errCode":0}
                0 0 "" "" refuses
            {"nextCode":1,"errCode":5}
                0 5 "" "" refuses
            {"nextCode":1,"actionCode":3}
                3 0 "" ""
            {"actionCode":1,"errCode":1001,"errMsg":"no","errDlt":"no such user"}
                1 1001 "no" "no such user"
            {"actionCode":"1","errCode":"1001"}
                1 1001 "" ""
            {"actionCode":"","errCode":""}
                0 0 "" ""
            {"actionCode":null,"errCode":null,"errMsg":null,"errDlt":null}
                0 0 "" ""
            {"actionCode":-1.0,"errCode":"E42"}
                -1 0 "" ""
            {"actionCode":1e300}
                9223372036854775807 0 "" ""
            {"actionCode":99999999999999999999}
                9223372036854775807 0 "" ""
            {"ActionCode":1,"ERRMSG":"pascal"}
                1 0 "pascal" ""
            {"actionCode":0,"actionCode":2}
                2 0 "" ""
            {"errMsg":17,"errDlt":{"at":[1,2]}}
                0 0 "17" "{\"at\":[1,2]}"
            {"extra":{"a":[1e999]},"actionCode":4}
                4 0 "" ""
            {"actionCode":1,"errMsg":"caf\xe9"}
                1 0 "caf�" ""
            \xef\xbb\xbf{"actionCode":1}
                1 0 "" ""
            {"actionCode":true,"nextCode":1}
                0 0 "" "" unreadable
            {"actionCode":0.5}
                0 0 "" "" unreadable
            {"actionCode":"inf"}
                0 0 "" "" unreadable
            {"actionCode":"no","errMsg":"kept"}
                0 0 "kept" "" unreadable

                0 0 "" "" unreadable
            null
                0 0 "" "" unreadable
            OK
                0 0 "" "" unreadable
            "ok"
                0 0 "" "" unreadable
            [0]
                0 0 "" "" unreadable
            {"actionCode":1
                0 0 "" "" unreadable
            {"actionCode":1} trailing
                0 0 "" "" unreadable
            <html>502</html>
                0 0 "" "" unreadable
            \xff\xfe\x00
                0 0 "" "" unreadable
        "#]]
        .assert_eq(&actual);
    }

    #[test]
    fn a_hostile_answer_costs_no_stack() {
        let deep = "[".repeat(1_000_000);
        let closed = format!("{deep}{}", "]".repeat(1_000_000));
        assert!(!Answer::read(deep.as_bytes()).readable);
        assert!(!Answer::read(format!(r#"{{"errMsg":{closed}}}"#).as_bytes()).readable);
        assert!(!Answer::read("{\"a\":".repeat(1_000_000).as_bytes()).readable);
        // What we do not know is skipped without recursion, however deep.
        let aside = format!(r#"{{"extra":{closed},"actionCode":1}}"#);
        assert_eq!(Answer::read(aside.as_bytes()).action_code, 1);
    }
}
