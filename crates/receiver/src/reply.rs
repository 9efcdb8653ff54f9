//! What goes back to Herald over HTTP, for any web framework.

use crate::{Answer, Reject};
use std::error::Error;

/// The most characters of a reason that are sent back: it may quote what a stranger sent.
const REASON_CHARS_MAX: usize = 300;

/// Status and JSON body of the response to a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    answer: Answer,
}

impl Reply {
    /// This App cannot take callbacks at the moment, for example because its database is away.
    ///
    /// Herald holds what it owes to this App, tries again with growing pauses, and gives nothing up
    /// before its retention ends (72 h unless configured).
    pub fn later() -> Reply {
        Reply { status: 503, answer: Answer::failed(503, "later") }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body, `application/json`.
    pub fn body(&self) -> String {
        self.answer.to_json()
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply { status: 200, answer }
    }
}

impl From<Reject> for Reply {
    fn from(reject: Reject) -> Reply {
        let status = reject.status();
        let mut answer = Answer::failed(status.into(), clipped(&reject));
        answer.err_dlt = reject.source().map(clipped).unwrap_or_default();
        Reply { status, answer }
    }
}

fn clipped(error: &dyn Error) -> String {
    error.to_string().chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Receiver;
    use expect_test::expect;

    #[test]
    fn each_outcome_has_its_status_and_an_answer_that_herald_can_read() {
        let url = "command=callbackUserOnlineCommand";
        let replies = [
            Reply::from(Answer::ok()),
            Reply::from(Answer::refuse("blocked")),
            Reply::from(Answer::failed(7, "no such user")),
            Reply::later(),
            Reply::from(Receiver::new().read("", b"").unwrap_err()),
            Reply::from(Receiver::new().read(url, b"{}").unwrap_err()),
            Reply::from(Receiver::new().read(url, &[b' '; 65_537]).unwrap_err()),
        ];
        let lines = replies.map(|reply| format!("{} {}", reply.status(), reply.body()));
        let expected = expect![[r#"
            200 {"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}
            200 {"actionCode":0,"errCode":0,"errMsg":"blocked","errDlt":"","nextCode":1}
            200 {"actionCode":1,"errCode":7,"errMsg":"no such user","errDlt":"","nextCode":""}
            503 {"actionCode":1,"errCode":503,"errMsg":"later","errDlt":"","nextCode":""}
            400 {"actionCode":1,"errCode":400,"errMsg":"the URL has no `command`; let proxies keep the query of the callback URL","errDlt":"","nextCode":""}
            400 {"actionCode":1,"errCode":400,"errMsg":"the body is not a callback; look at what rewrites it on the way","errDlt":"missing field `userID` at line 1 column 2","nextCode":""}
            413 {"actionCode":1,"errCode":413,"errMsg":"the body is above 64 KiB; look at who sends it, a callback has a few hundred bytes","errDlt":"","nextCode":""}"#]];
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_reason_does_not_echo_a_flood() {
        let command = format!("command={}", "é".repeat(10_000));
        let reply = Reply::from(Receiver::new().read(&command, b"").unwrap_err());
        assert!(reply.body().len() < 4 * REASON_CHARS_MAX, "{}", reply.body().len());
    }
}
