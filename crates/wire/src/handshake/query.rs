//! The parameters of a query, taken apart as Go's `url.ParseQuery` does.
//!
//! The first of several equal names counts, `+` is a space, and a pair with a broken escape or a
//! semicolon is as good as absent. The Go and JS SDKs do not escape what they send: a `+` or `%` of
//! theirs arrives here the way it would upstream.

use std::borrow::Cow;

const NAMES: [&str; 10] = [
    "v",
    "sendID",
    "token",
    "platformID",
    "operationID",
    "isBackground",
    "compression",
    "isMsgResp",
    "sdkType",
    "sdkVersion",
];

/// The parameters that a handshake may have; others are not kept.
#[derive(Default)]
pub(super) struct Query<'a> {
    values: [Option<Cow<'a, str>>; NAMES.len()],
}

impl<'a> Query<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|pair| !pair.contains(';') && is_well_escaped(pair)) {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                continue;
            };
            if let Some(index) = NAMES.iter().position(|known| *known == name) {
                parsed.values[index].get_or_insert(value);
            }
        }
        parsed
    }

    /// The value; empty if the parameter is empty or absent, between which Go does not distinguish.
    pub(super) fn get(&self, name: &str) -> &str {
        let index = NAMES.iter().position(|known| *known == name);
        index.and_then(|index| self.values[index].as_deref()).unwrap_or_default()
    }
}

fn is_well_escaped(pair: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = pair.as_bytes();
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    escapes.all(|(at, _)| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)))
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn a_value_is_what_go_would_get() {
        for (query, expected) in [
            ("sendID=a", "a"),
            ("sendID=a&sendID=b", "a"),
            ("&&x=1&sendID=a", "a"),
            ("sendID=a+b%20c", "a b c"),
            ("sendID=%E4%BD%A0", "你"),
            ("sendID=%", ""),
            ("sendID=%4", ""),
            ("sendID=%4x&sendID=b", "b"),
            ("sendID=a;b", ""),
            ("sendID=a=b", "a=b"),
            ("send%49D=a", "a"),
            ("sendid=a", ""),
            ("sendID", ""),
            ("sendID=&sendID=b", ""),
            ("=a", ""),
            ("", ""),
        ] {
            assert_eq!(Query::parse(query).get("sendID"), expected, "{query}");
        }
    }
}
