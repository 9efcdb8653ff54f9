//! What must hold between several values, or between a value and the world.

use super::{
    Callbacks, Config, DEV_SECRET, Mode, Origin, ReadFile, checks::long_secret, draft::Draft,
    keys::key, tls,
};
use crate::{
    address::{self, is_odd_port},
    listener::REQUEST_TIMEOUT,
};
use std::net::{IpAddr, SocketAddr};
use url::Url;

/// Notes every rule that is broken.
pub(super) fn check(draft: &mut Draft, dev: bool, read_file: ReadFile<'_>) {
    check_secret(draft, dev);
    check_previous_secret(draft, dev);
    check_pings(draft);
    check_gate(draft);
    check_tokens(draft);
    check_ports(draft);
    check_endpoint(draft, read_file);
    for endpoint in &mut draft.endpoints {
        check_url(endpoint);
        check_mode(endpoint);
        check_endpoint(endpoint, read_file);
    }
}

fn check_endpoint(draft: &mut Draft, read_file: ReadFile<'_>) {
    check_ca(draft, read_file);
    check_proxies(draft);
    check_client(draft, read_file);
    check_authorization(draft);
    check_address(draft);
}

/// A further endpoint is there to be sent to.
fn check_url(endpoint: &mut Draft) {
    let path = "callbacks.url";
    if endpoint.config.callbacks.url.is_none() && endpoint.knows(&[path]) {
        endpoint.refuse(path, "missing; write where to send it, as https://app.example/callback");
    }
}

/// Two could not agree, and a login would take as long as both.
fn check_mode(endpoint: &mut Draft) {
    if endpoint.config.callbacks.online.mode == Mode::Gate {
        let wrong = "only the App of [callbacks] can be asked; \"notify\" tells this one";
        endpoint.refuse("callbacks.online.mode", wrong);
    }
}

/// It makes tokens as well as the other.
fn check_previous_secret(draft: &mut Draft, dev: bool) {
    let path = "auth.previous_secret";
    if !draft.knows(&[path, "auth.secret"]) {
        return;
    }
    let auth = &draft.config.auth;
    let Some(previous) = auth.previous_secret.as_ref().map(|secret| secret.expose()) else {
        return;
    };
    let wrong = if previous == DEV_SECRET && !dev {
        "is OpenIM's well-known \"openIM123\", with which anybody can make tokens; leave it out: clients get \
         tokens of the new secret when they log in again"
    } else if previous == auth.secret.expose() {
        "is auth.secret itself; write the one that was used before, or leave it out"
    } else {
        return;
    };
    draft.refuse(path, wrong);
}

fn check_secret(draft: &mut Draft, dev: bool) {
    let path = "auth.secret";
    if !draft.knows(&[path]) {
        return;
    }
    let secret = draft.config.auth.secret.expose();
    let wrong = if secret.is_empty() {
        "missing; write one under [auth] that nobody can guess, or set HERALD_AUTH__SECRET or \
         HERALD_AUTH__SECRET_FILE (to try things out, start with --dev)"
            .to_owned()
    } else if secret == DEV_SECRET && !dev {
        "is OpenIM's well-known \"openIM123\", with which anybody can make tokens; write one that \
         nobody can guess (to try things out, start with --dev)"
            .to_owned()
    } else if let Err(wrong) = long_secret(&draft.config.auth.secret) {
        wrong
    } else {
        return;
    };
    draft.refuse(path, &wrong);
}

fn check_pings(draft: &mut Draft) {
    let gateway = &draft.config.gateway;
    if gateway.ping_interval >= gateway.read_timeout {
        refuse_pair(
            draft,
            ("gateway.ping_interval", "must be shorter than"),
            ("gateway.read_timeout", "must be longer than"),
        );
    }
}

/// A login that waits for the App must be answered before its client, or the HTTP server, gives up.
fn check_gate(draft: &mut Draft) {
    let online = &draft.config.callbacks.online;
    if online.mode != Mode::Gate {
        return;
    }
    if online.timeout >= draft.config.gateway.handshake_timeout {
        refuse_pair(
            draft,
            ("callbacks.online.timeout", "with mode = \"gate\", must be shorter than"),
            ("gateway.handshake_timeout", "with mode = \"gate\", must be longer than"),
        );
    } else if online.timeout >= REQUEST_TIMEOUT {
        let path = "callbacks.online.timeout";
        let most = REQUEST_TIMEOUT.as_secs();
        let wrong =
            format!("with mode = \"gate\", must be shorter than {most}s, the longest request");
        draft.refuse(path, &wrong);
    }
}

