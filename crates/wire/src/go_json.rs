//! Named fields of a JSON object, read by the rules of Go's `encoding/json`.
//!
//! Keys match whatever their case, unknown keys are skipped, the last of several equal keys counts,
//! and `null` or an absent key is the zero value. Values are not taken apart until they are asked
//! for, so a deep or wide value costs nothing.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields called `names`, each as the text that stands for its value.
pub(crate) struct Fields<'a, const N: usize> {
    names: [&'static str; N],
    values: [Option<&'a RawValue>; N],
}

impl<'a, const N: usize> Fields<'a, N> {
    /// `None` if `json` is anything but one object.
    pub(crate) fn read(json: &'a [u8], names: [&'static str; N]) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let fields = reader.deserialize_map(Self { names, values: [None; N] }).ok()?;
        reader.end().ok()?;
        Some(fields)
    }

    /// The value as it was written; `name` is one of those given to [`Fields::read`].
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.position(name).and_then(|index| self.values[index])
    }

    /// The value, or the zero value if there is none. `None` if it has another type.
    pub(crate) fn get<T: Deserialize<'a> + Default>(&self, name: &str) -> Option<T> {
        match self.raw(name) {
            None => Some(T::default()),
            Some(raw) => {
                serde_json::from_str::<Option<T>>(raw.get()).ok().map(Option::unwrap_or_default)
            }
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.names.iter().position(|name| name.eq_ignore_ascii_case(key))
    }
}

impl<'a, const N: usize> Visitor<'a> for Fields<'a, N> {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<&RawValue>()?;
            if let Some(index) = self.position(&key) {
                self.values[index] = Some(value);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn an_object_is_read_as_go_reads_it() {
        for (json, expected) in [
            (r#"{}"#, Some(Some(0))),
            (r#" {"count":7} "#, Some(Some(7))),
            (r#"{"COUNT":7,"other":[{"count":1}]}"#, Some(Some(7))),
            (r#"{"count":1,"Count":7}"#, Some(Some(7))),
            (r#"{"count":null}"#, Some(Some(0))),
            (r#"{"count":"7"}"#, Some(None)),
            (r#"{"count":7.0}"#, Some(None)),
            (r#"{"count":99999999999}"#, Some(None)),
            (r#"{"count":7}x"#, None),
            (r#"{"count":7"#, None),
            (r#"[7]"#, None),
            (r#"null"#, None),
            (r#""#, None),
        ] {
            let count = Fields::read(json.as_bytes(), ["count"]).map(|f| f.get::<i32>("count"));
            assert_eq!(count, expected, "{json}");
        }
    }

    #[test]
    fn a_value_nobody_asked_for_may_be_as_deep_as_it_likes() {
        let json = format!(r#"{{"x":{}{},"count":7}}"#, "[".repeat(20_000), "]".repeat(20_000));
        let fields = Fields::read(json.as_bytes(), ["count"]).unwrap();
        assert_eq!(fields.get::<i32>("count"), Some(7));
    }
}
