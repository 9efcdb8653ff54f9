//! TLS towards Apps: which certificates are trusted, which is ours, and what to do where they do not fit.
//!
//! Files are read again at each new connection, so that one that was renewed counts without a restart.

use crate::clock::Clock;
use presence::Instant;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The system's certificates are no file that we know, so they are read again after so long.
const SYSTEM_READ_AGAIN: Duration = Duration::from_secs(10 * 60);

/// The files that an operator named, all in PEM form. Each may hold more than is wanted of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs, or the very certificates, that are trusted; none: the system's CAs.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, for an App that asks for one. Both may be one file.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file cannot be read.
    #[error("cannot read {key} = {path:?}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// None of the certificates that are to be trusted can be used.
    #[error("ca = {0:?} holds no certificate in PEM form")]
    Ca(PathBuf),
    /// Our own certificate and key are none, or are not a pair.
    #[error("client_cert and client_key hold no certificate and key")]
    Client(#[source] Option<rustls::Error>),
    /// The system has no certificates.
    #[error(
        "the system's CA certificates cannot be used; set ca to a PEM file with the CA of the App"
    )]
    System(#[source] rustls::Error),
}

/// Whom a client trusts, and who it says it is.
pub struct Trust {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    current: Mutex<Current>,
}

struct Current {
    texts: Texts,
    read_at: Instant,
    config: Arc<ClientConfig>,
}

