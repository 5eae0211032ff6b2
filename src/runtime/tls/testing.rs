//! An authority of the tests' own, and configurations that use what it has signed.

use super::Contexts;
use crate::config::{Diagnostic, NoLookup, parse};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use tempfile::TempDir;

/// A directory with an authority's certificate, `ca.pem`.
pub(in crate::runtime) struct Authority {
    pub folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let authority = Authority {
            folder: tempfile::tempdir().expect("a temporary directory"),
            issuer: Issuer::new(params, key),
        };
        authority.write("ca.pem", &pem);
        authority
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("written");
    }

    /// Writes `FILE.pem` and `FILE.key`: a certificate for these names (`sip:` URIs, addresses or DNS names).
    pub fn sign(&self, file: &str, names: &[&str]) {
        self.sign_with(file, names, |_| {});
    }

    /// As [`Authority::sign`], for one that has expired.
    pub fn sign_expired(&self, file: &str, names: &[&str]) {
        self.sign_with(file, names, |params| {
            params.not_after = date_time_ymd(2001, 1, 1)
        });
    }

    fn sign_with(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        self.write(&format!("{file}.pem"), &signed.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    /// What a transport `tls` with these keys needs.
    pub fn read(&self, keys: &str) -> Result<(Contexts, Vec<Diagnostic>), Vec<Diagnostic>> {
        let text = format!(
            "[transport.tls]\nprotocol = \"tls\"\nbind = \"127.0.0.1\"\n{keys}\n[admin]\nlisten = \"127.0.0.1:8088\"\n"
        );
        let loaded = parse("test", &text, &NoLookup).expect("a configuration");
        Contexts::read(&loaded.settings, self.folder.path())
    }

    /// The same, when it is right.
    pub fn context(&self, keys: &str) -> super::Context {
        let (contexts, _) = self.read(keys).expect("good files");
        contexts.of("tls").expect("the transport").clone()
    }
}

fn san(name: &str) -> SanType {
    let text = || Ia5String::try_from(name).expect("ASCII");
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains(':') => SanType::URI(text()),
        Err(_) => SanType::DnsName(text()),
    }
}
