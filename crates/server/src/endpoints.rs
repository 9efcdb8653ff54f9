//! The endpoints as the operator configured them, made ready to be told and sent to.
//!
//! It opens the files that they name, and never connects.

use crate::{
    callbacks::{
        Endpoint, EndpointSettings, GateSettings, Timeouts,
        http::{HttpSender, HttpSettings},
    },
    clock::Clock,
    config::{Callbacks, Config, Mode, Secret, section_of},
    files::Places,
    running::StartError,
    trust::TlsFiles,
};
use contract::signature::SigningSecret;
use presence::Interest;
use std::sync::Arc;
use store::EndpointName;

/// Those that are sent to.
pub(crate) fn endpoints(config: &Config, places: &Places) -> Vec<Arc<Endpoint>> {
    let wanted = callbacks_wanted(config);
    let endpoint = |(name, callbacks): (&str, &Callbacks)| {
        let concurrency_max = places.callbacks_of(callbacks.concurrency_max, wanted);
        let settings = EndpointSettings { concurrency_max, ..settings(name, callbacks) };
        Arc::new(Endpoint::new(settings))
    };
    config.endpoints().map(endpoint).collect()
}

/// How many callbacks may be in flight to all of them together, as configured.
pub(crate) fn callbacks_wanted(config: &Config) -> usize {
    config.endpoints().map(|(_, callbacks)| callbacks.concurrency_max).sum()
}

/// One for each of them.
pub(crate) fn senders(
    config: &Config,
    endpoints: &[Arc<Endpoint>],
    clock: &Arc<dyn Clock>,
) -> Result<Vec<HttpSender>, StartError> {
    let sender = |((name, callbacks), endpoint): ((&str, &Callbacks), &Arc<Endpoint>)| {
        let sender = HttpSender::new(endpoint, &http_settings(callbacks), Arc::clone(clock));
        sender.map_err(|source| StartError::Sender { section: section_of(name), source })
    };
    config.endpoints().zip(endpoints).map(sender).collect()
}

fn settings(name: &str, callbacks: &Callbacks) -> EndpointSettings {
    let Callbacks { online, offline, kick_off, background, .. } = callbacks;
    EndpointSettings {
        name: EndpointName::new(name),
        target: contract::Target {
            url: callbacks.url.clone().unwrap_or_default(),
            sdk_name: callbacks.sdk_name.clone(),
            extra_fields: callbacks.extra_fields,
            client_address: callbacks.client_address,
        },
        dialect: callbacks.dialect,
        interest: Interest {
            online: online.enable.then_some(online.scope),
            offline: offline.enable.then_some(offline.scope),
            kick_off: kick_off.enable,
            background: background.enable,
        },
        timeouts: Timeouts {
            online: online.timeout,
            offline: offline.timeout,
            kick_off: kick_off.timeout,
            background: background.timeout,
        },
        on_refusal: online.on_refusal,
        // Where the App is not told of logins, it cannot be asked by that.
        gate: (online.mode == Mode::Gate && online.enable).then_some(GateSettings {
            failed_continue: online.failed_continue,
            waiting_max: online.gate_waiting_max,
        }),
        refusal_limit: callbacks.refusal,
        secrets: callbacks.secrets.iter().map(signing_secret).collect(),
        concurrency_max: callbacks.concurrency_max,
        retell: callbacks.retell,
        collapse_after: Some(callbacks.collapse_after).filter(|after| !after.is_zero()),
    }
}

fn signing_secret(secret: &Secret) -> SigningSecret {
    secret.expose().parse().expect("the configuration was checked")
}

fn http_settings(callbacks: &Callbacks) -> HttpSettings {
    let Callbacks { ca, client_cert, client_key, headers, bearer, .. } = callbacks;
    let plain = |(name, value): (&str, &Secret)| (name.to_owned(), value.expose().to_owned());
    HttpSettings {
        tls: TlsFiles { ca: ca.clone(), client: client_cert.clone().zip(client_key.clone()) },
        headers: headers.iter().map(plain).collect(),
        bearer: bearer.as_ref().map(|token| token.expose().to_owned()),
        deny_private: callbacks.deny_private,
    }
}
