//! The requests that each dialect makes of each kind of callback, to the byte.

use expect_test::{Expect, expect};
use herald_contract::{Callback, Dialect, Kind, Target, request};
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
        collapsed: 0,
        epoch: "0123456789abcdef".into(),
        status: None,
        client_address: String::new(),
    }
}

/// The three requests of a dialect; `¶` is a newline in a body.
fn check(dialect: Dialect, extra_fields: bool, expected: Expect) {
    let target = Target { url: "https://callbackurl".into(), extra_fields, ..Target::default() };
    let mut actual = String::new();
    for kind in Kind::ALL {
        let request = request(dialect, &target, &told(kind));
        writeln!(actual, "POST {}", request.url).expect("a string takes all");
        for (name, value) in request.headers {
            writeln!(actual, "{name}: {value}").expect("a string takes all");
        }
        let body = String::from_utf8(request.body).expect("JSON is text");
        actual += &body.replace('\n', "¶");
        actual += "\n\n";
    }
    expected.assert_eq(actual.trim_end());
}

#[test]
fn classic_is_told_as_in_the_document() {
    check(
        Dialect::Classic,
        false,
        expect![[r#"
            POST https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOnlineCommand","seq":123456,"isAppBackground":false,"connID":"conn123"}

            POST https://callbackurl?command=callbackUserOfflineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOfflineCommand","seq":123456,"connID":"conn123"}

            POST https://callbackurl?command=callbackUserKickOffCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserKickOffCommand","seq":123456}

            POST https://callbackurl?command=callbackUserBackgroundCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserBackgroundCommand","seq":123456,"isAppBackground":false,"connID":"conn123"}"#]],
    );
}

#[test]
fn v38_has_the_command_in_the_path_and_eight_fields() {
    check(
        Dialect::V38,
        false,
        expect![[r#"
            POST https://callbackurl/callbackAfterUserOnlineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123"}¶

            POST https://callbackurl/callbackAfterUserOfflineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"connID":"conn123"}¶

            POST https://callbackurl/callbackAfterUserKickOffCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456}¶

            POST https://callbackurl/callbackUserBackgroundCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123"}¶"#]],
    );
}

#[test]
fn v35_has_the_old_commands_and_no_newline() {
    check(
        Dialect::V35,
        false,
        expect![[r#"
            POST https://callbackurl/callbackUserOnlineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123"}

            POST https://callbackurl/callbackUserOfflineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"connID":"conn123"}

            POST https://callbackurl/callbackUserKickOffCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456}

            POST https://callbackurl/callbackUserBackgroundCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123"}"#]],
    );
}

#[test]
fn v2_has_a_bare_url_and_no_operation_id_header() {
    check(
        Dialect::V2,
        false,
        expect![[r#"
            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123"}"#]],
    );
}

#[test]
fn extra_fields_come_after_the_dialects_own_and_repeat_none() {
    check(
        Dialect::Classic,
        true,
        expect![[r#"
            POST https://callbackurl?command=callbackUserOnlineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOnlineCommand","seq":123456,"isAppBackground":false,"connID":"conn123","operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl?command=callbackUserOfflineCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserOfflineCommand","seq":123456,"connID":"conn123","operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl?command=callbackUserKickOffCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserKickOffCommand","seq":123456,"operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl?command=callbackUserBackgroundCommand&contenttype=json
            operationID: 1646445464564
            Content-Type: application/json
            {"userID":"user123","callbackCommand":"callbackUserBackgroundCommand","seq":123456,"isAppBackground":false,"connID":"conn123","operationID":"1646445464564","platformID":1,"platform":"IOS","reason":"login","epoch":"0123456789abcdef"}"#]],
    );
    check(
        Dialect::V38,
        true,
        expect![[r#"
            POST https://callbackurl/callbackAfterUserOnlineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}¶

            POST https://callbackurl/callbackAfterUserOfflineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}¶

            POST https://callbackurl/callbackAfterUserKickOffCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackAfterUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"reason":"login","epoch":"0123456789abcdef"}¶

            POST https://callbackurl/callbackUserBackgroundCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}¶"#]],
    );
    check(
        Dialect::V35,
        true,
        expect![[r#"
            POST https://callbackurl/callbackUserOnlineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl/callbackUserOfflineCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl/callbackUserKickOffCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl/callbackUserBackgroundCommand
            operationID: 1646445464564
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}"#]],
    );
    check(
        Dialect::V2,
        true,
        expect![[r#"
            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOnlineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserOfflineCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserKickOffCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"reason":"login","epoch":"0123456789abcdef"}

            POST https://callbackurl
            Content-Type: application/json; charset=utf-8
            {"callbackCommand":"callbackUserBackgroundCommand","operationID":"1646445464564","platformID":1,"platform":"IOS","userID":"user123","seq":123456,"isAppBackground":false,"connID":"conn123","reason":"login","epoch":"0123456789abcdef"}"#]],
    );
}
