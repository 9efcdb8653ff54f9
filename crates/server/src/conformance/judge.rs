//! Whether what came back is what the contract asks for.

use super::{
    cases::{Case, Change, Expected},
    line::{Reply, Silence},
};
use contract::Answer;
use serde_json::Value;

/// So much of what an App said is shown.
const SHOWN_CHARS_MAX: usize = 60;

/// What came back, in short, and why that is not good, if it is not.
pub(super) struct Verdict {
    pub(super) got: String,
    pub(super) passed: bool,
}

pub(super) fn judge(case: &Case, before: Option<&Reply>, now: &Result<Reply, Silence>) -> Verdict {
    let (got, problem) = match now {
        Ok(reply) => (in_short(reply), problem(case, before, reply)),
        Err(silence) => (in_words(silence), silence_is_bad(case, silence)),
    };
    match problem {
        None => Verdict { got, passed: true },
        Some(problem) => Verdict { got: format!("{got}: {problem}"), passed: false },
    }
}

fn silence_is_bad(case: &Case, silence: &Silence) -> Option<String> {
    let closed = matches!(silence, Silence::Broken(_));
    (case.expected != Expected::Survived || !closed).then(|| "an answer must come".to_owned())
}

fn problem(case: &Case, before: Option<&Reply>, now: &Reply) -> Option<String> {
    match case.expected {
        Expected::Taken => not_taken(now),
        Expected::LikeTheFirst => not_taken(now).or_else(|| {
            let same = before.is_some_and(|before| {
                before.status == now.status && meaning(before) == meaning(now)
            });
            (!same).then(|| "the first was answered otherwise".to_owned())
        }),
        Expected::NotTaken | Expected::Unauthorized => {
            // A page for browsers is no answer to a callback; to a POST Herald takes any 2xx so.
            let taken = match case.change {
                Change::Get => not_taken(now).is_none(),
                _ => success(now) && Answer::read(&now.body).action_code == 0,
            };
            taken.then(|| "Herald reads this as taken".to_owned())
        }
        Expected::Survived => None,
    }
}

/// What Herald acts on, and its operators look at; the texts may say that it is known already.
fn meaning(reply: &Reply) -> (i64, i64, bool) {
    let answer = Answer::read(&reply.body);
    (answer.action_code, answer.err_code, answer.refuses)
}

/// Why this is not the contract's answer to a callback that was taken.
fn not_taken(reply: &Reply) -> Option<String> {
    if !success(reply) {
        return Some("must be 200".to_owned());
    }
    let Ok(Value::Object(answer)) = serde_json::from_slice(&reply.body) else {
        return Some("the body must be a JSON object".to_owned());
    };
    for code in ["actionCode", "errCode"] {
        if !answer.get(code).is_some_and(Value::is_i64) {
            return Some(format!("{code} must be a number"));
        }
    }
    for text in ["errMsg", "errDlt"] {
        if answer.get(text).is_some_and(|value| !value.is_string()) {
            return Some(format!("{text} must be text"));
        }
    }
    (answer["actionCode"] != 0).then(|| "actionCode must be 0".to_owned())
}

fn success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

fn in_short(reply: &Reply) -> String {
    let answer = Answer::read(&reply.body);
    let text = String::from_utf8_lossy(&reply.body);
    let said = match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(json)) if json.contains_key("actionCode") => {
            let refuses = if answer.refuses { ", refuses" } else { "" };
            format!("actionCode {}{refuses} {}", json["actionCode"], answer.err_msg)
        }
        _ if text.is_empty() => "empty".to_owned(),
        _ => text.into_owned(),
    };
    // What an App says must not move the cursor of a terminal.
    let said = said.trim().replace(char::is_control, " ");
    let shown: String = said.chars().take(SHOWN_CHARS_MAX).collect();
    let cut = if shown.len() < said.len() { "…" } else { "" };
    format!("{} {shown}{cut}", reply.status)
}

fn in_words(silence: &Silence) -> String {
    match silence {
        Silence::Unreachable(why) => format!("no connection ({why})"),
        Silence::Broken(why) => format!("the connection ended ({why})"),
        Silence::Late => "nothing within 5 s".to_owned(),
    }
}
