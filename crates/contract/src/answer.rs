//! The App's answer: read as liberally as Apps write it, written exactly as the contract has it.
//!
//! It never decides what becomes of the callback: that is the verdict, in `presence`.

mod reading;

use crate::Dialect;
use serde::Serialize;
use serde_json::Value;

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
    /// Whether the App will not have the user go on, by the rule of the dialect it was read in;
    /// whatever the action code is beside it, the App did not fail then.
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

    /// Reads the body of an answer in the [`Dialect::Classic`] sense: see [`Answer::read_in`].
    pub fn read(body: &[u8]) -> Answer {
        Answer::read_in(Dialect::Classic, body)
    }

    /// Reads the body of an answer, whatever it is, to a callback of that dialect. The dialect only
    /// settles what [`refuses`](Self::refuses):
    ///
    /// - classic, v3.8: `actionCode` is 0 and `nextCode` is 1;
    /// - v3.5: `actionCode` is not 0, or `nextCode` is 1;
    /// - v2: `actionCode` or `errCode` is not 0; `nextCode` did not exist.
    ///
    /// Codes may be numbers (also `1.0`), numeric strings, `""`, `null` or missing (0). Keys may be
    /// in any order and case, extra or repeated (the last one counts). Memory and time are linear
    /// in `body`, which the caller bounds.
    pub fn read_in(dialect: Dialect, body: &[u8]) -> Answer {
        // A message in another encoding must not hide the code beside it.
        let text = String::from_utf8_lossy(body);
        let rule = dialect.row().refusal;
        reading::Written::parse(text.trim_start_matches('\u{feff}'))
            .map_or_else(Answer::unreadable, |written| written.into_answer(rule))
    }

    /// The answer as one line of JSON, all five keys in the contract's order, as an App of the
    /// classic dialect writes it: a v2 reader would not see a refusal in it.
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
    fn each_dialect_reads_the_refusal_of_its_time() {
        let mut actual = String::new();
        for body in [
            r#"{}"#,
            r#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}"#,
            r#"{"nextCode":1}"#,
            r#"{"nextCode":"1","errCode":5}"#,
            r#"{"nextCode":2}"#,
            r#"{"errCode":5}"#,
            r#"{"errCode":"5"}"#,
            r#"{"errCode":"E42"}"#,
            r#"{"actionCode":1}"#,
            r#"{"actionCode":-1,"errCode":5}"#,
            r#"{"actionCode":1,"nextCode":1}"#,
            r#"{"actionCode":1,"errCode":5,"nextCode":1}"#,
            r#"{"actionCode":true,"errCode":5,"nextCode":1}"#,
            "<html>502</html>",
        ] {
            let refuses = |dialect: &Dialect| Answer::read_in(*dialect, body.as_bytes()).refuses;
            let who: Vec<_> = Dialect::ALL.into_iter().filter(refuses).map(Dialect::name).collect();
            let who = if who.is_empty() { "nobody".to_owned() } else { who.join(" ") };
            writeln!(actual, "{body}\n    {who}").unwrap();
        }
        expect![[r#"
            {}
                nobody
            {"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}
                nobody
            {"nextCode":1}
                classic v3.8 v3.5
            {"nextCode":"1","errCode":5}
                classic v3.8 v3.5 v2
            {"nextCode":2}
                nobody
            {"errCode":5}
                v2
            {"errCode":"5"}
                v2
            {"errCode":"E42"}
                nobody
            {"actionCode":1}
                v3.5 v2
            {"actionCode":-1,"errCode":5}
                v3.5 v2
            {"actionCode":1,"nextCode":1}
                v3.5 v2
            {"actionCode":1,"errCode":5,"nextCode":1}
                v3.5 v2
            {"actionCode":true,"errCode":5,"nextCode":1}
                nobody
            <html>502</html>
                nobody
        "#]]
        .assert_eq(&actual);
    }

    #[test]
    fn the_dialect_changes_nothing_but_the_refusal() {
        let body = br#"{"actionCode":3,"errCode":5,"errMsg":"m","errDlt":"d","nextCode":1}"#;
        for dialect in Dialect::ALL {
            let answer = Answer { refuses: false, ..Answer::read_in(dialect, body) };
            assert_eq!(answer, Answer::read(body), "{dialect:?}");
        }
    }
}