/// What was in the files.
#[derive(PartialEq, Eq)]
struct Texts {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Trust {
    /// Reads all files: what is wrong with them is told at the start.
    pub fn new(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Trust, TrustError> {
        let texts = files.read()?;
        let config = Arc::new(config(&files, &texts)?);
        let read_at = clock.now().mono;
        Ok(Trust { files, clock, current: Mutex::new(Current { texts, read_at, config }) })
    }

    /// A connection to that host over a line to it.
    pub async fn secure(
        self: &Arc<Self>,
        host: ServerName<'static>,
        line: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let trust = Arc::clone(self);
        let config = tokio::task::spawn_blocking(move || trust.config());
        let config = config.await.map_err(io::Error::other)?;
        TlsConnector::from(config).connect(host, line).await
    }

    /// As the files are now; as they were, where they cannot be used any more.
    fn config(&self) -> Arc<ClientConfig> {
        let now = self.clock.now().mono;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = self.files.read().and_then(|texts| {
            let is_old = texts.ca.is_none() && current.read_at.until(now) > SYSTEM_READ_AGAIN;
            if texts == current.texts && !is_old {
                return Ok(None);
            }
            config(&self.files, &texts).map(|config| Some((texts, config)))
        });
        match renewed {
            Ok(None) => {}
            Ok(Some((texts, config))) => {
                *current = Current { texts, read_at: now, config: Arc::new(config) };
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "certificates cannot be read again; those from before count");
            }
        }
        Arc::clone(&current.config)
    }
}

impl TlsFiles {
    fn read(&self) -> Result<Texts, TrustError> {
        let read = |key, path: &PathBuf| {
            fs::read(path).map_err(|source| TrustError::File { key, path: path.clone(), source })
        };
        let pair = |(cert, key)| Ok((read("client_cert", cert)?, read("client_key", key)?));
        Ok(Texts {
            ca: self.ca.as_ref().map(|path| read("ca", path)).transpose()?,
            client: self.client.as_ref().map(|(cert, key)| pair((cert, key))).transpose()?,
        })
    }
}

fn config(files: &TlsFiles, texts: &Texts) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(TrustError::System)?;
    let builder = match (&texts.ca, &files.ca) {
        (Some(text), Some(path)) => {
            let verifier = Configured::new(text, path, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        _ => builder.with_platform_verifier().map_err(TrustError::System)?,
    };
    let mut config = match &texts.client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
            let certs = certs.ok().filter(|certs| !certs.is_empty());
            let key = PrivateKeyDer::from_pem_slice(key).ok();
            let (certs, key) = certs.zip(key).ok_or(TrustError::Client(None))?;
            let config = builder.with_client_auth_cert(certs, key);
            config.map_err(|error| TrustError::Client(Some(error)))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Trusts what those certificates have signed, and the certificates themselves: a self-signed one of
/// `openssl req -x509` says that it is a CA, which WebPKI takes from no server.
#[derive(Debug)]
struct Configured {
    certificates: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl Configured {
    fn new(
        pem: &[u8],
        path: &Path,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Configured, TrustError> {
        let none = || TrustError::Ca(path.to_owned());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|_| none())?;
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(certificates.iter().cloned()).0 == 0 {
            return Err(none());
        }
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Configured { certificates, signed: signed.build().map_err(|_| none())? })
    }
}

impl ServerCertVerifier for Configured {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.signed.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // These are found only once the dates were found good.
            Err(rustls::Error::InvalidCertificate(error))
                if is_about_who_signed(&error) && self.certificates.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

fn is_about_who_signed(error: &CertificateError) -> bool {
    match error {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(error) => is(error, &webpki::Error::CaUsedAsEndEntity),
        _ => false,
    }
}

fn is(error: &rustls::OtherError, expected: &webpki::Error) -> bool {
    error.0.downcast_ref::<webpki::Error>() == Some(expected)
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Whose certificate it must be, for the host of a URL.
pub fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // A certificate names no root.
    let name = bare.trim_end_matches('.').to_owned();
    ServerName::try_from(name).map_err(io::Error::other)
}

/// What a person can do about an error of TLS; none where there is nothing to say beside the error.
pub fn advice(error: &rustls::Error) -> Option<&'static str> {
    use rustls::{AlertDescription as Alert, Error};
    Some(match error {
        Error::InvalidCertificate(error) => return advice_on(error),
        Error::InvalidMessage(_) => "the App does not speak TLS there; is its URL one of http://?",
        Error::PeerIncompatible(_) | Error::AlertReceived(Alert::ProtocolVersion) => {
            "the App must speak TLS 1.2 or 1.3 with usual ciphers"
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the App asks for a certificate: set client_cert and client_key"
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
            | Alert::CertificateRevoked
            | Alert::DecryptError,
        ) => "the App does not take the certificate in client_cert",
        Error::AlertReceived(Alert::HandshakeFailure) => {
            "the App takes no part in it; if it asks for a certificate, set client_cert and client_key"
        }
        Error::AlertReceived(Alert::UnrecognisedName) => {
            "the App does not know the host of its URL"
        }
        _ => return None,
    })
}

fn advice_on(error: &CertificateError) -> Option<&'static str> {
    use CertificateError as Error;
    Some(match error {
        Error::Expired | Error::ExpiredContext { .. } => "the App's certificate must be renewed",
        Error::NotValidYet | Error::NotValidYetContext { .. } => {
            "the App's certificate begins later; is the clock of this machine right?"
        }
        Error::UnknownIssuer => {
            "set ca to a PEM file with the CA that signed the App's certificate, or with the \
             certificate itself; the App must also send what lies between"
        }
        Error::BadSignature => {
            "the CA in ca has the right name, but did not sign the App's certificate; was one of them made \
             anew?"
        }
        Error::NotValidForName | Error::NotValidForNameContext { .. } => {
            "the host in the App's URL must be a name of its certificate (subjectAltName)"
        }
        Error::InvalidPurpose | Error::InvalidPurposeContext { .. } => {
            "the App's certificate is not one for servers (extendedKeyUsage serverAuth)"
        }
        Error::Other(error) if is(error, &webpki::Error::CaUsedAsEndEntity) => {
            "the App shows the certificate of a CA as its own; set ca to that certificate, or give the \
             App one that the CA signed"
        }
        Error::Other(error) if is(error, &webpki::Error::UnsupportedCertVersion) => {
            "the App's certificate is of version 1; make one of version 3, as openssl req -x509 does"
        }
        _ => return None,
    })
}
