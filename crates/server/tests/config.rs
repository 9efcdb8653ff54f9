//! What operators write, and what they are told about it.

use contract::Dialect;
use expect_test::{Expect, expect};
use presence::Scope;
use server::config::{
    Admin, Api, Auth, Backend, Callbacks, Config, ConfigErrors, DEFAULT_TOML, Gateway, History,
    KickOff, Loaded, Log, LogFormat, Offline, OnRefusal, Online, Presence, Secret, Size, Store,
    SyncMode, dump, load,
};
use std::{fmt::Write as _, io, path::Path, time::Duration};

const SECRET: (&str, &str) = ("HERALD_AUTH__SECRET", "0123456789abcdef");

/// Loads as `herald serve` does, in a world with a handful of files.
fn try_load(file: &str, env: &[(&str, &str)], dev: bool) -> Result<Loaded, ConfigErrors> {
    let read_file = |path: &Path| match path.to_str() {
        Some("/run/secret") => Ok(b"  of a file of its own\n".to_vec()),
        Some("/run/token") => Ok(b"short".to_vec()),
        Some("/run/binary") => Ok(vec![0xff, 0xfe]),
        Some("/etc/ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----\n".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(("herald.toml", file)), env, dev, &read_file)
}

fn outcome(loaded: Result<Loaded, ConfigErrors>) -> String {
    let told = match loaded {
        Ok(loaded) => vec![format!("ok {:?}", loaded.warnings)],
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    told.iter().fold(String::new(), |all, line| all + "\n    " + line)
}

/// Each file, and what is said about it.
fn check_files(files: &[&str], expected: Expect) {
    let mut actual = String::new();
    for file in files {
        let told = outcome(try_load(file, &[SECRET], false));
        writeln!(actual, "{}{told}", file.escape_debug().to_string().replace("\\\"", "\""))
            .unwrap();
    }
    expected.assert_eq(&actual);
}

/// Each environment, and what is said about it.
fn check_environments(environments: &[&[(&str, &str)]], expected: Expect) {
    let mut actual = String::new();
    for env in environments {
        let shown: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let env: Vec<_> = env.iter().copied().chain([SECRET]).collect();
        writeln!(actual, "{}{}", shown.join(" "), outcome(try_load("", &env, false))).unwrap();
    }
    expected.assert_eq(&actual);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_to_write() {
    check_files(
        &[
            "gateway.listen = \"localhost:10001\"",
            "gateway.listen = 10001",
            "gateway.connections_max = \"100\"",
            "gateway.connections_max = -1",
            "gateway.connections_max = 1e6",
            "gateway.connections_max = 99999999999999999999999",
            "gateway.frame_bytes_max = 51200",
            "gateway.frame_bytes_max = \"50KB\"",
            "[gateway]\n\n# half a minute\nread_timeout = 30",
            "[gateway]\nread_timeout = \"30\"",
            "auth.admin_users = \"imAdmin\"",
            "auth.admin_users = [\n  \"imAdmin\",\n  7,\n]",
            "admin.token = 12345678901234567890",
            "callbacks.url = true",
            "callbacks.ca = 1",
            "callbacks.dialect = \"v4\"",
            "callbacks.sdk_name = 1979-05-27",
            "callbacks.online.enable = \"true\"",
            "callbacks.online.scope = \"device\"",
            "callbacks.online.on_refusal = \"Disconnect\"",
            "store.backend = \"redis\"",
            "store.sync = true",
            "log.format = \"xml\"",
        ],
        expect![[r#"
            gateway.listen = "localhost:10001"
                herald.toml:1: gateway.listen = "localhost:10001": expected an address such as "0.0.0.0:10001"
            gateway.listen = 10001
                herald.toml:1: gateway.listen = 10001: expected an address such as "0.0.0.0:10001"
            gateway.connections_max = "100"
                herald.toml:1: gateway.connections_max = "100": expected a whole number such as 100000
            gateway.connections_max = -1
                herald.toml:1: gateway.connections_max = -1: expected a whole number such as 100000
            gateway.connections_max = 1e6
                herald.toml:1: gateway.connections_max = 1e6: expected a whole number such as 100000
            gateway.connections_max = 99999999999999999999999
                herald.toml:1: gateway.connections_max = 99999999999999999999999: expected a whole number such as 100000
            gateway.frame_bytes_max = 51200
                herald.toml:1: gateway.frame_bytes_max = 51200: expected a size such as "50KiB"
            gateway.frame_bytes_max = "50KB"
                herald.toml:1: gateway.frame_bytes_max = "50KB": expected a size such as "50KiB"
            [gateway]\n\n# half a minute\nread_timeout = 30
                herald.toml:4: gateway.read_timeout = 30: expected a duration such as "30s"
            [gateway]\nread_timeout = "30"
                herald.toml:2: gateway.read_timeout = "30": expected a duration such as "30s"
            auth.admin_users = "imAdmin"
                herald.toml:1: auth.admin_users = "imAdmin": expected a list such as ["imAdmin"]
            auth.admin_users = [\n  "imAdmin",\n  7,\n]
                herald.toml:1: auth.admin_users = […: expected a list such as ["imAdmin"]
            admin.token = 12345678901234567890
                herald.toml:1: admin.token = ***: expected a text in quotes
            callbacks.url = true
                herald.toml:1: callbacks.url = true: expected a text in quotes
            callbacks.ca = 1
                herald.toml:1: callbacks.ca = 1: expected a text in quotes
            callbacks.dialect = "v4"
                herald.toml:1: callbacks.dialect = "v4": expected "classic"
            callbacks.sdk_name = 1979-05-27
                herald.toml:1: callbacks.sdk_name = 1979-05-27: expected a text in quotes
            callbacks.online.enable = "true"
                herald.toml:1: callbacks.online.enable = "true": expected true or false
            callbacks.online.scope = "device"
                herald.toml:1: callbacks.online.scope = "device": expected "connection" or "platform" or "user"
            callbacks.online.on_refusal = "Disconnect"
                herald.toml:1: callbacks.online.on_refusal = "Disconnect": expected "disconnect" or "ignore"
            store.backend = "redis"
                herald.toml:1: store.backend = "redis": expected "sqlite" or "memory"
            store.sync = true
                herald.toml:1: store.sync = true: expected "full" or "normal"
            log.format = "xml"
                herald.toml:1: log.format = "xml": expected "pretty" or "json"
        "#]],
    );
}

#[test]
fn a_value_out_of_its_limits_is_told_with_the_limits() {
    check_files(
        &[
            "gateway.connections_max = 0",
            "gateway.frame_bytes_max = \"1023B\"",
            "gateway.frame_bytes_max = \"2MiB\"",
            "gateway.read_timeout = \"0s\"",
            "gateway.outbound_frames_max = 0",
            "api.body_bytes_max = \"1GiB\"",
            "admin.token = \"too short\"",
            "admin.token = \"sixteen characters\"",
            "auth.token_expiry = \"0s\"",
            "auth.admin_users = [\"imAdmin\", \"\"]",
            "presence.offline_grace = \"25h\"",
            "presence.offline_grace = \"0s\"\ncallbacks.url = \"http://a\"",
            "presence.virtual_lease = \"0s\"",
            "presence.forget_after = \"1s\"",
            "callbacks.concurrency_max = 0",
            "callbacks.concurrency_max = 10001",
            "callbacks.retention = \"1000d\"",
            "callbacks.kick_off.timeout = \"0ms\"",
            "callbacks.sdk_name = \"a\\nb\"",
            "store.path = \"\"",
            "log.level = \"inof\"",
            "log.level = \"info,server=loud\"",
            "log.level = \"warn,server::gateway=debug,[span{user=\\\"a,b\\\"}]=trace\"",
        ],
        expect![[r#"
            gateway.connections_max = 0
                herald.toml:1: gateway.connections_max = 0: must be from 1 to 10000000
            gateway.frame_bytes_max = "1023B"
                herald.toml:1: gateway.frame_bytes_max = "1023B": must be from "1KiB" to "1MiB"
            gateway.frame_bytes_max = "2MiB"
                herald.toml:1: gateway.frame_bytes_max = "2MiB": must be from "1KiB" to "1MiB"
            gateway.read_timeout = "0s"
                herald.toml:1: gateway.read_timeout = "0s": must be from "10ms" to "1h"
            gateway.outbound_frames_max = 0
                herald.toml:1: gateway.outbound_frames_max = 0: must be from 1 to 65536
            api.body_bytes_max = "1GiB"
                herald.toml:1: api.body_bytes_max = "1GiB": must be from "1KiB" to "64MiB"
            admin.token = "too short"
                herald.toml:1: admin.token = ***: must be at least 16 characters, ASCII and without spaces
            admin.token = "sixteen characters"
                herald.toml:1: admin.token = ***: must be at least 16 characters, ASCII and without spaces
            auth.token_expiry = "0s"
                herald.toml:1: auth.token_expiry = "0s": must be from "1s" to "3650d"
            auth.admin_users = ["imAdmin", ""]
                herald.toml:1: auth.admin_users = ["imAdmin", ""]: must not contain an empty name; [] for nobody
            presence.offline_grace = "25h"
                herald.toml:1: presence.offline_grace = "25h": must be from "0s" to "24h"
            presence.offline_grace = "0s"\ncallbacks.url = "http://a"
                ok []
            presence.virtual_lease = "0s"
                herald.toml:1: presence.virtual_lease = "0s": must be from "1s" to "365d"
            presence.forget_after = "1s"
                herald.toml:1: presence.forget_after = "1s": must be from "60s" to "3650d"
            callbacks.concurrency_max = 0
                herald.toml:1: callbacks.concurrency_max = 0: must be from 1 to 10000
            callbacks.concurrency_max = 10001
                herald.toml:1: callbacks.concurrency_max = 10001: must be from 1 to 10000
            callbacks.retention = "1000d"
                herald.toml:1: callbacks.retention = "1000d": must be from "1s" to "90d"
            callbacks.kick_off.timeout = "0ms"
                herald.toml:1: callbacks.kick_off.timeout = "0ms": must be from "10ms" to "5m"
            callbacks.sdk_name = "a\\nb"
                herald.toml:1: callbacks.sdk_name = "a\nb": must be at most 64 printable characters
            store.path = ""
                herald.toml:1: store.path = "": must not be empty; "." is this folder
            log.level = "inof"
                herald.toml:1: log.level = "inof": expected off, error, warn, info, debug, trace, or levels by module such as "info,server::gateway=debug"
            log.level = "info,server=loud"
                herald.toml:1: log.level = "info,server=loud": expected off, error, warn, info, debug, trace, or levels by module such as "info,server::gateway=debug"
            log.level = "warn,server::gateway=debug,[span{user=\\"a,b\\"}]=trace"
                ok ["nothing is sent: callbacks.url is empty"]
        "#]],
    );
}

#[test]
fn a_callback_url_must_be_one_that_can_be_called() {
    check_files(
        &[
            "callbacks.url = \"app.example/cb\"",
            "callbacks.url = \"ftp://app.example\"",
            "callbacks.url = \"https://\"",
            "callbacks.url = \"https:///cb\"",
            "callbacks.url = \"https://:8080/cb\"",
            "callbacks.url = \"https://user:hunter2@app.example/cb\"",
            "callbacks.url = \"https://app.example/cb#top\"",
            "callbacks.url = \"https://app.example/my cb\"",
            "callbacks.url = \"https://app.example\\\\cb\"",
            "callbacks.url = \"https://app.example:99999/\"",
            "callbacks.url = \"http://[::1/\"",
            "callbacks.url = \"https://app.example/cb?tenant=7\"",
            "callbacks.ca = \"/etc/none.pem\"\ncallbacks.url = \"https://a\"",
            "callbacks.ca = \"/run/secret\"\ncallbacks.url = \"https://a\"",
            "callbacks.ca = \"/etc/ca.pem\"\ncallbacks.url = \"https://a\"",
        ],
        expect![[r#"
            callbacks.url = "app.example/cb"
                herald.toml:1: callbacks.url = "app.example/cb": must begin with https:// or http://
            callbacks.url = "ftp://app.example"
                herald.toml:1: callbacks.url = "ftp://app.example": must begin with https:// or http://
            callbacks.url = "https://"
                herald.toml:1: callbacks.url = "https://": must have a host, as https://app.example/callback
            callbacks.url = "https:///cb"
                herald.toml:1: callbacks.url = "https:///cb": must have a host, as https://app.example/callback
            callbacks.url = "https://:8080/cb"
                herald.toml:1: callbacks.url = "https://:8080/cb": must have a host, as https://app.example/callback
            callbacks.url = "https://user:hunter2@app.example/cb"
                herald.toml:1: callbacks.url = "https://***@app.example/cb": must not contain a user or password; put a token into the path or query instead
            callbacks.url = "https://app.example/cb#top"
                herald.toml:1: callbacks.url = "https://app.example/cb#top": must not have a fragment: what follows # is never sent
            callbacks.url = "https://app.example/my cb"
                herald.toml:1: callbacks.url = "https://app.example/my cb": must not contain spaces or backslashes; write %20 for a space
            callbacks.url = "https://app.example\\\\cb"
                herald.toml:1: callbacks.url = "https://app.example\\cb": must not contain spaces or backslashes; write %20 for a space
            callbacks.url = "https://app.example:99999/"
                herald.toml:1: callbacks.url = "https://app.example:99999/": is no URL: invalid port number
            callbacks.url = "http://[::1/"
                herald.toml:1: callbacks.url = "http://[::1/": is no URL: invalid IPv6 address
            callbacks.url = "https://app.example/cb?tenant=7"
                ok []
            callbacks.ca = "/etc/none.pem"\ncallbacks.url = "https://a"
                herald.toml:1: callbacks.ca = "/etc/none.pem": cannot be read: entity not found
            callbacks.ca = "/run/secret"\ncallbacks.url = "https://a"
                herald.toml:1: callbacks.ca = "/run/secret": holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)
            callbacks.ca = "/etc/ca.pem"\ncallbacks.url = "https://a"
                ok []
        "#]],
    );
}

#[test]
fn a_key_that_does_not_exist_is_told_with_the_nearest_one() {
    check_files(
        &[
            "[presence]\noffline_grac = \"5s\"",
            "offline_grace = \"5s\"",
            "[admin]\nsecret = \"hunter2\"",
            "[gateway]\nframe_max_bytes = \"1KiB\"",
            "[callbacks]\nretries = 3",
            "[presense]\noffline_grace = \"5s\"",
            "[tls]\ncert = \"a.pem\"",
            "[callbacks.onlin]\nenable = true",
            "\"gateway.listen\" = \"0.0.0.0:1\"",
            "gateway = \"0.0.0.0:1\"",
            "[[gateway]]\nlisten = \"0.0.0.0:1\"",
            "[gateway.listen]\nport = 1",
            "gateway.listen = { port = 1 }",
            "callbacks.online = true",
        ],
        expect![[r#"
            [presence]\noffline_grac = "5s"
                herald.toml:2: presence.offline_grac: unknown key; did you mean offline_grace?
            offline_grace = "5s"
                herald.toml:1: offline_grace: unknown key; did you mean presence.offline_grace?
            [admin]\nsecret = "hunter2"
                herald.toml:2: admin.secret: unknown key; did you mean auth.secret?
            [gateway]\nframe_max_bytes = "1KiB"
                herald.toml:2: gateway.frame_max_bytes: unknown key; did you mean frame_bytes_max?
            [callbacks]\nretries = 3
                herald.toml:2: callbacks.retries: unknown key; did you mean extra_fields?
            [presense]\noffline_grace = "5s"
                herald.toml:1: presense: unknown section; did you mean presence?
            [tls]\ncert = "a.pem"
                herald.toml:1: tls: unknown section; what there is: gateway, api, admin, auth, presence, callbacks, store, log
            [callbacks.onlin]\nenable = true
                herald.toml:1: callbacks.onlin: unknown section; did you mean online?
            "gateway.listen" = "0.0.0.0:1"
                herald.toml:1: "gateway.listen": unknown key; did you mean gateway?
            gateway = "0.0.0.0:1"
                herald.toml:1: gateway: is a section, written as [gateway]
            [[gateway]]\nlisten = "0.0.0.0:1"
                herald.toml:1: gateway: is a section, written as [gateway]
            [gateway.listen]\nport = 1
                herald.toml:1: gateway.listen: is a key, not a section
            gateway.listen = { port = 1 }
                herald.toml:1: gateway.listen: is a key, not a section
            callbacks.online = true
                herald.toml:1: callbacks.online: is a section, written as [callbacks.online]
        "#]],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_line_and_column() {
    check_files(
        &[
            "[gateway\nlisten = \"0.0.0.0:1\"",
            "[gateway]\nread_timeout = 30s",
            "[gateway]\nread_timeout = \"30s",
            "[gateway]\nread_timeout: 30s",
            "[api]\nlisten = \"0.0.0.0:1\"\nlisten = \"0.0.0.0:2\"",
            "[api]\nlisten = \"0.0.0.0:1\"\n[api]\nbody_bytes_max = \"1MiB\"",
            "auth.admin_users = [\"a\"\n[api]\nlisten = 5",
            // What can be read is still checked, what depends on all of it is not.
            "gateway.ping_interval = 1h\n[presence]\noffline_grac = 1\nrestart_grace = true\n\
             [log]\nlevel = info",
        ],
        expect![[r#"
            [gateway\nlisten = "0.0.0.0:1"
                herald.toml:1:9: unclosed table, expected `]`
                herald.toml:2: listen: unknown section; did you mean store?
            [gateway]\nread_timeout = 30s
                herald.toml:2:16: string values must be quoted, expected literal string
            [gateway]\nread_timeout = "30s
                herald.toml:2:20: invalid basic string, expected `"`
            [gateway]\nread_timeout: 30s
                herald.toml:2:13: invalid unquoted key, expected letters, numbers, `-`, `_`
            [api]\nlisten = "0.0.0.0:1"\nlisten = "0.0.0.0:2"
                herald.toml:3:1: duplicate key listen
            [api]\nlisten = "0.0.0.0:1"\n[api]\nbody_bytes_max = "1MiB"
                herald.toml:3:2: duplicate key api
            auth.admin_users = ["a"\n[api]\nlisten = 5
                herald.toml:1: auth.admin_users = ["a"…: expected a list such as ["imAdmin"]
                herald.toml:2:1: missing comma between array elements, expected `,`
                herald.toml:3:1: missing comma between array elements, expected `,`
            gateway.ping_interval = 1h\n[presence]\noffline_grac = 1\nrestart_grace = true\n[log]\nlevel = info
                herald.toml:1:25: string values must be quoted, expected literal string
                herald.toml:3: presence.offline_grac: unknown key; did you mean offline_grace?
                herald.toml:4: presence.restart_grace = true: expected a duration such as "60s"
                herald.toml:6:9: invalid float, expected `inf`
        "#]],
    );
}

#[test]
fn values_that_do_not_go_together_are_told_with_where_each_came_from() {
    check_files(
        &[
            "[gateway]\nping_interval = \"30s\"",
            "[gateway]\nread_timeout = \"15s\"",
            "[gateway]\nread_timeout = \"15s\"\nping_interval = \"40s\"",
            "[gateway]\nread_timeout = 15\nping_interval = \"40s\"",
            "api.listen = \"127.0.0.1:10001\"",
            "gateway.listen = \"127.0.0.1:10003\"",
            "gateway.listen = \"[::]:1\"\napi.listen = \"0.0.0.0:1\"\nadmin.listen = \"10.0.0.1:1\"",
            "gateway.listen = \"10.0.0.1:1\"\napi.listen = \"10.0.0.2:1\"\nadmin.listen = \"[::1]:1\"",
            "gateway.listen = \"0.0.0.0:0\"\napi.listen = \"0.0.0.0:0\"\nadmin.listen = \"[::]:0\"",
        ],
        expect![[r#"
            [gateway]\nping_interval = "30s"
                herald.toml:2: gateway.ping_interval = "30s": must be shorter than gateway.read_timeout = "30s" (default)
            [gateway]\nread_timeout = "15s"
                herald.toml:2: gateway.read_timeout = "15s": must be longer than gateway.ping_interval = "20s" (default)
            [gateway]\nread_timeout = "15s"\nping_interval = "40s"
                herald.toml:3: gateway.ping_interval = "40s": must be shorter than gateway.read_timeout = "15s" (herald.toml:2)
            [gateway]\nread_timeout = 15\nping_interval = "40s"
                herald.toml:2: gateway.read_timeout = 15: expected a duration such as "30s"
            api.listen = "127.0.0.1:10001"
                herald.toml:1: api.listen = "127.0.0.1:10001": must have another port than gateway.listen = "0.0.0.0:10001" (default)
            gateway.listen = "127.0.0.1:10003"
                herald.toml:1: gateway.listen = "127.0.0.1:10003": must have another port than admin.listen = "127.0.0.1:10003" (default)
            gateway.listen = "[::]:1"\napi.listen = "0.0.0.0:1"\nadmin.listen = "10.0.0.1:1"
                herald.toml:2: api.listen = "0.0.0.0:1": must have another port than gateway.listen = "[::]:1" (herald.toml:1)
                herald.toml:3: admin.listen = "10.0.0.1:1": must have another port than gateway.listen = "[::]:1" (herald.toml:1)
                herald.toml:3: admin.listen = "10.0.0.1:1": must have another port than api.listen = "0.0.0.0:1" (herald.toml:2)
            gateway.listen = "10.0.0.1:1"\napi.listen = "10.0.0.2:1"\nadmin.listen = "[::1]:1"
                ok ["nothing is sent: callbacks.url is empty"]
            gateway.listen = "0.0.0.0:0"\napi.listen = "0.0.0.0:0"\nadmin.listen = "[::]:0"
                ok ["nothing is sent: callbacks.url is empty"]
        "#]],
    );
}

#[test]
fn a_variable_is_read_by_the_type_of_its_key() {
    check_environments(
        &[
            &[("HERALD_GATEWAY__READ_TIMEOUT", "30")],
            &[("HERALD_GATEWAY__LISTEN", "")],
            &[("HERALD_STORE__SYNC", "\"full\"")],
            &[("HERALD_CALLBACKS__CONCURRENCY_MAX", "many")],
            &[("HERALD_CALLBACKS__CONCURRENCY_MAX", " 0 ")],
            &[("HERALD_CALLBACKS__ONLINE__ENABLE", "yes")],
            &[("HERALD_AUTH__ADMIN_USERS", "imAdmin")],
            &[("HERALD_CALLBACKS__URL", "https://a:hunter2@b\n\x1b[31m")],
            &[("HERALD_CALLBACKS__URL", &format!("ftp://{}", "x".repeat(100)))],
            &[("HERALD_GATEWAY_LISTEN", "0.0.0.0:1")],
            &[("HERALD_SECRET", "hunter2")],
            &[("HERALD_ADMIN__TOKEN_FIL", "/run/token")],
            &[("HERALD_GATEWAY__LISTEN_FILE", "/run/token")],
            &[("HERALD_", "")],
            &[("HERALD_XYZ", "")],
            &[("HERALD_AUTH__SECRET_FILE", "/run/secret")],
            &[("HERALD_ADMIN__TOKEN_FILE", "/run/token")],
            &[("HERALD_ADMIN__TOKEN_FILE", "/run/binary")],
            &[("HERALD_ADMIN__TOKEN_FILE", "/run/none")],
            // A service called herald, or herald-api, in Kubernetes.
            &[
                ("HERALD_SERVICE_HOST", "10.0.0.1"),
                ("HERALD_SERVICE_PORT_GATEWAY", "10001"),
                ("HERALD_API_PORT", "tcp://10.0.0.1:10002"),
                ("HERALD_PORT_10001_TCP_ADDR", "10.0.0.1"),
            ],
            &[("HERALD_API_PORT", "10002")],
        ],
        expect![[r#"
            HERALD_GATEWAY__READ_TIMEOUT=30
                environment HERALD_GATEWAY__READ_TIMEOUT: gateway.read_timeout = 30: expected a duration such as 30s
            HERALD_GATEWAY__LISTEN=
                environment HERALD_GATEWAY__LISTEN: gateway.listen = "": expected an address such as 0.0.0.0:10001
            HERALD_STORE__SYNC="full"
                environment HERALD_STORE__SYNC: store.sync = "full": expected full or normal
            HERALD_CALLBACKS__CONCURRENCY_MAX=many
                environment HERALD_CALLBACKS__CONCURRENCY_MAX: callbacks.concurrency_max = many: expected a whole number such as 64
            HERALD_CALLBACKS__CONCURRENCY_MAX= 0 
                environment HERALD_CALLBACKS__CONCURRENCY_MAX: callbacks.concurrency_max =  0 : must be from 1 to 10000
            HERALD_CALLBACKS__ONLINE__ENABLE=yes
                environment HERALD_CALLBACKS__ONLINE__ENABLE: callbacks.online.enable = yes: expected true or false
            HERALD_AUTH__ADMIN_USERS=imAdmin
                environment HERALD_AUTH__ADMIN_USERS: auth.admin_users = imAdmin: expected a list such as ["imAdmin"]
            HERALD_CALLBACKS__URL=https://a:hunter2@b
            [31m
                environment HERALD_CALLBACKS__URL: callbacks.url = https://***@b…: must not contain spaces or backslashes; write %20 for a space
            HERALD_CALLBACKS__URL=ftp://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                environment HERALD_CALLBACKS__URL: callbacks.url = ftp://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…: must begin with https:// or http://
            HERALD_GATEWAY_LISTEN=0.0.0.0:1
                environment HERALD_GATEWAY_LISTEN: unknown variable; did you mean HERALD_GATEWAY__LISTEN?
            HERALD_SECRET=hunter2
                environment HERALD_SECRET: unknown variable; did you mean HERALD_AUTH__SECRET?
            HERALD_ADMIN__TOKEN_FIL=/run/token
                environment HERALD_ADMIN__TOKEN_FIL: unknown variable; did you mean HERALD_ADMIN__TOKEN_FILE?
            HERALD_GATEWAY__LISTEN_FILE=/run/token
                environment HERALD_GATEWAY__LISTEN_FILE: unknown variable; did you mean HERALD_GATEWAY__LISTEN?
            HERALD_=
                environment HERALD_: unknown variable; a key is set as HERALD_SECTION__KEY
            HERALD_XYZ=
                environment HERALD_XYZ: unknown variable; a key is set as HERALD_SECTION__KEY
            HERALD_AUTH__SECRET_FILE=/run/secret
                environment HERALD_AUTH__SECRET_FILE: auth.secret: HERALD_AUTH__SECRET is set too; keep one of them
            HERALD_ADMIN__TOKEN_FILE=/run/token
                environment HERALD_ADMIN__TOKEN_FILE: admin.token = ***: must be at least 16 characters, ASCII and without spaces
            HERALD_ADMIN__TOKEN_FILE=/run/binary
                environment HERALD_ADMIN__TOKEN_FILE: admin.token: /run/binary cannot be read: it is no text in UTF-8
            HERALD_ADMIN__TOKEN_FILE=/run/none
                environment HERALD_ADMIN__TOKEN_FILE: admin.token: /run/none cannot be read: entity not found
            HERALD_SERVICE_HOST=10.0.0.1 HERALD_SERVICE_PORT_GATEWAY=10001 HERALD_API_PORT=tcp://10.0.0.1:10002 HERALD_PORT_10001_TCP_ADDR=10.0.0.1
                ok ["nothing is sent: callbacks.url is empty"]
            HERALD_API_PORT=10002
                environment HERALD_API_PORT: unknown variable; a key is set as HERALD_SECTION__KEY
        "#]],
    );
}

#[test]
fn the_secret_must_be_chosen_unless_dev_fills_in_the_known_one() {
    let mut actual = String::new();
    let env_file = ("HERALD_AUTH__SECRET_FILE", "/run/secret");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("auth.secret = \"\"", &[]),
        ("auth.secret = 5", &[]),
        ("auth.secret = \"openIM123\"", &[]),
        ("auth.secret = \"hunter2\"", &[]),
        ("auth.secret = \"openIM123\"", &[env_file]),
    ];
    for (file, env) in cases {
        for dev in [false, true] {
            let loaded = try_load(file, env, dev);
            let secret =
                loaded.as_ref().map(|loaded| loaded.config.auth.secret.expose().to_owned());
            let origin = loaded.as_ref().map(|loaded| loaded.origins.of("auth.secret").to_string());
            writeln!(
                actual,
                "{file} {env:?} dev={dev} {:?} {:?}{}",
                secret.unwrap_or_default(),
                origin.unwrap_or_default(),
                outcome(loaded)
            )
            .unwrap();
        }
    }
    expect![[r#"
         [] dev=false "" ""
            auth.secret: missing; write one under [auth] that nobody can guess, or set HERALD_AUTH__SECRET or HERALD_AUTH__SECRET_FILE (to try things out, start with --dev)
         [] dev=true "openIM123" "--dev"
            ok ["anybody can make tokens: auth.secret is OpenIM's well-known one (--dev)", "nothing is sent: callbacks.url is empty"]
        auth.secret = "" [] dev=false "" ""
            herald.toml:1: auth.secret: missing; write one under [auth] that nobody can guess, or set HERALD_AUTH__SECRET or HERALD_AUTH__SECRET_FILE (to try things out, start with --dev)
        auth.secret = "" [] dev=true "openIM123" "--dev"
            ok ["anybody can make tokens: auth.secret is OpenIM's well-known one (--dev)", "nothing is sent: callbacks.url is empty"]
        auth.secret = 5 [] dev=false "" ""
            herald.toml:1: auth.secret = ***: expected a text in quotes
        auth.secret = 5 [] dev=true "" ""
            herald.toml:1: auth.secret = ***: expected a text in quotes
        auth.secret = "openIM123" [] dev=false "" ""
            herald.toml:1: auth.secret = "***": is OpenIM's well-known "openIM123", with which anybody can make tokens; write one that nobody can guess (to try things out, start with --dev)
        auth.secret = "openIM123" [] dev=true "openIM123" "herald.toml:1"
            ok ["anybody can make tokens: auth.secret is OpenIM's well-known one (--dev)", "nothing is sent: callbacks.url is empty"]
        auth.secret = "hunter2" [] dev=false "hunter2" "herald.toml:1"
            ok ["tokens may be guessed: auth.secret has fewer than 16 characters", "nothing is sent: callbacks.url is empty"]
        auth.secret = "hunter2" [] dev=true "hunter2" "herald.toml:1"
            ok ["tokens may be guessed: auth.secret has fewer than 16 characters", "nothing is sent: callbacks.url is empty"]
        auth.secret = "openIM123" [("HERALD_AUTH__SECRET_FILE", "/run/secret")] dev=false "of a file of its own" "environment HERALD_AUTH__SECRET_FILE"
            ok ["nothing is sent: callbacks.url is empty"]
        auth.secret = "openIM123" [("HERALD_AUTH__SECRET_FILE", "/run/secret")] dev=true "of a file of its own" "environment HERALD_AUTH__SECRET_FILE"
            ok ["nothing is sent: callbacks.url is empty"]
    "#]].assert_eq(&actual);
}
