//! Why there is no answer, in words of which a person can make use.

use crate::trust;
use std::{error::Error, fmt::Write as _, io, time::Duration};

pub(super) enum Failure {
    /// There was no connection.
    Unreachable(String),
    /// There was one.
    BrokeOff {
        /// Not one byte of an answer came.
        nothing_came: bool,
        is_too_long: bool,
        error: Box<dyn Error + Send + Sync>,
    },
    /// It took longer than that.
    Late(Duration),
}

impl Failure {
    pub(super) fn unreachable(error: &(dyn Error + 'static)) -> Failure {
        Failure::Unreachable(words(error))
    }

    pub(super) fn in_words(&self) -> String {
        match self {
            Failure::Unreachable(why) => format!("no connection: {why}"),
            Failure::Late(within) => format!("no answer in time (timeout = {within:?})"),
            Failure::BrokeOff { is_too_long: true, .. } => {
                "the exchange broke off: the answer begins with more than 64 KiB of headers"
                    .to_owned()
            }
            Failure::BrokeOff { error, .. } => {
                format!("the exchange broke off: {}", words(&**error))
            }
        }
    }
}

/// The whole chain of causes, and what to do about the last one.
fn words(error: &(dyn Error + 'static)) -> String {
    let (mut words, mut next) = (String::new(), Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        // Some repeat in their own words what caused them.
        if !words.ends_with(&text) {
            let joint = if words.is_empty() { "" } else { ": " };
            let _ = write!(words, "{joint}{text}");
        }
        if let Some(advice) = advice(error) {
            let _ = write!(words, "; {advice}");
            return words;
        }
        next = error.source();
    }
    words
}

fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // It does not call what it holds its source.
        return trust::advice(error.get_ref()?.downcast_ref()?);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    let is_no_http = error.is_parse() && !error.is_parse_too_large();
    is_no_http.then_some("what answers there does not speak HTTP; is its URL one of https://?")
}
