//! What operators write into the file, and what they are told about it.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use server::config::load;
use std::{io, path::Path, sync::LazyLock};

/// A certificate and its key.
static PAIR: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(pair);

fn pair() -> (Vec<u8>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["herald".to_owned()]).unwrap();
    (made.cert.pem().into(), made.signing_key.serialize_pem().into())
}

/// Each line is a file (`⏎` ends a line of it). The answer has its errors or its warnings.
fn check(files: &str, expected: Expect) {
    let read_file = |path: &Path| match path.to_str() {
        Some("ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----\n".to_vec()),
        Some("text.txt") => Ok(b"Dear diary".to_vec()),
        Some("cert.pem") => Ok(PAIR.0.clone()),
        Some("key.pem") => Ok(PAIR.1.clone()),
        Some("other.pem") => Ok(pair().1),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut actual = String::new();
    for file in files.lines().map(str::trim).filter(|file| !file.is_empty()) {
        let text = file.replace(" ⏎ ", "\n").replace('⏎', "\n");
        let secret = ("HERALD_AUTH__SECRET".to_owned(), "0123456789abcdef".to_owned());
        match load(Some(("herald.toml", &text)), [secret], false, &read_file) {
            Ok(loaded) => actual += &format!("ok {}\n", loaded.warnings.join(" ")),
            Err(errors) => actual += &format!("{errors}\n"),
        }
    }
    expected.assert_eq(&actual);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_to_write() {
    check(
        r#"
            gateway.listen = "localhost:10001"
            gateway.listen = 10001
            gateway.connections_max = "100"
            gateway.connections_max = -1
            gateway.connections_max = 1e6
            gateway.connections_max = 99999999999999999999999
            gateway.frame_bytes_max = 51200
            gateway.frame_bytes_max = "50KB"
            [gateway] ⏎ ⏎ # half a minute ⏎ read_timeout = 30
            [gateway] ⏎ read_timeout = "30"
            auth.admin_users = "imAdmin"
            auth.admin_users = [ ⏎ "imAdmin", ⏎ 7, ⏎ ]
            admin.token = 12345678901234567890
            callbacks.url = true
            callbacks.dialect = "v4"
            callbacks.sdk_name = 1979-05-27
            callbacks.online.enable = "true"
            callbacks.online.scope = "device"
            callbacks.online.on_refusal = "Disconnect"
            store.backend = "redis"
            store.path = 7
            store.sync = true
            log.format = "xml"
            [gateway.listen] ⏎ port = 1
            gateway.listen = { port = 1 }
        "#,
        expect![[r#"
            herald.toml:1: gateway.listen = "localhost:10001": expected an address such as "0.0.0.0:10001"
            herald.toml:1: gateway.listen = 10001: expected an address such as "0.0.0.0:10001"
            herald.toml:1: gateway.connections_max = "100": expected a whole number such as 100000
            herald.toml:1: gateway.connections_max = -1: expected a whole number such as 100000
            herald.toml:1: gateway.connections_max = 1e6: expected a whole number such as 100000
            herald.toml:1: gateway.connections_max = 99999999999999999999999: expected a whole number such as 100000
            herald.toml:1: gateway.frame_bytes_max = 51200: expected a size such as "50KiB"
            herald.toml:1: gateway.frame_bytes_max = "50KB": expected a size such as "50KiB"
            herald.toml:4: gateway.read_timeout = 30: expected a duration such as "30s"
            herald.toml:2: gateway.read_timeout = "30": expected a duration such as "30s"
            herald.toml:1: auth.admin_users = "imAdmin": expected a list such as ["imAdmin"]
            herald.toml:1: auth.admin_users = […: expected a list such as ["imAdmin"]
            herald.toml:1: admin.token = ***: expected a text in quotes
            herald.toml:1: callbacks.url = true: expected a text in quotes
            herald.toml:1: callbacks.dialect = "v4": expected "classic" or "v3.8" or "v3.5" or "v2"
            herald.toml:1: callbacks.sdk_name = 1979-05-27: expected a text in quotes
            herald.toml:1: callbacks.online.enable = "true": expected true or false
            herald.toml:1: callbacks.online.scope = "device": expected "connection" or "platform" or "user"
            herald.toml:1: callbacks.online.on_refusal = "Disconnect": expected "disconnect" or "ignore"
            herald.toml:1: store.backend = "redis": expected "sqlite" or "memory"
            herald.toml:1: store.path = 7: expected a path in quotes
            herald.toml:1: store.sync = true: expected "full" or "normal"
            herald.toml:1: log.format = "xml": expected "pretty" or "json"
            herald.toml:1: gateway.listen = {…}: expected an address such as "0.0.0.0:10001"
            herald.toml:1: gateway.listen = {…}: expected an address such as "0.0.0.0:10001"
        "#]],
    );
}

#[test]
fn a_value_out_of_its_limits_is_told_with_the_limits() {
    check(
        r#"
            gateway.connections_max = 0
            gateway.frame_bytes_max = "1023B"
            gateway.frame_bytes_max = "2MiB"
            gateway.read_timeout = "0s"
            gateway.read_timeout = "10M"
            gateway.outbound_frames_max = 0
            api.body_bytes_max = "1GiB"
            admin.token = "too short"
            admin.token = "sixteen characters"
            auth.token_expiry = "0s"
            auth.admin_users = ["imAdmin", ""]
            presence.offline_grace = "25h"
            presence.offline_grace = "0s"
            presence.virtual_lease = "0s"
            presence.forget_after = "1s"
            callbacks.concurrency_max = 0
            callbacks.concurrency_max = 10001
            callbacks.retention = "1000d"
            callbacks.kick_off.timeout = "0ms"
            callbacks.sdk_name = "a\nb"
            store.path = ""
            log.level = "inof"
            log.level = "info,server=loud"
            log.level = "[span]=trace"
            log.level = "serverr=debug"
            log.level = "a=b=info"
            log.level = 'warn,server::gateway=debug,[span{user="a,b"}]=trace'
            log.level = "WARN, server::gateway = debug"
        "#,
        expect![[r#"
            herald.toml:1: gateway.connections_max = 0: must be from 1 to 10000000
            herald.toml:1: gateway.frame_bytes_max = "1023B": must be from "1KiB" to "1MiB"
            herald.toml:1: gateway.frame_bytes_max = "2MiB": must be from "1KiB" to "1MiB"
            herald.toml:1: gateway.read_timeout = "0s": must be from "10ms" to "1h"
            herald.toml:1: gateway.read_timeout = "10M": expected a duration such as "30s"
            herald.toml:1: gateway.outbound_frames_max = 0: must be from 1 to 65536
            herald.toml:1: api.body_bytes_max = "1GiB": must be from "1KiB" to "64MiB"
            herald.toml:1: admin.token = ***: must be at least 16 characters, ASCII and without spaces
            herald.toml:1: admin.token = ***: must be at least 16 characters, ASCII and without spaces
            herald.toml:1: auth.token_expiry = "0s": must be from "1s" to "3650d"
            herald.toml:1: auth.admin_users = ["imAdmin", ""]: must not contain an empty name; [] for nobody
            herald.toml:1: presence.offline_grace = "25h": must be from "0s" to "24h"
            ok nothing is sent: callbacks.url is empty
            herald.toml:1: presence.virtual_lease = "0s": must be from "1s" to "365d"
            herald.toml:1: presence.forget_after = "1s": must be from "60s" to "3650d"
            herald.toml:1: callbacks.concurrency_max = 0: must be from 1 to 10000
            herald.toml:1: callbacks.concurrency_max = 10001: must be from 1 to 10000
            herald.toml:1: callbacks.retention = "1000d": must be from "1s" to "90d"
            herald.toml:1: callbacks.kick_off.timeout = "0ms": must be from "10ms" to "5m"
            herald.toml:1: callbacks.sdk_name = "a\nb": must be at most 64 printable characters
            herald.toml:1: store.path = "": must not be empty; "." is this folder
            herald.toml:1: log.level = "inof": expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            herald.toml:1: log.level = "info,server=loud": expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            herald.toml:1: log.level = "[span]=trace": expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            herald.toml:1: log.level = "serverr=debug": expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            herald.toml:1: log.level = "a=b=info": expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            herald.toml:1: log.level = 'warn,server::gateway=debug,[span{user="a,b"}]=trace': expected off, error, warn, info, debug, trace, or levels by module as "info,server::gateway=debug" (modules of server, herald, store, hyper, hyper_util, rustls, tungstenite, tokio_tungstenite)
            ok nothing is sent: callbacks.url is empty
        "#]],
    );
}

#[test]
fn a_callback_url_must_be_one_that_can_be_called() {
    check(
        r#"
            callbacks.url = "app.example/cb"
            callbacks.url = "ftp://app.example"
            callbacks.url = "https://"
            callbacks.url = "https:///cb"
            callbacks.url = "https://:8080/cb"
            callbacks.url = "https://user:hunter2@app.example/cb"
            callbacks.url = "https://app.example/cb#top"
            callbacks.url = "https://app.example/my cb"
            callbacks.url = "ftp://app.example/cb?token=hunter2"
            callbacks.url = "https://https://app.example"
            callbacks.url = "https://${APP_HOST}/cb"
            callbacks.url = "http://app..example/cb"
            callbacks.url = "http://0.0.0.0:8080/cb"
            callbacks.url = "https://app.example\\cb"
            callbacks.url = "https://app.example:99999/"
            callbacks.url = "http://[::1/"
            callbacks.url = "https://app.example:0/cb"
            callbacks.url = "http://*:8080/cb"
            callbacks.url = "https://app.example/cb?tenant=7"
            callbacks.url = "https://a" ⏎ callbacks.ca = "none.pem"
            callbacks.url = "https://a" ⏎ callbacks.ca = "text.txt"
            callbacks.url = "https://a" ⏎ callbacks.ca = "ca.pem"
        "#,
        expect![[r#"
            herald.toml:1: callbacks.url = "app.example/cb": must begin with https:// or http://
            herald.toml:1: callbacks.url = "ftp://app.example": must begin with https:// or http://
            herald.toml:1: callbacks.url = "https://": must have a host, as https://app.example/callback
            herald.toml:1: callbacks.url = "https:///cb": must have a host, as https://app.example/callback
            herald.toml:1: callbacks.url = "https://:8080/cb": must have a host, as https://app.example/callback
            herald.toml:1: callbacks.url = "https://***@app.example/cb": must not contain a user or password; put a token into the path or query instead
            herald.toml:1: callbacks.url = "https://app.example/cb#***: must not have a fragment: what follows # is never sent
            herald.toml:1: callbacks.url = "https://app.example/my cb": must not contain spaces or backslashes; write %20 for a space
            herald.toml:1: callbacks.url = "ftp://app.example/cb?***: must begin with https:// or http://
            herald.toml:1: callbacks.url = "https://https://app.example": must name a host and, after its colon, a port; was https:// written twice?
            herald.toml:1: callbacks.url = "https://${APP_HOST}/cb": must name a host; this is a placeholder that nobody filled in
            herald.toml:1: callbacks.url = "http://app..example/cb": must name a host; a part of its name is empty
            herald.toml:1: callbacks.url = "http://0.0.0.0:8080/cb": must name where the App is; on this machine that is 127.0.0.1
            herald.toml:1: callbacks.url = "https://app.example\\cb": must not contain spaces or backslashes; write %20 for a space
            herald.toml:1: callbacks.url = "https://app.example:99999/": is no URL: invalid port number
            herald.toml:1: callbacks.url = "http://[::1/": is no URL: invalid IPv6 address
            herald.toml:1: callbacks.url = "https://app.example:0/cb": must not be on port 0: nobody listens there
            herald.toml:1: callbacks.url = "http://*:8080/cb": must name one host: there is no address for a *
            ok 
            herald.toml:2: callbacks.ca = "none.pem": cannot be read: entity not found
            herald.toml:2: callbacks.ca = "text.txt": holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)
            ok 
        "#]],
    );
}

#[test]
fn secrets_that_sign_are_checked_and_never_shown() {
    check(
        r#"
            callbacks.secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
            callbacks.secrets = [7]
            callbacks.secrets = [""]
            callbacks.secrets = ["hunter2"]
            callbacks.secrets = ["whsec_hunter2"]
            callbacks.secrets = ["whsec_aHVudGVyMg=="]
            callbacks.secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
            callbacks.secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hunter2", "hunter2"]
            callbacks.secrets = []
            callbacks.secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh"]
        "#,
        expect![[r#"
            herald.toml:1: callbacks.secrets = ***: expected a list of texts in quotes
            herald.toml:1: callbacks.secrets = ***: expected a list of texts in quotes
            herald.toml:1: callbacks.secrets = ***: must begin with whsec_
            herald.toml:1: callbacks.secrets = ***: must begin with whsec_
            herald.toml:1: callbacks.secrets = ***: must be whsec_ and Base64 with its padding, as "whsec_$(openssl rand -base64 32)"
            herald.toml:1: callbacks.secrets = ***: must hold 24 to 64 bytes in Base64, and holds 7
            herald.toml:1: callbacks.secrets = ***: must differ from each other
            herald.toml:1: callbacks.secrets = ***: must be at most two: the newest first, then the one that it replaces
            ok nothing is sent: callbacks.url is empty
            ok nothing is sent: callbacks.url is empty
        "#]],
    );
}

#[test]
fn what_is_added_to_requests_is_checked_and_never_shown() {
    check(
        r#"
            callbacks.headers = "X-Tenant: 7"
            callbacks.headers = { X-Tenant = 7 }
            callbacks.headers = { "X Tenant" = "7" }
            callbacks.headers = { "" = "7" }
            callbacks.headers = { "é" = "7" }
            callbacks.headers = { X-Tenant = "" }
            callbacks.headers = { X-Tenant = " \t" }
            callbacks.headers = { X-Tenant = "7\r\nHost: evil" }
            callbacks.headers = { X-Tenant = "é" }
            callbacks.headers = { X-Tenant = "7", x-tenant = "8" }
            callbacks.headers = { operationID = "1" }
            callbacks.headers = { "content-type" = "text/plain" }
            callbacks.headers = { Webhook-Signature = "v1,AAAA" }
            callbacks.headers = { Herald-Anything = "1" }
            callbacks.headers = { Host = "app.example" }
            callbacks.bearer = "two words"
            callbacks.bearer = "Bearer"
            callbacks.bearer = "abc" ⏎ callbacks.headers = { authorization = "Basic abc" }
            [callbacks.headers] ⏎ X-Tenant = "7" ⏎ Authorization = "Basic abc"
            [callbacks] ⏎ url = "https://a" ⏎ bearer = "abc" ⏎ headers = { X-Tenant = "a b" }
        "#,
        expect![[r#"
            herald.toml:1: callbacks.headers = ***: expected a table of texts such as { X-Tenant = "7" }
            herald.toml:1: callbacks.headers = ***: expected a table of texts such as { X-Tenant = "7" }
            herald.toml:1: callbacks.headers = ***: "X Tenant" is no name of a header; write one as "X-Tenant"
            herald.toml:1: callbacks.headers = ***: "" is no name of a header; write one as "X-Tenant"
            herald.toml:1: callbacks.headers = ***: "é" is no name of a header; write one as "X-Tenant"
            herald.toml:1: callbacks.headers = ***: the value of X-Tenant must be 1 to 4096 characters, ASCII, with spaces only inside
            herald.toml:1: callbacks.headers = ***: the value of X-Tenant must be 1 to 4096 characters, ASCII, with spaces only inside
            herald.toml:1: callbacks.headers = ***: the value of X-Tenant must be 1 to 4096 characters, ASCII, with spaces only inside
            herald.toml:1: callbacks.headers = ***: the value of X-Tenant must be 1 to 4096 characters, ASCII, with spaces only inside
            herald.toml:1: callbacks.headers = ***: x-tenant is there twice
            herald.toml:1: callbacks.headers = ***: operationID is set by Herald itself; take it out
            herald.toml:1: callbacks.headers = ***: content-type is set by Herald itself; take it out
            herald.toml:1: callbacks.headers = ***: Webhook-Signature is set by Herald itself; take it out
            herald.toml:1: callbacks.headers = ***: Herald-Anything is set by Herald itself; take it out
            herald.toml:1: callbacks.headers = ***: Host is set by Herald itself; take it out
            herald.toml:1: callbacks.bearer = ***: must be at most 4096 characters, ASCII and without spaces
            herald.toml:1: callbacks.bearer = ***: must be the token alone
            herald.toml:2: callbacks.headers = { authorization = "***" }: must not set Authorization beside callbacks.bearer = "***" (herald.toml:1)
            ok nothing is sent: callbacks.url is empty
            ok 
        "#]],
    );
}

#[test]
fn a_client_certificate_and_its_key_are_tried_before_the_start() {
    check(
        r#"
            callbacks.client_cert = "cert.pem"
            callbacks.client_key = "key.pem"
            callbacks.client_cert = "none.pem" ⏎ callbacks.client_key = "key.pem"
            callbacks.client_cert = "cert.pem" ⏎ callbacks.client_key = "none.pem"
            callbacks.client_cert = "text.txt" ⏎ callbacks.client_key = "key.pem"
            callbacks.client_cert = "cert.pem" ⏎ callbacks.client_key = "text.txt"
            callbacks.client_cert = "key.pem" ⏎ callbacks.client_key = "cert.pem"
            callbacks.client_cert = "cert.pem" ⏎ callbacks.client_key = "other.pem"
            callbacks.client_cert = 7 ⏎ callbacks.client_key = "key.pem"
            callbacks.url = "https://a" ⏎ callbacks.client_cert = "cert.pem" ⏎ callbacks.client_key = "key.pem"
        "#,
        expect![[r#"
            herald.toml:1: callbacks.client_cert = "cert.pem": needs callbacks.client_key, the file of its private key
            herald.toml:1: callbacks.client_key = "key.pem": needs callbacks.client_cert, the file of its certificate
            herald.toml:1: callbacks.client_cert = "none.pem": cannot be read: entity not found
            herald.toml:2: callbacks.client_key = "none.pem": cannot be read: entity not found
            herald.toml:1: callbacks.client_cert = "text.txt": holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)
            herald.toml:2: callbacks.client_key = "text.txt": holds no private key in PEM form (-----BEGIN PRIVATE KEY-----); one with a password is made plain by openssl pkey
            herald.toml:1: callbacks.client_cert = "key.pem": holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)
            herald.toml:2: callbacks.client_key = "other.pem": is not the key of client_cert
            herald.toml:1: callbacks.client_cert = 7: expected a text in quotes
            ok 
        "#]],
    );
}

#[test]
fn an_address_that_is_denied_is_told_before_the_start() {
    check(
        r#"
            callbacks.url = "http://127.1:8080/cb" ⏎ callbacks.deny_private = true
            callbacks.deny_private = true ⏎ callbacks.url = "https://[::ffff:10.0.0.1]"
            callbacks.url = "http://169.254.169.254/latest" ⏎ callbacks.deny_private = true
            callbacks.url = "http://app.example:6379/" ⏎ callbacks.deny_private = true
            callbacks.url = "http://127.0.0.1" ⏎ callbacks.deny_private = false
            callbacks.url = "https://app.example" ⏎ callbacks.deny_private = true
            callbacks.url = "https://8.8.8.8" ⏎ callbacks.deny_private = true
        "#,
        expect![[r#"
            herald.toml:1: callbacks.url = "http://127.1:8080/cb": is a loopback address, which must not be with callbacks.deny_private = true (herald.toml:2)
            herald.toml:2: callbacks.url = "https://[::ffff:10.0.0.1]": is a private address, which must not be with callbacks.deny_private = true (herald.toml:1)
            herald.toml:1: callbacks.url = "http://169.254.169.254/latest": is a link-local address (where clouds keep secrets), which must not be with callbacks.deny_private = true (herald.toml:2)
            herald.toml:1: callbacks.url = "http://app.example:6379/": is on port 6379, where other services listen, which must not be with callbacks.deny_private = true (herald.toml:2)
            ok 
            ok 
            ok 
        "#]],
    );
}

#[test]
fn a_key_that_does_not_exist_is_told_with_the_nearest_one() {
    check(
        r#"
            [presence] ⏎ offline_grac = "5s"
            offline_grace = "5s"
            [admin] ⏎ secret = "hunter2"
            [gateway] ⏎ max_connections = 5
            [gateway] ⏎ pingInterval = 5
            [callbacks] ⏎ retries = 3
            [callbacks.kick_off] ⏎ scope = "user"
            [presense] ⏎ offline_grace = "5s"
            [tls] ⏎ cert = "a.pem"
            [callbacks.onlin] ⏎ enable = true
            "gateway.listen" = "0.0.0.0:1"
            gateway = "0.0.0.0:1"
            [[gateway]] ⏎ listen = "0.0.0.0:1"
            callbacks.online = true
        "#,
        expect![[r#"
            herald.toml:2: presence.offline_grac: unknown key; did you mean offline_grace?
            herald.toml:1: offline_grace: unknown key; did you mean presence.offline_grace?
            herald.toml:2: admin.secret: unknown key; did you mean auth.secret?
            herald.toml:2: gateway.max_connections: unknown key; did you mean connections_max?
            herald.toml:2: gateway.pingInterval: unknown key; did you mean ping_interval?
            herald.toml:2: callbacks.retries: unknown key; what there is: url, deny_private, ca, client_cert, client_key, headers, bearer, secrets, dialect, sdk_name, extra_fields, client_address, concurrency_max, retention, owed_max, collapse_after, retell, online, refusal, offline, kick_off, background, history, endpoints
            herald.toml:2: callbacks.kick_off.scope: unknown key; did you mean callbacks.online.scope?
            herald.toml:1: presense: unknown section; did you mean presence?
            herald.toml:1: tls: unknown section; what there is: gateway, api, admin, auth, login, presence, callbacks, store, log
            herald.toml:1: callbacks.onlin: unknown section; did you mean online?
            herald.toml:1: "gateway.listen": unknown key; did you mean gateway?
            herald.toml:1: gateway: is a section, written as [gateway]
            herald.toml:1: gateway: is a section, written as [gateway]
            herald.toml:1: callbacks.online: is a section, written as [callbacks.online]
        "#]],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_line_and_column() {
    check(
        r#"
            [gateway ⏎ listen = "0.0.0.0:1"
            gateway] ⏎ listen = "0.0.0.0:1"
            [gateway] ⏎ read_timeout = 30s
            [gateway] ⏎ read_timeout = "30s
            [gateway] ⏎ read_timeout: 30s
            [log] ⏎ level = info
            [callbacks] ⏎ extra_fields = yes
            [callbacks] ⏎ url =
            [api] ⏎ listen = "0.0.0.0:1" ⏎ listen = "0.0.0.0:2"
            [api] ⏎ listen = "0.0.0.0:1" ⏎ [api] ⏎ body_bytes_max = "1MiB"
            auth.admin_users = ["a" ⏎ [api] ⏎ listen = 5
        "#,
        expect![[r#"
            herald.toml:1:9: unclosed table, expected `]`
            herald.toml:1:8: key with no value, expected `=`
            herald.toml:2:16: gateway.read_timeout: a text must be in quotes
            herald.toml:2:20: gateway.read_timeout: invalid basic string, expected `"`
            herald.toml:2:13: invalid unquoted key, expected letters, numbers, `-`, `_`
            herald.toml:2:9: log.level: expected a text in quotes
            herald.toml:2:16: callbacks.extra_fields: expected true or false
            herald.toml:2:6: callbacks.url: a text must be in quotes
            herald.toml:3:1: duplicate key listen
            herald.toml:3:2: duplicate key api
            herald.toml:2:1: missing comma between array elements, expected `,`
            herald.toml:3:1: missing comma between array elements, expected `,`
        "#]],
    );
}

#[test]
fn values_that_do_not_go_together_are_told_with_where_each_came_from() {
    check(
        r#"
            [gateway] ⏎ ping_interval = "30s"
            [gateway] ⏎ read_timeout = "15s"
            [gateway] ⏎ read_timeout = "15s" ⏎ ping_interval = "40s"
            [callbacks.online] ⏎ mode = "gate" ⏎ timeout = "10s"
            [callbacks.online] ⏎ mode = "gate" ⏎ timeout = "30s" ⏎ [gateway] ⏎ handshake_timeout = "31s"
            [callbacks.online] ⏎ mode = "gate" ⏎ [gateway] ⏎ handshake_timeout = "5s"
            [callbacks.online] ⏎ mode = "notify" ⏎ timeout = "30s"
            [callbacks.online] ⏎ mode = "gate" ⏎ enable = false
            api.listen = "127.0.0.1:10001"
            gateway.listen = "127.0.0.1:10003"
            gateway.listen = "[::]:1" ⏎ api.listen = "0.0.0.0:1" ⏎ admin.listen = "10.0.0.1:1"
            gateway.listen = "10.0.0.1:1" ⏎ api.listen = "10.0.0.2:1" ⏎ admin.listen = "[::1]:1"
            presence.forget_after = "89d"
            auth.token_expiry = "91d"
            gateway.listen = "[::ffff:10.0.0.1]:1" ⏎ api.listen = "10.0.0.1:1"
            gateway.listen = "0.0.0.0:0" ⏎ api.listen = "0.0.0.0:0" ⏎ admin.listen = "[::]:0"
        "#,
        expect![[r#"
            herald.toml:2: gateway.ping_interval = "30s": must be shorter than gateway.read_timeout = "30s" (default)
            herald.toml:2: gateway.read_timeout = "15s": must be longer than gateway.ping_interval = "20s" (default)
            herald.toml:3: gateway.ping_interval = "40s": must be shorter than gateway.read_timeout = "15s" (herald.toml:2)
            herald.toml:3: callbacks.online.timeout = "10s": with mode = "gate", must be shorter than gateway.handshake_timeout = "10s" (default)
            herald.toml:3: callbacks.online.timeout = "30s": with mode = "gate", must be shorter than 30s, the longest request
            herald.toml:4: gateway.handshake_timeout = "5s": with mode = "gate", must be longer than callbacks.online.timeout = "5s" (default)
            ok nothing is sent: callbacks.url is empty
            ok nothing is sent: callbacks.url is empty
            herald.toml:1: api.listen = "127.0.0.1:10001": must have another port than gateway.listen = "0.0.0.0:10001" (default)
            herald.toml:1: gateway.listen = "127.0.0.1:10003": must have another port than admin.listen = "127.0.0.1:10003" (default)
            herald.toml:2: api.listen = "0.0.0.0:1": must have another port than gateway.listen = "[::]:1" (herald.toml:1)
            herald.toml:3: admin.listen = "10.0.0.1:1": must have another port than gateway.listen = "[::]:1" (herald.toml:1)
            herald.toml:3: admin.listen = "10.0.0.1:1": must have another port than api.listen = "0.0.0.0:1" (herald.toml:2)
            ok nothing is sent: callbacks.url is empty
            herald.toml:1: presence.forget_after = "89d": must not be shorter than auth.token_expiry = "90d" (default)
            herald.toml:1: auth.token_expiry = "91d": must not be longer than presence.forget_after = "90d" (default)
            herald.toml:2: api.listen = "10.0.0.1:1": must have another port than gateway.listen = "[::ffff:10.0.0.1]:1" (herald.toml:1)
            ok nothing is sent: callbacks.url is empty
        "#]],
    );
}

#[test]
fn all_errors_are_told_at_once_and_nothing_that_only_follows_from_them() {
    check(
        r#"
            [gateway]⏎ping_interval = "40s"⏎read_timeout = 15⏎listen = ""⏎[log]⏎levle = 1⏎format = ""
            gateway.ping_interval = 1h⏎[presence]⏎offline_grac = 1⏎restart_grace = true⏎[log]⏎level = info
        "#,
        expect![[r#"
            herald.toml:3: gateway.read_timeout = 15: expected a duration such as "30s"
            herald.toml:4: gateway.listen = "": expected an address such as "0.0.0.0:10001"
            herald.toml:6: log.levle: unknown key; did you mean level?
            herald.toml:7: log.format = "": expected "pretty" or "json"
            herald.toml:1:25: gateway.ping_interval: a text must be in quotes
            herald.toml:3: presence.offline_grac: unknown key; did you mean offline_grace?
            herald.toml:4: presence.restart_grace = true: expected a duration such as "60s"
            herald.toml:6:9: log.level: expected a text in quotes
        "#]],
    );
}

#[test]
fn a_further_endpoint_needs_a_name_of_its_own_and_a_url() {
    check(
        r#"
            [[callbacks.endpoints]] ⏎ name = "audit" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ name = "audit"
            [[callbacks.endpoints]] ⏎ name = "audit" ⏎ url = ""
            [[callbacks.endpoints]] ⏎ name = "audit" ⏎ url = "http://a" ⏎ online.mode = "gate"
            [[callbacks.endpoints]] ⏎ name = "main" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ name = "" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ name = "a b" ⏎ url = "ftp://a"
            [[callbacks.endpoints]] ⏎ name = "é" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ name = "a:b" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ url = "http://a" ⏎ name = 7
            [[callbacks.endpoints]] ⏎ name = "abcdefghijklmnopqrstuvwxyz0123456" ⏎ url = "http://a"
            [[callbacks.endpoints]] ⏎ name = "A-z_0" ⏎ url = "http://a" ⏎ [[callbacks.endpoints]] ⏎ name = "A-z_0" ⏎ url = "http://b"
            [callbacks] ⏎ endpoints = [{ name = "audit", url = "http://a" }, { name = "billing", url = "x" }]
            callbacks.endpoints = []
            callbacks.endpoints = "audit"
            callbacks.endpoints = ["audit", {}]
            [callbacks.endpoints] ⏎ name = "audit"
            [callbacks.endpoints.audit] ⏎ url = "http://a"
            callbacks.endpoints = [{ name = "e0", url = "http://a" }, { name = "e1", url = "http://a" }, { name = "e2", url = "http://a" }, { name = "e3", url = "http://a" }, { name = "e4", url = "http://a" }, { name = "e5", url = "http://a" }, { name = "e6", url = "http://a" }, { name = "e7", url = "http://a" }, { name = "e8", url = "http://a" }, { name = "e9", url = "http://a" }, { name = "e10", url = "http://a" }, { name = "e11", url = "http://a" }, { name = "e12", url = "http://a" }, { name = "e13", url = "http://a" }, { name = "e14", url = "http://a" }, { name = "e15", url = "http://a" }, { name = "e16", url = "http://a" }]
        "#,
        expect![[r#"
            ok 
            herald.toml:1: callbacks.endpoints[0].name: missing; write one, as name = "audit"
            herald.toml:1: callbacks.endpoints.audit.url: missing; write where to send it, as https://app.example/callback
            herald.toml:3: callbacks.endpoints.audit.url: missing; write where to send it, as https://app.example/callback
            herald.toml:4: callbacks.endpoints.audit.online.mode = "gate": only the App of [callbacks] can be asked; "notify" tells this one
            herald.toml:2: callbacks.endpoints[0].name = "main": is the name of the endpoint of [callbacks]; write another
            herald.toml:2: callbacks.endpoints[0].name = "": must be 1 to 32 letters, digits, - and _
            herald.toml:2: callbacks.endpoints[0].name = "a b": must be 1 to 32 letters, digits, - and _
            herald.toml:3: callbacks.endpoints[0].url = "ftp://a": must begin with https:// or http://
            herald.toml:2: callbacks.endpoints[0].name = "é": must be 1 to 32 letters, digits, - and _
            herald.toml:2: callbacks.endpoints[0].name = "a:b": must be 1 to 32 letters, digits, - and _
            herald.toml:3: callbacks.endpoints[0].name = 7: expected a text in quotes
            herald.toml:2: callbacks.endpoints[0].name = "abcdefghijklmnopqrstuvwxyz0123456": must be 1 to 32 letters, digits, - and _
            herald.toml:5: callbacks.endpoints[1].name = "A-z_0": is the name of another endpoint already
            herald.toml:2: callbacks.endpoints.billing.url = "x": must begin with https:// or http://
            ok nothing is sent: callbacks.url is empty
            herald.toml:1: callbacks.endpoints: is a list; write [[callbacks.endpoints]] above each of them
            herald.toml:1: callbacks.endpoints[0]: must be a table with a name and a url
            herald.toml:1: callbacks.endpoints[1].name: missing; write one, as name = "audit"
            herald.toml:1: callbacks.endpoints[1].url: missing; write where to send it, as https://app.example/callback
            herald.toml:1: callbacks.endpoints: is a list; write [[callbacks.endpoints]] above each of them
            herald.toml:1: callbacks.endpoints: is a list; write [[callbacks.endpoints]] above each of them
            herald.toml:1: callbacks.endpoints: must be at most 15, beside that of [callbacks]
        "#]],
    );
}

#[test]
fn the_keys_of_a_further_endpoint_are_checked_as_those_of_the_first() {
    check(
        r#"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ ca = "none.pem" ⏎ bearer = "two words"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "https://user:hunter2@a" ⏎ secrets = ["hunter2"]
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ concurrency_max = 0 ⏎ online.scope = "device"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ [callbacks.endpoints.offline] ⏎ timeout = "0s"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://10.0.0.1" ⏎ deny_private = true
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ client_key = "key.pem"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ client_cert = "cert.pem" ⏎ client_key = "other.pem"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "https://a" ⏎ bearer = "b" ⏎ headers = { authorization = "c" }
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ retention = "1h" ⏎ owed_max = 5 ⏎ history.age = "1h"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ endpoints = [] ⏎ retries = 3
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ extra_field = true ⏎ scope = "user"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ online = true
            [callbacks] ⏎ name = "a" ⏎ endpoint = []
            [[callbacks.endpoints]] ⏎ name = audit ⏎ url = http://a ⏎ extra_fields = yes
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ timeout: 5s
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "ftp://a" ⏎ [log ⏎ level = "info"
            callbacks.ca = "none.pem" ⏎ [[callbacks.endpoints]] ⏎ name = "a" ⏎ ca = 7 ⏎ [[callbacks.endpoints]] ⏎ name = "b" ⏎ url = "b"
        "#,
        expect![[r#"
            herald.toml:4: callbacks.endpoints.a.ca = "none.pem": cannot be read: entity not found
            herald.toml:5: callbacks.endpoints.a.bearer = ***: must be at most 4096 characters, ASCII and without spaces
            herald.toml:3: callbacks.endpoints.a.url = "https://***@a": must not contain a user or password; put a token into the path or query instead
            herald.toml:4: callbacks.endpoints.a.secrets = ***: must begin with whsec_
            herald.toml:4: callbacks.endpoints.a.concurrency_max = 0: must be from 1 to 10000
            herald.toml:5: callbacks.endpoints.a.online.scope = "device": expected "connection" or "platform" or "user"
            herald.toml:5: callbacks.endpoints.a.offline.timeout = "0s": must be from "10ms" to "5m"
            herald.toml:3: callbacks.endpoints.a.url = "http://10.0.0.1": is a private address, which must not be with callbacks.endpoints.a.deny_private = true (herald.toml:4)
            herald.toml:4: callbacks.endpoints.a.client_key = "key.pem": needs callbacks.endpoints.a.client_cert, the file of its certificate
            herald.toml:5: callbacks.endpoints.a.client_key = "other.pem": is not the key of client_cert
            herald.toml:5: callbacks.endpoints.a.headers = { authorization = "***" }: must not set Authorization beside callbacks.endpoints.a.bearer = "***" (herald.toml:4)
            herald.toml:4: callbacks.endpoints.a.retention: is for all endpoints together; write it under [callbacks]
            herald.toml:5: callbacks.endpoints.a.owed_max: is for all endpoints together; write it under [callbacks]
            herald.toml:6: callbacks.endpoints.a.history.age: is for all endpoints together; write it under [callbacks.history]
            herald.toml:4: callbacks.endpoints.a.endpoints: unknown key; what there is: url, deny_private, ca, client_cert, client_key, headers, bearer, secrets, dialect, sdk_name, extra_fields, client_address, concurrency_max, collapse_after, retell, online, refusal, offline, kick_off, background, name
            herald.toml:5: callbacks.endpoints.a.retries: unknown key; what there is: url, deny_private, ca, client_cert, client_key, headers, bearer, secrets, dialect, sdk_name, extra_fields, client_address, concurrency_max, collapse_after, retell, online, refusal, offline, kick_off, background, name
            herald.toml:4: callbacks.endpoints.a.extra_field: unknown key; did you mean extra_fields?
            herald.toml:5: callbacks.endpoints.a.scope: unknown key; did you mean callbacks.endpoints.a.online.scope?
            herald.toml:4: callbacks.endpoints.a.online: is a section, written as [callbacks.endpoints.online]
            herald.toml:2: callbacks.name: unknown key; what there is: url, deny_private, ca, client_cert, client_key, headers, bearer, secrets, dialect, sdk_name, extra_fields, client_address, concurrency_max, retention, owed_max, collapse_after, retell, online, refusal, offline, kick_off, background, history, endpoints
            herald.toml:3: callbacks.endpoint: unknown key; did you mean endpoints?
            herald.toml:2:8: callbacks.endpoints[0].name: a text must be in quotes
            herald.toml:3:7: callbacks.endpoints[0].url: a text must be in quotes
            herald.toml:4:16: callbacks.endpoints[0].extra_fields: expected true or false
            herald.toml:4:8: invalid unquoted key, expected letters, numbers, `-`, `_`
            herald.toml:3: callbacks.endpoints.a.url = "ftp://a": must begin with https:// or http://
            herald.toml:4:5: unclosed table, expected `]`
            herald.toml:1: callbacks.ca = "none.pem": cannot be read: entity not found
            herald.toml:2: callbacks.endpoints.a.url: missing; write where to send it, as https://app.example/callback
            herald.toml:4: callbacks.endpoints.a.ca = 7: expected a text in quotes
            herald.toml:7: callbacks.endpoints.b.url = "b": must begin with https:// or http://
        "#]],
    );
}

#[test]
fn what_is_probably_not_meant_is_said_of_each_endpoint() {
    check(
        r#"
            [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "http://a" ⏎ bearer = "b" ⏎ offline.enable = false
            callbacks.url = "https://callbacks.example" ⏎ [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "https://a" ⏎ online.enable = false ⏎ offline.enable = false
            callbacks.offline.enable = false ⏎ [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "https://a"
            callbacks.url = "https://a" ⏎ callbacks.online.scope = "user" ⏎ [[callbacks.endpoints]] ⏎ name = "a" ⏎ url = "https://a" ⏎ dialect = "v3.8" ⏎ online.scope = "user"
        "#,
        expect![[r#"
            ok callbacks.endpoints.a.bearer can be read on its way: callbacks.endpoints.a.url does not begin with https USERS STAY ONLINE FOR EVER in the App: callbacks.endpoints.a.online is enabled without callbacks.endpoints.a.offline
            ok nothing is sent: callbacks.endpoints.a.online, .offline, .kick_off and .background are all switched off
            ok 
            ok the App takes users for offline who are online: callbacks.endpoints.a.offline.scope is finer than callbacks.endpoints.a.online.scope
        "#]],
    );
}