/// Who is forgotten takes along which of their tokens are denied.
fn check_tokens(draft: &mut Draft) {
    if draft.config.presence.forget_after < draft.config.auth.token_expiry {
        refuse_pair(
            draft,
            ("presence.forget_after", "must not be shorter than"),
            ("auth.token_expiry", "must not be longer than"),
        );
    }
}

fn check_ports(draft: &mut Draft) {
    let Config { gateway, api, admin, .. } = &draft.config;
    let listeners = [
        ("gateway.listen", gateway.listen),
        ("api.listen", api.listen),
        ("admin.listen", admin.listen),
    ];
    for (at, (first, its)) in listeners.iter().enumerate() {
        for (second, others) in &listeners[at + 1..] {
            if collide(*its, *others) {
                let wrong = "must have another port than";
                refuse_pair(draft, (second, wrong), (first, wrong));
            }
        }
    }
}

/// Whether one of two sockets keeps the other from being opened.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |a: IpAddr, b: IpAddr| {
        // `[::]` takes what comes over IPv4 as well.
        a == b || (a.is_unspecified() && (a.is_ipv6() || b.is_ipv4()))
    };
    // IPv6 may be written for an address of IPv4.
    let (its, others) = (a.ip().to_canonical(), b.ip().to_canonical());
    let overlap = covers(its, others) || covers(others, its);
    a.port() != 0 && a.port() == b.port() && overlap
}

fn check_proxies(draft: &mut Draft) {
    let gateway = &draft.config.gateway;
    if gateway.proxy_protocol && gateway.trusted_proxies.is_empty() {
        let wrong = "nobody may speak it: name your proxies in gateway.trusted_proxies";
        draft.refuse("gateway.proxy_protocol", wrong);
    }
}

fn check_ca(draft: &mut Draft, read_file: ReadFile<'_>) {
    let Some(ca) = &draft.config.callbacks.ca else { return };
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let wrong = match read_file(ca) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(pem) if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) => {
            "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)".to_owned()
        }
        Ok(_) => return,
    };
    draft.refuse("callbacks.ca", &wrong);
}

fn check_client(draft: &mut Draft, read_file: ReadFile<'_>) {
    let (cert, key) = ("callbacks.client_cert", "callbacks.client_key");
    let Callbacks { client_cert, client_key, .. } = &draft.config.callbacks;
    let wrong = match (client_cert, client_key) {
        _ if !draft.knows(&[cert, key]) => return,
        (None, None) => return,
        (Some(_), None) => {
            (cert, format!("needs {}, the file of its private key", draft.called(key)))
        }
        (None, Some(_)) => {
            (key, format!("needs {}, the file of its certificate", draft.called(cert)))
        }
        (Some(cert_file), Some(key_file)) => match (read_file(cert_file), read_file(key_file)) {
            (Err(error), _) => (cert, format!("cannot be read: {error}")),
            (_, Err(error)) => (key, format!("cannot be read: {error}")),
            (Ok(cert_pem), Ok(key_pem)) => match tls::check_pair(&cert_pem, &key_pem) {
                Ok(()) => return,
                Err(tls::Wrong::Certificate(text)) => (cert, text.to_owned()),
                Err(tls::Wrong::Key(text)) => (key, text.to_owned()),
            },
        },
    };
    draft.refuse(wrong.0, &wrong.1);
}

fn check_authorization(draft: &mut Draft) {
    let Callbacks { headers, bearer, .. } = &draft.config.callbacks;
    if bearer.is_some() && headers.has("Authorization") {
        let wrong = "must not set Authorization beside";
        let other = "must not be set beside the Authorization in";
        refuse_pair(draft, ("callbacks.headers", wrong), ("callbacks.bearer", other));
    }
}

