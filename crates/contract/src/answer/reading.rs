//! The answer's JSON, as Apps write it: any case, any order, codes as numbers or as text.

use super::Answer;
use crate::row::RefusalRule;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use std::fmt;

/// The five values as the App wrote them; null when missing.
#[derive(Default)]
pub(super) struct Written {
    action_code: Value,
    err_code: Value,
    err_msg: Value,
    err_dlt: Value,
    next_code: Value,
}

impl Written {
    /// `None` when it is not a JSON object.
    pub(super) fn parse(text: &str) -> Option<Written> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn into_answer(self, rule: RefusalRule) -> Answer {
        let action_code = integer(&self.action_code);
        let err_code = integer(&self.err_code).unwrap_or(0);
        let next_code = integer(&self.next_code).unwrap_or(0);
        Answer {
            action_code: action_code.unwrap_or(0),
            err_code,
            err_msg: text(self.err_msg),
            err_dlt: text(self.err_dlt),
            refuses: action_code.is_some_and(|action| rule.refuses(action, err_code, next_code)),
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
