//! Whether a certificate and a private key can be used, and belong together.

use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

/// Which of the two files is wrong, and what it must be.
#[derive(Debug, PartialEq)]
pub(super) enum Wrong {
    Certificate(&'static str),
    Key(&'static str),
}

pub(super) fn check_pair(cert: &[u8], key: &[u8]) -> Result<(), Wrong> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let certs = certs.ok().filter(|certs| !certs.is_empty()).ok_or(Wrong::Certificate(
        "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
    ))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        Wrong::Key(
            "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----); one with a password \
             is made plain by openssl pkey",
        )
    })?;
    match CertifiedKey::from_der(certs, key, &default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Wrong::Key("is not the key of client_cert")),
        Err(rustls::Error::InvalidCertificate(_)) => {
            Err(Wrong::Certificate("its first certificate cannot be read"))
        }
        Err(_) => {
            Err(Wrong::Key("is of a kind that cannot be used; make one of ECDSA P-256 or RSA"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rcgen::generate_simple_self_signed;

    /// A certificate and its key.
    pub(in crate::config) fn pair() -> (Vec<u8>, Vec<u8>) {
        let made = generate_simple_self_signed(["herald".to_owned()]).unwrap();
        (made.cert.pem().into(), made.signing_key.serialize_pem().into())
    }

    #[test]
    fn a_certificate_and_its_key_may_be_one_file_and_of_two_pairs_none_fits() {
        let (cert, key) = pair();
        let (_, other) = pair();
        let both = [&key[..], &cert].concat();
        assert_eq!(check_pair(&cert, &key), Ok(()));
        assert_eq!(check_pair(&both, &both), Ok(()));
        let wrong = Wrong::Key("is not the key of client_cert");
        assert_eq!(check_pair(&cert, &other), Err(wrong));
    }

    #[test]
    fn what_is_no_certificate_or_no_key_is_told() {
        let (cert, key) = pair();
        let broken = String::from_utf8(cert.clone()).unwrap().replacen("\nM", "\nA", 1);
        let encrypted =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        let strange = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for bad in [&b""[..], b"Dear diary", &key, broken.as_bytes()] {
            let told = check_pair(bad, &key);
            assert!(matches!(told, Err(Wrong::Certificate(_))), "{told:?}");
        }
        for bad in [&b""[..], b"Dear diary", &cert, encrypted, strange] {
            let told = check_pair(&cert, bad);
            assert!(matches!(told, Err(Wrong::Key(_))), "{told:?}");
        }
    }
}
