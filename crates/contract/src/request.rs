//! The request that tells one callback to one endpoint: `POST`, URL, headers and body.
//!
//! It never sends, and never checks that the URL is one: the server's configuration has done that.

use crate::{Callback, Dialect, Kind, body, row::UrlForm};

/// The most characters an operation id may have.
pub const OPERATION_ID_CHARS_MAX: usize = 128;

/// Where callbacks go and how they are dressed: what the operator configured for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The callback URL, `http` or `https`; may have its own path and query.
    pub url: String,
    /// Sent as `sdkName`, so that an App can tell several Heralds apart; `""` sends none. In every
    /// dialect, though only the classic document knows it: who sets it wants it.
    pub sdk_name: String,
    /// Appends to the body what the dialect lacks of operationID, platformID, platform and reason.
    pub extra_fields: bool,
    /// Appends the address of the client.
    pub client_address: bool,
}

/// What to `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The callback URL with its command and parameters; a fragment is dropped.
    pub url: String,
    /// Names as the contract spells them (`operationID` has capitals: `HeaderName::from_static`
    /// would panic on it); each value is visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// One line of JSON, with its newline where the dialect has one.
    pub body: Vec<u8>,
}

/// Builds the request for a callback. The same arguments give the same bytes, at every attempt.
pub fn request(dialect: Dialect, target: &Target, callback: &Callback) -> Request {
    Request {
        url: url(dialect, target, callback.kind),
        headers: headers(dialect, callback),
        body: body::write(dialect, callback, target),
    }
}

/// Makes any text fit for the operationID header: at most [`OPERATION_ID_CHARS_MAX`] characters,
/// and `_` for each that is not visible ASCII. An empty text stays empty.
pub fn operation_id(text: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    text.chars().take(OPERATION_ID_CHARS_MAX).map(visible).collect()
}

fn headers(dialect: Dialect, callback: &Callback) -> Vec<(&'static str, String)> {
    let row = dialect.row();
    let operation_id = || ("operationID", operation_id(&callback.operation_id));
    let mut headers: Vec<_> = row.operation_id_header.then(operation_id).into_iter().collect();
    headers.push(("Content-Type", row.content_type.to_owned()));
    headers
}

fn url(dialect: Dialect, target: &Target, kind: Kind) -> String {
    let command = dialect.command(kind);
    // A fragment is never sent, and after it our parameters would not be either.
    let url = target.url.split_once('#').map_or(target.url.as_str(), |(url, _)| url);
    let mut url = match dialect.row().url {
        UrlForm::Query => with_query(url, &format!("command={command}&contenttype=json")),
        UrlForm::Path => with_segment(url, command),
        UrlForm::Bare => url.to_owned(),
    };
    if !target.sdk_name.is_empty() {
        url = with_query(&url, &format!("sdkName={}", percent_encoded(&target.sdk_name)));
    }
    url
}

fn with_query(url: &str, parameters: &str) -> String {
    let joint = match url {
        _ if !url.contains('?') => "?",
        _ if url.ends_with(['?', '&']) => "",
        _ => "&",
    };
    format!("{url}{joint}{parameters}")
}

/// OpenIM appends to the URL as it stands; a slash at its end, or a query, misleads it.
fn with_segment(url: &str, segment: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    format!("{}/{segment}{query}", path.trim_end_matches('/'))
}

