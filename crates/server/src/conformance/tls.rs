//! Whom a tried App may be, where its URL begins with `https`.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The certificates that are trusted.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Those of a PEM file; none: those of the system.
    pub fn trusting(ca: Option<&Path>) -> io::Result<Tls> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = ClientConfig::builder();
        let Some(ca) = ca else {
            let builder = builder.with_platform_verifier().map_err(io::Error::other)?;
            return Ok(Tls(Arc::new(builder.with_no_client_auth())));
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(io::Error::other)? {
            let certificate = certificate.map_err(io::Error::other)?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        Ok(Tls(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    pub(super) async fn secure(
        &self,
        host: &str,
        line: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, line).await
    }
}
