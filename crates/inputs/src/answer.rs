//! The App's answer to a callback, read in each dialect.

use crate::within;
use contract::{Answer, Dialect};

/// The worst is a list of small objects where a text should be, held as a tree.
const BYTES_PER_BYTE: usize = 128;

pub fn check(body: &[u8]) {
    let bytes_max = BYTES_PER_BYTE * body.len() + 4096;
    let classic = within(bytes_max, || Answer::read(body));
    for dialect in Dialect::ALL {
        let answer = Answer::read_in(dialect, body);
        assert!(answer.readable || (!answer.refuses && answer.action_code == 0));
        assert_eq!(Answer { refuses: classic.refuses, ..answer }, classic);
    }
    if classic.readable {
        assert_eq!(Answer::read(classic.to_json().as_bytes()), classic);
    }
}
