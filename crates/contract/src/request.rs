//! The request that tells one callback to one endpoint: `POST`, URL, headers and body.
//!
//! It never sends, and never checks that the URL is one: the server's configuration has done that.

use crate::{Callback, Dialect, body, dialect::UrlForm};

/// The most characters an operation id may have.
pub const OPERATION_ID_CHARS_MAX: usize = 128;

/// Where callbacks go and how they are dressed: what the operator configured for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The callback URL, `http` or `https`; may have its own path and query.
    pub url: String,
    /// Sent as `sdkName`, so that an App can tell several Heralds apart; `""` sends none.
    pub sdk_name: String,
    /// Appends operationID, platformID, platform and reason to the body.
    pub extra_fields: bool,
}

/// What to `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The callback URL with its parameters; a fragment is dropped.
    pub url: String,
    /// Names as the contract spells them (`operationID` has capitals: `HeaderName::from_static`
    /// would panic on it); each value is visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// One line of JSON.
    pub body: Vec<u8>,
}

/// Builds the request for a callback. The same arguments give the same bytes, at every attempt.
pub fn request(dialect: Dialect, target: &Target, callback: &Callback) -> Request {
    Request {
        url: url(dialect, target, callback),
        headers: vec![
            ("operationID", operation_id(&callback.operation_id)),
            ("Content-Type", "application/json".to_owned()),
        ],
        body: body::write(dialect, callback, target.extra_fields),
    }
}

/// Makes any text fit for the operationID header: at most [`OPERATION_ID_CHARS_MAX`] characters,
/// and `_` for each that is not visible ASCII. An empty text stays empty.
pub fn operation_id(text: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    text.chars().take(OPERATION_ID_CHARS_MAX).map(visible).collect()
}

fn url(dialect: Dialect, target: &Target, callback: &Callback) -> String {
    let command = dialect.command(callback.kind);
    match dialect.row().url {
        UrlForm::Query => with_query(target, command),
    }
}

fn with_query(target: &Target, command: &str) -> String {
    // A fragment is never sent, and after it our parameters would not be either.
    let url = target.url.split_once('#').map_or(target.url.as_str(), |(url, _)| url);
    let joint = match url {
        _ if !url.contains('?') => "?",
        _ if url.ends_with(['?', '&']) => "",
        _ => "&",
    };
    let mut url = format!("{url}{joint}command={command}&contenttype=json");
    if !target.sdk_name.is_empty() {
        url.push_str("&sdkName=");
        url.push_str(&percent_encoded(&target.sdk_name));
    }
    url
}

fn percent_encoded(text: &str) -> String {
    // A form writes a space as `+`, which not every App decodes; `%20` is a space to all.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;

    fn told(kind: Kind) -> Callback {
        Callback {
            kind,
            user_id: "user123".into(),
            seq: 123456,
            is_app_background: false,
            conn_id: "conn123".into(),
            operation_id: "1646445464564".into(),
            platform_id: 1,
            platform: "IOS".into(),
            reason: "login".into(),
        }
    }

    fn check(kind: Kind, extra_fields: bool, expected: Expect) {
        let target =
            Target { url: "https://callbackurl".into(), extra_fields, ..Target::default() };
        let request = request(Dialect::Classic, &target, &told(kind));
        let mut actual = format!("POST {}\n", request.url);
        for (name, value) in request.headers {
            writeln!(actual, "{name}: {value}").unwrap();
        }
        actual += &String::from_utf8(request.body).unwrap();
        expected.assert_eq(&actual);
    }

    #[test]
    fn online_is_told_as_in_the_document() {
        check(
            Kind::Online,
            false,
            expect![[r#"
            POST https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOnlineCommand","seq":123456,"isAppBackground":false,"connID":"conn123"}"#]],
        );
    }

    #[test]
    fn offline_has_no_background() {
        check(
            Kind::Offline,
            false,
            expect![[r#"
            POST https://callbackurl?command=callbackUserOfflineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOfflineCommand","seq":123456,"connID":"conn123"}"#]],
        );
    }

    #[test]
    fn a_kick_off_has_no_connection() {
        check(
            Kind::KickOff,
            false,
            expect![[r#"
            POST https://callbackurl?command=callbackUserKickOffCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserKickOffCommand","seq":123456}"#]],
        );
    }

    #[test]
    fn extra_fields_come_after_the_five() {
        check(
            Kind::Online,
            true,
            expect![[r#"
            POST https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOnlineCommand","seq":123456,"isAppBackground":false,"connID":"conn123","operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login"}"#]],
        );
        check(
            Kind::KickOff,
            true,
            expect![[r#"
            POST https://callbackurl?command=callbackUserKickOffCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserKickOffCommand","seq":123456,"operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login"}"#]],
        );
    }

    #[test]
    fn parameters_are_added_to_whatever_the_callback_url_has() {
        let table = [
            ("https://callbackurl", ""),
            ("https://callbackurl/", ""),
            ("http://127.0.0.1:10006/callback", ""),
            ("http://[::1]:10006/callback", ""),
            ("https://app.example/cb?tenant=7", ""),
            ("https://app.example/cb?tenant=7&", ""),
            ("https://app.example/cb?", ""),
            ("https://app.example/cb?next=/a?b", ""),
            ("https://app.example/cb?command=mine", ""),
            ("https://app.example/cb#part", ""),
            ("https://app.example/cb?tenant=7#part?x", ""),
            ("https://callbackurl", "chat-eu"),
            ("https://app.example/cb?tenant=7", "a b+c&d=é/ü%"),
        ];
        let built = table.map(|(url, sdk_name)| {
            let target = Target { url: url.into(), sdk_name: sdk_name.into(), ..Target::default() };
            request(Dialect::Classic, &target, &told(Kind::Online)).url
        });
        let expected = expect![[r#"
            https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            https://callbackurl/?command=callbackUserOnlineCommand&contenttype=json
            http://127.0.0.1:10006/callback?command=callbackUserOnlineCommand&contenttype=json
            http://[::1]:10006/callback?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?next=/a?b&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=mine&command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?command=callbackUserOnlineCommand&contenttype=json
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json
            https://callbackurl?command=callbackUserOnlineCommand&contenttype=json&sdkName=chat-eu
            https://app.example/cb?tenant=7&command=callbackUserOnlineCommand&contenttype=json&sdkName=a%20b%2Bc%26d%3D%C3%A9%2F%C3%BC%25"#]];
        expected.assert_eq(&built.join("\n"));
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
