//! The HTTP client of an endpoint: whom it trusts, who it says it is, and what it adds.

use super::resolve::{PublicOnly, system};
use reqwest::{
    Certificate, Identity,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use std::{sync::Arc, time::Duration};

/// Shorter than the 5 s after which common servers (Node's) close an idle connection: to meet
/// that close would be a failed attempt.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How requests are made, beside what the contract says of them. Files are here as their text.
#[derive(Default)]
pub struct HttpSettings {
    /// The CAs to trust, in PEM; none: the system's.
    pub ca: Option<String>,
    /// Our certificate and its key, in PEM, for an App that asks for one.
    pub client: Option<(String, String)>,
    /// Added to every request.
    pub headers: Vec<(String, String)>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// Whether only public addresses are connected to.
    pub deny_private: bool,
}

/// Why a sender cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The certificates are not PEM.
    #[error("ca holds no certificate in PEM form")]
    Certificates(#[source] Option<reqwest::Error>),
    /// The certificate of our own, or its key, is not PEM.
    #[error("client_cert and client_key hold no certificate and key")]
    Client(#[source] reqwest::Error),
    /// A header is none.
    #[error("headers or bearer cannot be sent")]
    Header(#[source] http::Error),
    /// The system's certificates, or our own, cannot be used.
    #[error("cannot set up TLS; set ca to a PEM file with the CA of the App")]
    Tls(#[source] reqwest::Error),
}

#[expect(clippy::disallowed_types, reason = "this is the place")]
pub(super) fn client(
    url: &str,
    connections_max: usize,
    settings: &HttpSettings,
) -> Result<reqwest::Client, SenderError> {
    let mut builder = reqwest::ClientBuilder::new()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(connections_max)
        .pool_idle_timeout(POOL_IDLE)
        .default_headers(headers(settings).map_err(SenderError::Header)?)
        .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")));
    if let Some((cert, key)) = &settings.client {
        builder = builder.identity(identity(cert, key).map_err(SenderError::Client)?);
    }
    if settings.deny_private {
        builder = builder.dns_resolver(PublicOnly(Arc::new(system)));
    }
    let builder = match &settings.ca {
        Some(pem) => builder.tls_certs_only(certificates(pem)?),
        // A machine without CA certificates can still speak plain HTTP.
        None if url.starts_with("http:") => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(SenderError::Tls)
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, SenderError> {
    let certificates = Certificate::from_pem_bundle(pem.as_bytes());
    let certificates = certificates.map_err(|error| SenderError::Certificates(Some(error)))?;
    if certificates.is_empty() { Err(SenderError::Certificates(None)) } else { Ok(certificates) }
}

/// Each file may hold more than is wanted of it; both may be the same one.
fn identity(cert: &str, key: &str) -> reqwest::Result<Identity> {
    let pem = blocks(cert, "CERTIFICATE") + &blocks(key, "PRIVATE KEY");
    Identity::from_pem(pem.as_bytes())
}

/// The blocks of a PEM file whose kind ends in a word.
fn blocks(pem: &str, kind: &str) -> String {
    let (mut inside, mut blocks) = (false, String::new());
    for line in pem.lines() {
        inside |=
            line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----"));
        if inside {
            blocks.extend([line, "\n"]);
        }
        inside &= !line.starts_with("-----END ");
    }
    blocks
}

/// None of their values is ever logged.
fn headers(settings: &HttpSettings) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::new();
    let secret = |text: &str| -> Result<HeaderValue, http::Error> {
        let mut value = HeaderValue::from_str(text)?;
        value.set_sensitive(true);
        Ok(value)
    };
    for (name, value) in &settings.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, secret(value)?);
    }
    if let Some(token) = &settings.bearer {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {token}"))?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::generate_simple_self_signed;

    #[test]
    fn a_certificate_and_its_key_are_found_among_whatever_else_their_files_hold() {
        let made = generate_simple_self_signed(["herald".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let public = made.signing_key.public_key_pem();
        let all = format!("Subject: herald\n{public}{key}{cert}");
        for (cert, key) in [(&cert, &key), (&all, &all), (&all, &key), (&cert, &all)] {
            assert!(identity(cert.trim_end(), key).is_ok(), "{cert}{key}");
        }
        assert_eq!(blocks(&all, "CERTIFICATE"), cert.replace("\r\n", "\n"));
        assert_eq!(blocks(&all, "PRIVATE KEY"), key.replace("\r\n", "\n"));
        assert!(identity(&cert, &cert).is_err() && identity(&key, &key).is_err());
    }
}