fn percent_encoded(text: &str) -> String {
    // A form writes a space as `+`, which not every App decodes; `%20` is a space to all.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const URLS: [(&str, &str); 15] = [
        ("https://callbackurl", ""),
        ("https://callbackurl/", ""),
        ("http://127.0.0.1:10006/callback", ""),
        ("http://[::1]:10006/callback", ""),
        ("http://[::1]:10006/callback//", ""),
        ("https://app.example/cb?tenant=7", ""),
        ("https://app.example/cb/?tenant=7&", ""),
        ("https://app.example?tenant=7", ""),
        ("https://app.example/cb?", ""),
        ("https://app.example/cb?next=/a?b", ""),
        ("https://app.example/cb?command=mine", ""),
        ("https://app.example/cb#part", ""),
        ("https://app.example/cb?tenant=7#part?x", ""),
        ("https://callbackurl", "chat-eu"),
        ("https://app.example/cb?tenant=7", "a b+c&d=é/ü%"),
    ];

    fn check(dialect: Dialect, expected: Expect) {
        let built = URLS.map(|(url, sdk_name)| {
            let target = Target { url: url.into(), sdk_name: sdk_name.into(), ..Target::default() };
            super::url(dialect, &target, Kind::Online)
        });
        expected.assert_eq(&built.join("\n"));
    }

    #[test]
    fn parameters_are_added_to_whatever_the_callback_url_has() {
        check(
            Dialect::Classic,
            expect![[r#"
            https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            https://callbackurl/?command=callbackUserOnlineCommand&contenttype=json
            http://127.0.0.1:10006/callback?command=callbackUserOnlineCommand&contenttype=json
            http://[::1]:10006/callback?command=callbackUserOnlineCommand&contenttype=json
            http://[::1]:10006/callback//?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb/?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://app.example?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?next=/a?b&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=mine&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://callbackurl?command=callbackUserOnlineCommand&contenttype=json&sdkName=chat-eu
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json&sdkName=a%20b%2Bc%26d%3D%C3%A9%2F%C3%BC%25"#]],
        );
    }

    #[test]
    fn a_command_in_the_path_keeps_the_query_and_doubles_no_slash() {
        check(
            Dialect::V35,
            expect![[r#"
            https://callbackurl/callbackUserOnlineCommand
            https://callbackurl/callbackUserOnlineCommand
            http://127.0.0.1:10006/callback/callbackUserOnlineCommand
            http://[::1]:10006/callback/callbackUserOnlineCommand
            http://[::1]:10006/callback/callbackUserOnlineCommand
            https://app.example/cb/callbackUserOnlineCommand?tenant=7
            https://app.example/cb/callbackUserOnlineCommand?tenant=7&
            https://app.example/callbackUserOnlineCommand?tenant=7
            https://app.example/cb/callbackUserOnlineCommand?
            https://app.example/cb/callbackUserOnlineCommand?next=/a?b
            https://app.example/cb/callbackUserOnlineCommand?command=mine
            https://app.example/cb/callbackUserOnlineCommand
            https://app.example/cb/callbackUserOnlineCommand?tenant=7
            https://callbackurl/callbackUserOnlineCommand?sdkName=chat-eu
            https://app.example/cb/callbackUserOnlineCommand?tenant=7&sdkName=a%20b%2Bc%26d%3D%C3%A9%2F%C3%BC%25"#]],
        );
        for (url, _) in URLS {
            let target = Target { url: url.into(), ..Target::default() };
            let [old, new] =
                [Dialect::V35, Dialect::V38].map(|d| super::url(d, &target, Kind::Online));
            assert_eq!(old.replace("callbackUser", "callbackAfterUser"), new);
        }
    }

    #[test]
    fn a_bare_url_stays_as_it_is() {
        check(
            Dialect::V2,
            expect![[r#"
            https://callbackurl
            https://callbackurl/
            http://127.0.0.1:10006/callback
            http://[::1]:10006/callback
            http://[::1]:10006/callback//
            https://app.example/cb?tenant=7
            https://app.example/cb/?tenant=7&
            https://app.example?tenant=7
            https://app.example/cb?
            https://app.example/cb?next=/a?b
            https://app.example/cb?command=mine
            https://app.example/cb
            https://app.example/cb?tenant=7
            https://callbackurl?sdkName=chat-eu
            https://app.example/cb?tenant=7&sdkName=a%20b%2Bc%26d%3D%C3%A9%2F%C3%BC%25"#]],
        );
    }

    #[test]
    fn an_operation_id_is_short_and_visible() {
        #[rustfmt::skip]
        let table = [
            ("1646445464564",    "1646445464564"),
            ("",                 ""),
            ("a b\tc\r\nX: y",   "a_b_c__X:_y"),
            ("zürich-東京",      "z_rich-__"),
            ("~!\u{7f}\u{0}",    "~!__"),
        ];
        for (text, expected) in table {
            assert_eq!(operation_id(text), expected, "{text:?}");
        }
        assert_eq!(operation_id(&"é".repeat(500)), "_".repeat(OPERATION_ID_CHARS_MAX));
    }
}
