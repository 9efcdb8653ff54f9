//! The body of a callback as the App's side reads it, in each dialect.

use crate::within;
use contract::{Callback, Dialect, Target, request};

pub fn check(body: &[u8]) {
    for dialect in Dialect::ALL {
        let read = within(8 * body.len() + 4096, || Callback::read(dialect, body));
        if let Ok(callback) = read {
            let target = Target { extra_fields: true, ..Target::default() };
            let again = request(dialect, &target, &callback).body;
            let read = Callback::read(dialect, &again).unwrap();
            // A dialect leaves fields out, and cleans the operation's name; the rest is told.
            assert_eq!((read.kind, &read.user_id), (callback.kind, &callback.user_id));
            assert_eq!(request(dialect, &target, &read).body, again);
        }
    }
}
