//! Request bodies by Go's rules, which OpenIM's clients rely on: unknown keys are ignored, keys
//! match in any case, what is missing or null is the zero value, another type is 1001.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::code::{Code, WireError};

/// Reads a body into a struct whose keys are in lower case and have defaults.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    let unreadable = |error: serde_json::Error| Code::Args.with(format!("body: {error}"));
    let body = if body.is_empty() { b"{}" } else { body };
    let value: Value = serde_json::from_slice(body).map_err(unreadable)?;
    if !value.is_object() {
        return Err(Code::Args.with("body: expected a JSON object"));
    }
    serde_json::from_value(plain(value)).map_err(unreadable)
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.into_iter().filter(|(_, value)| !value.is_null());
            let fields = said.map(|(key, value)| (key.to_lowercase(), plain(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}