/// What is looked up is checked at each connection; what stands there already can be told now.
fn check_address(draft: &mut Draft) {
    let Callbacks { url, deny_private: true, .. } = &draft.config.callbacks else { return };
    let url = url.as_ref().and_then(|url| Url::parse(url).ok());
    let other = ("callbacks.deny_private", "must be false for");
    if let Some(port) = url.as_ref().and_then(Url::port).filter(|p| is_odd_port(*p)) {
        let wrong =
            format!("is on port {port}, where other services listen, which must not be with");
        return refuse_pair(draft, ("callbacks.url", &wrong), other);
    }
    let host = url.as_ref().and_then(|url| url.host_str());
    let Some(special) = host.and_then(address::literal).and_then(address::special) else { return };
    let wrong = format!("is {special}, which must not be with");
    refuse_pair(draft, ("callbacks.url", &wrong), other);
}

/// Refuses two values that do not go together, at the one that somebody chose.
fn refuse_pair(draft: &mut Draft, first: (&str, &str), second: (&str, &str)) {
    if !draft.knows(&[first.0, second.0]) {
        return;
    }
    let first_is_default = *draft.origins.of(first.0) == Origin::Default;
    let ((path, wrong), (other, _)) =
        if first_is_default { (second, first) } else { (first, second) };
    let value = key(other).show(&draft.config);
    let origin = draft.origins.of(other);
    let wrong = format!("{wrong} {} = {value} ({origin})", draft.called(other));
    draft.refuse(path, &wrong);
}

#[cfg(test)]
mod tests {
    use crate::config::load;
    use expect_test::expect;

    #[test]
    fn the_secret_before_makes_tokens_too_and_must_be_no_less() {
        let mut actual = String::new();
        for previous in ["openIM123", "short", "0123456789abcdef", "another one, 16"] {
            let text =
                format!("[auth]\nsecret = '0123456789abcdef'\nprevious_secret = '{previous}'\n");
            actual += &match load(Some(("herald.toml", &text)), [], false, &|_| unreachable!()) {
                Ok(_) => "good\n".to_owned(),
                Err(errors) => format!("{errors}\n"),
            };
        }
        expect![[r#"
            herald.toml:3: auth.previous_secret = "***": is OpenIM's well-known "openIM123", with which anybody can make tokens; leave it out: clients get tokens of the new secret when they log in again
            herald.toml:3: auth.previous_secret = ***: has fewer than 8 characters, so that tokens can be guessed; write a longer one
            herald.toml:3: auth.previous_secret = "***": is auth.secret itself; write the one that was used before, or leave it out
            good
        "#]].assert_eq(&actual);
    }

    #[test]
    fn the_secret_must_be_chosen_unless_dev_fills_in_the_known_one() {
        let mut actual = String::new();
        for dev in [false, true] {
            for file in ["", "secret = ''", "secret = 5", "secret = 'openIM123'", "secret = 'own'"]
            {
                let text = format!("[auth]\n{file}");
                let told = match load(Some(("herald.toml", &text)), [], dev, &|_| unreachable!()) {
                    Ok(loaded) => {
                        let origin = loaded.origins.of("auth.secret");
                        format!("{:?} of {origin}", loaded.config.auth.secret.expose())
                    }
                    Err(errors) => errors.to_string(),
                };
                actual += &format!("{file}\n    {told}\n");
            }
            actual += "--dev\n";
        }
        expect![[r#"

                auth.secret: missing; write one under [auth] that nobody can guess, or set HERALD_AUTH__SECRET or HERALD_AUTH__SECRET_FILE (to try things out, start with --dev)
            secret = ''
                herald.toml:2: auth.secret: missing; write one under [auth] that nobody can guess, or set HERALD_AUTH__SECRET or HERALD_AUTH__SECRET_FILE (to try things out, start with --dev)
            secret = 5
                herald.toml:2: auth.secret = ***: expected a text in quotes
            secret = 'openIM123'
                herald.toml:2: auth.secret = "***": is OpenIM's well-known "openIM123", with which anybody can make tokens; write one that nobody can guess (to try things out, start with --dev)
            secret = 'own'
                herald.toml:2: auth.secret = "***": has fewer than 8 characters, so that tokens can be guessed; write a longer one
            --dev

                "openIM123" of --dev
            secret = ''
                "openIM123" of --dev
            secret = 5
                herald.toml:2: auth.secret = ***: expected a text in quotes
            secret = 'openIM123'
                "openIM123" of herald.toml:2
            secret = 'own'
                herald.toml:2: auth.secret = "***": has fewer than 8 characters, so that tokens can be guessed; write a longer one
            --dev
        "#]].assert_eq(&actual);
    }
}
