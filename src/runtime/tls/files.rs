//! Certificates, keys and authorities in PEM files, and what is wrong with them.

use crate::config::Diagnostic;
use crate::config::settings::{FileRef, Tls};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use webpki::{EndEntityCert, KeyUsage};

/// Most bytes of one file; the authorities of a whole system are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the files are.
pub(super) struct Files<'a> {
    /// Where paths that are not absolute start.
    pub(super) directory: &'a Path,
}

impl Files<'_> {
    /// Our own certificate and key, which must belong together.
    pub(super) fn own(
        &self,
        tls: &Tls,
        provider: &CryptoProvider,
        found: &mut Vec<Diagnostic>,
    ) -> Result<CertifiedKey, Diagnostic> {
        let chain = self.certificates(&tls.cert_file)?;
        let key = self.key(&tls.priv_key_file)?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| {
            let message = format!(
                "a kind of key that is not usable ({error}); expected RSA, ECDSA or Ed25519"
            );
            wrong(&tls.priv_key_file, message)
        })?;
        let own = CertifiedKey::new(chain, key);
        match own.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let message = format!(
                    "the key is not the one of the certificate in {}; expected the key that it was made with",
                    tls.cert_file.path
                );
                return Err(wrong(&tls.priv_key_file, message));
            }
            Err(error) => {
                let message = format!("its first certificate is not usable: {error}");
                return Err(wrong(&tls.cert_file, message));
            }
        }
        if let Some(message) = own.cert.first().and_then(out_of_time) {
            let FileRef { location, key, .. } = &tls.cert_file;
            found.push(Diagnostic::warning(*location, key, message));
        }
        Ok(own)
    }

    /// Those whom a file tells to trust.
    pub(super) fn authorities(&self, file: &FileRef) -> Result<RootCertStore, Diagnostic> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(file)? {
            roots.add(certificate).map_err(|error| {
                wrong(file, format!("holds a certificate that is none: {error}"))
            })?;
        }
        Ok(roots)
    }

    fn certificates(&self, file: &FileRef) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
        let text = self.read(file)?;
        let certificates: Result<Vec<_>, pem::Error> =
            CertificateDer::pem_slice_iter(&text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(wrong(
                file,
                "holds no certificate; expected PEM, which begins with -----BEGIN CERTIFICATE-----",
            )),
            Ok(certificates) => Ok(certificates),
            Err(_) => Err(wrong(file, "is not PEM, or is cut off")),
        }
    }

    fn key(&self, file: &FileRef) -> Result<PrivateKeyDer<'static>, Diagnostic> {
        const ENCRYPTED: &[u8] = b"ENCRYPTED";
        let text = self.read(file)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            _ if text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) => wrong(
                file,
                "the key needs a passphrase, which nobody could type at a restart; expected a key without (openssl \
                 pkey -in FILE -out NEW), readable by the gateway's user alone",
            ),
            pem::Error::NoItemsFound => wrong(
                file,
                "holds no private key; expected PEM, which begins with -----BEGIN PRIVATE KEY-----",
            ),
            _ => wrong(file, "is not PEM, or is cut off"),
        })
    }

    fn read(&self, file: &FileRef) -> Result<Vec<u8>, Diagnostic> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let opened = File::open(self.directory.join(&file.path))?;
            opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if bytes.len() as u64 > FILE_BYTES_MAX => Err(wrong(
                file,
                format!("is larger than {FILE_BYTES_MAX} bytes"),
            )),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(wrong(file, format!("cannot be read: {error}"))),
        }
    }
}

fn wrong(file: &FileRef, message: impl std::fmt::Display) -> Diagnostic {
    let text = format!("{}: {message}", file.path);
    Diagnostic::error(file.location, &file.key, text)
}

/// What to say of a certificate whose time is over, or has not come.
fn out_of_time(certificate: &CertificateDer<'_>) -> Option<&'static str> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    // Its own time is looked at before anybody is asked to vouch for it, and nobody is.
    let verdict = certificate.verify_for_usage(
        &[],
        &[],
        &[],
        UnixTime::now(),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match verdict.err()? {
        webpki::Error::CertExpired { .. } => {
            Some("the certificate has expired; peers that verify it will not talk to us")
        }
        webpki::Error::CertNotValidYet { .. } => {
            Some("the certificate is not valid yet; peers that verify it will not talk to us")
        }
        _ => None,
    }
}
