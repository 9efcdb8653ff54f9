//! A text frame.

use crate::within;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use wire::heartbeat::{self, Heartbeat};

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let read = within(8 * text.len() + 4096, || heartbeat::read(text));
    if let Ok(Heartbeat::Ping(body)) = read {
        let pong = heartbeat::pong(body);
        assert!(matches!(heartbeat::read(&pong), Ok(Heartbeat::Pong)));
        let said: BTreeMap<String, &RawValue> = serde_json::from_str(&pong).unwrap();
        assert_eq!(said["body"].get(), body.map_or("null", RawValue::get));
    }
}
