//! An HTTPS front for the App, with a CA of its own; it may ask for the caller's certificate.

use super::{App, router_of};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, crypto::ring::default_provider, pki_types::PrivatePkcs8KeyDer,
        server::WebPkiClientVerifier,
    },
};

/// A CA, and an HTTPS front with a certificate of it for localhost.
pub struct Tls {
    /// The file of its certificate.
    pub ca: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    asks: bool,
    /// For whom its certificate is.
    name: &'static str,
    is_expired: bool,
    /// Shows the certificate of the CA itself, as one of `openssl req -x509` does.
    is_self_signed: bool,
}

impl Tls {
    pub fn make(ca: PathBuf) -> Tls {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&ca, issuer.pem()).unwrap();
        Tls { ca, issuer, asks: false, name: "localhost", is_expired: false, is_self_signed: false }
    }

    /// Its certificate is self-signed, and says that it is a CA.
    pub fn self_signed(self) -> Tls {
        Tls { is_self_signed: true, ..self }
    }

    /// Lets in only who has a certificate of this CA.
    pub fn that_asks(self) -> Tls {
        Tls { asks: true, ..self }
    }

    /// Its certificate is somebody else's.
    pub fn named(self, name: &'static str) -> Tls {
        Tls { name, ..self }
    }

    /// Its certificate was good until 2020.
    pub fn expired(self) -> Tls {
        Tls { is_expired: true, ..self }
    }

    /// A certificate and its key, for a client; their files.
    pub fn client(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue("herald");
        let files = (folder.join("client.pem"), folder.join("client.key"));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut certificate = CertificateParams::new([name.to_owned()]).unwrap();
        if self.is_expired {
            certificate.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        (certificate.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn config(&self) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if self.asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = match self.is_self_signed {
            true => (self.issuer.der().clone(), self.issuer.key().serialize_der()),
            false => {
                let (certificate, key) = self.issue(self.name);
                (certificate.der().clone(), key.serialize_der())
            }
        };
        let key = PrivatePkcs8KeyDer::from(key).into();
        builder.with_single_cert(vec![certificate], key).unwrap()
    }

    pub async fn serve(&self, app: &App) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        let router = router_of(app);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = TowerToHyperService::new(router);
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }
}
