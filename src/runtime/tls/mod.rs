//! TLS for SIP (RFC 3261 §26.3, RFC 5922): certificates and keys read and checked, for both roles.
//!
//! | step | where |
//! |---|---|
//! | files are read and checked, at start, by `check` and at each reload | [`Contexts::read`], on a thread that may block |
//! | handshakes (some 1 ms of CPU each) and encryption | the thread of [`Crypto`], never the control thread |
//! | what was decrypted, and what is to be encrypted | the queues that TCP connections have too |
//!
//! TLS 1.3 and 1.2 by `rustls` with `ring`; revocation is not checked. A reload changes what new connections get; those
//! that stand go on.

mod files;
mod names;

use crate::config::settings::{Settings, Tls};
use crate::config::{Diagnostic, Severity};
use crate::sip::Protocol;
use files::Files;
use names::{Trust, Verifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// What the connections of one TLS transport need.
#[derive(Clone)]
pub struct Context {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tls::Context")
    }
}

/// The contexts of all TLS transports, by the transports' names.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    by_name: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the files that the TLS transports name, relative ones from `directory`. Gives what is worth a look too.
    ///
    /// # Errors
    /// What is wrong with which file: not there, not PEM, no certificate, a key that needs a passphrase or is of
    /// another certificate. With the warnings.
    pub fn read(
        settings: &Settings,
        directory: &Path,
    ) -> Result<(Contexts, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut contexts = Contexts::default();
        let files = Files { directory };
        for transport in &settings.transports {
            let Some(tls) = &transport.tls else { continue };
            match context(tls, &files, &mut found) {
                Ok(context) => {
                    contexts.by_name.insert(transport.name.clone(), context);
                }
                Err(error) => found.push(error),
            }
        }
        match found.iter().any(|one| one.severity == Severity::Error) {
            true => Err(found),
            false => Ok((contexts, found)),
        }
    }

    /// The context of a transport.
    pub fn of(&self, transport: &str) -> Option<&Context> {
        self.by_name.get(transport)
    }
}

impl Context {
    /// The handshake with a peer that has connected to us.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// The handshake with a peer that we have connected to, which must be this domain or, without one, have a
    /// certificate for its address. The domain goes into the server name indication too.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(
        &self,
        stream: TcpStream,
        domain: Option<&str>,
        address: IpAddr,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = match domain {
            Some(domain) => ServerName::try_from(domain.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            None => ServerName::IpAddress(address.to_canonical().into()),
        };
        self.connector.connect(name, stream).await
    }
}

fn context(
    tls: &Tls,
    files: &Files<'_>,
    found: &mut Vec<Diagnostic>,
) -> Result<Context, Diagnostic> {
    let provider = Arc::new(ring::default_provider());
    let own = Arc::new(files.own(tls, &provider, found)?);
    let roots = Arc::new(match &tls.ca_list_file {
        Some(file) => files.authorities(file)?,
        None => system_authorities(tls, found),
    });
    let impossible = |what: &str, error: &dyn std::fmt::Display| {
        let file = tls.ca_list_file.as_ref().unwrap_or(&tls.cert_file);
        Diagnostic::error(file.location, &file.key, format!("{what}: {error}"))
    };
    let server = server_config(tls, &provider, &own, &roots)
        .map_err(|error| impossible("clients cannot be verified by it", &error))?;
    let client = client_config(tls, &provider, own, roots)
        .map_err(|error| impossible("servers cannot be verified by it", &error))?;
    Ok(Context {
        acceptor: TlsAcceptor::from(Arc::new(server)),
        connector: TlsConnector::from(Arc::new(client)),
    })
}

type AnyError = Box<dyn std::error::Error>;

fn server_config(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
    own: &Arc<CertifiedKey>,
    roots: &Arc<RootCertStore>,
) -> Result<ServerConfig, AnyError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?;
    let builder = match tls.verify_client {
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
                .build()?,
        ),
        false => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
        Arc::clone(own),
    )));
    // After an outage a thousand telephones come back at once: with a ticket each handshake is cheap.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn client_config(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
    own: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
) -> Result<ClientConfig, AnyError> {
    let trust = if !tls.verify_server {
        Trust::Everybody
    } else if roots.is_empty() {
        Trust::Nobody
    } else {
        let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        Trust::Domain {
            chain: chain.build()?,
            allow_wildcards: tls.allow_wildcard_certs,
        }
    };
    let verifier = Verifier {
        trust,
        provider: Arc::clone(provider),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    // Shown to a server that asks for it: trunks with certificates on both sides.
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(own));
    Ok(builder.with_client_cert_resolver(resolver))
}

/// Whom the system trusts. A machine without certificates of authorities is no error: it may only serve telephones.
fn system_authorities(tls: &Tls, found: &mut Vec<Diagnostic>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() && (tls.verify_server || tls.verify_client) {
        let message = "no ca_list_file, and this system trusts no authority, so nobody can be verified; expected \
                       ca_list_file, or the system's certificates (Debian: ca-certificates)";
        let key = tls.cert_file.key.replace("cert_file", "ca_list_file");
        found.push(Diagnostic::warning(tls.cert_file.location, key, message));
    }
    roots
}

/// The thread that does the work of all TLS connections. It runs where the control thread may, off the workers' cores,
/// and a flood of handshakes takes turns with the control thread, which the kernel shares the core out to, rather than
/// holding it up.
#[derive(Debug)]
pub struct Crypto {
    runtime: tokio::runtime::Runtime,
}

impl Crypto {
    /// Starts it, if a transport speaks TLS.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(settings: &Settings) -> io::Result<Option<Crypto>> {
        let transports = &settings.transports;
        if transports.iter().all(|one| one.protocol != Protocol::Tls) {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tls")
            .enable_all()
            .build()?;
        Ok(Some(Crypto { runtime }))
    }

    /// Where its tasks are started.
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Ends it without waiting for its tasks.
    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
