//! Whether a server's certificate is of the domain that was asked for (RFC 5922).

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;
use webpki::EndEntityCert;

/// Whose certificates are taken from servers.
#[derive(Debug)]
pub(super) enum Trust {
    /// Those of the domain asked for, vouched for by an authority.
    Domain {
        /// Checks the chain as `rustls` does.
        chain: Arc<WebPkiServerVerifier>,
        /// `*.example.com` stands for `sip.example.com`.
        allow_wildcards: bool,
    },
    /// Everybody's (`verify_server = false`).
    Everybody,
    /// Nobody's: there is no authority that could vouch for one.
    Nobody,
}

/// Verifies servers. Whosever certificate is taken, the handshake's signature must be made with its key.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: Trust,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Everybody => Ok(ServerCertVerified::assertion()),
            Trust::Nobody => Err(CertificateError::UnknownIssuer.into()),
            Trust::Domain {
                chain,
                allow_wildcards,
            } => {
                let checked =
                    chain.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
                of_domain(checked, certificate, name, *allow_wildcards)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// RFC 5922 §7.1 and §7.2 after `rustls` has checked the chain, and the name by the rules of the web.
fn of_domain(
    checked: Result<ServerCertVerified, Error>,
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    allow_wildcards: bool,
) -> Result<ServerCertVerified, Error> {
    // `rustls` looks at the name last. One that only SIP URIs tell is wrong to it.
    let chain_is_good = match &checked {
        Ok(_) => true,
        Err(Error::InvalidCertificate(error)) => matches!(
            error,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ),
        Err(_) => false,
    };
    match name {
        ServerName::DnsName(domain) if chain_is_good => {
            match Names::of(certificate)?.say(domain.as_ref(), allow_wildcards) {
                true => Ok(ServerCertVerified::assertion()),
                // What `rustls` says, it says with the names that the certificate has.
                false => checked.and(Err(CertificateError::NotValidForName.into())),
            }
        }
        _ => checked,
    }
}

/// The identities that a certificate claims, in its subjectAltName.
struct Names<'a> {
    /// Domains of `sip:` URIs without a user part.
    sip_domains: Vec<&'a str>,
    /// DNS names.
    dns: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(certificate: &'a CertificateDer<'_>) -> Result<Names<'a>, Error> {
        let certificate = EndEntityCert::try_from(certificate)
            .map_err(|_| Error::from(CertificateError::BadEncoding))?;
        Ok(Names {
            sip_domains: certificate
                .valid_uri_names()
                .filter_map(sip_domain)
                .collect(),
            dns: certificate.valid_dns_names().collect(),
        })
    }

    /// RFC 5922 §7.1: SIP identities if there are any, else DNS names.
    fn say(&self, domain: &str, allow_wildcards: bool) -> bool {
        let domain = domain.trim_end_matches('.');
        let names = match self.sip_domains.is_empty() {
            false => &self.sip_domains,
            true => &self.dns,
        };
        names.iter().any(|name| {
            name.eq_ignore_ascii_case(domain) || allow_wildcards && wildcard_says(name, domain)
        })
    }
}

/// The domain of a SIP URI of a certificate: `sip:example.com`. One with a user part is no domain's (RFC 5922 §7.1).
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_domain = scheme.eq_ignore_ascii_case("sip") && !rest.contains('@') && !rest.is_empty();
    is_domain.then_some(rest)
}

/// `*.example.com` says `sip.example.com`, and neither `example.com` nor `a.b.example.com`.
fn wildcard_says(name: &str, domain: &str) -> bool {
    match (name.strip_prefix("*."), domain.split_once('.')) {
        (Some(name), Some((_, parent))) => name.eq_ignore_ascii_case(parent),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(sip_domains: &[&'a str], dns: &[&'a str]) -> Names<'a> {
        Names {
            sip_domains: sip_domains.to_vec(),
            dns: dns.to_vec(),
        }
    }

    #[test]
    fn the_names_of_rfc_5922() {
        let dns = names(&[], &["sip.example.com", "*.example.net"]);
        assert!(dns.say("SIP.example.com", false));
        assert!(!dns.say("example.com", false));
        assert!(!dns.say("sip.example.net", false));
        assert!(dns.say("sip.example.net", true));
        assert!(!dns.say("a.b.example.net", true) && !dns.say("example.net", true));
        // Where there is a SIP identity, DNS names do not count.
        let sip = names(&["example.com"], &["host.example.com"]);
        assert!(sip.say("example.com", false));
        assert!(!sip.say("host.example.com", false));
    }

    #[test]
    fn the_domain_of_a_uri() {
        assert_eq!(sip_domain("sip:example.com"), Some("example.com"));
        assert_eq!(sip_domain("SIP:example.com"), Some("example.com"));
        for other in ["sip:alice@example.com", "https://example.com", "sip:", ""] {
            assert_eq!(sip_domain(other), None, "{other}");
        }
    }
}
