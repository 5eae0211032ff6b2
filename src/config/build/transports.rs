//! `[transport.*]`.

use super::super::accept::Typed;
use super::super::catalogue;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::Table;
use super::super::settings::{FileRef, Tls, Transport};
use super::named;
use crate::sip::flow::Protocol;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The keys that only a TLS transport has.
const TLS_KEYS: [&str; 6] = [
    "cert_file",
    "priv_key_file",
    "ca_list_file",
    "verify_client",
    "verify_server",
    "allow_wildcard_certs",
];

/// In the order of the file.
pub(super) fn build(document: &Table, checker: &mut Checker<'_>) -> Vec<Transport> {
    let sections = named(
        document,
        "transport",
        catalogue::TRANSPORT,
        Tell::EachKey,
        checker,
    );
    if sections.is_empty() {
        let message = "no transport, so nothing to listen on; expected at least one: [transport.udp] with bind = \"0.0.0.0:5060\"";
        let top = super::Location { line: 1, column: 1 };
        checker.report.error(top, "transport", message);
    }
    let mut transports: Vec<Transport> = Vec::with_capacity(sections.len());
    for (name, fields) in sections {
        let transport = transport(name, &fields, checker);
        if let Some(other) = transports.iter().find(|other| clash(other, &transport)) {
            let message = format!(
                "{} {} is taken by [transport.{}]; expected another address or port",
                transport.protocol.name(),
                transport.bind,
                other.name
            );
            checker
                .report
                .error(fields.location_of("bind"), fields.path_of("bind"), message);
        }
        transports.push(transport);
    }
    transports
}

fn transport(name: String, fields: &Fields, checker: &mut Checker<'_>) -> Transport {
    let protocol = match fields.text("protocol").map(String::as_str) {
        Some("tcp") => Protocol::Tcp,
        Some("tls") => Protocol::Tls,
        _ => Protocol::Udp,
    };
    let bind = match fields.get("bind") {
        Some(Typed::Bind(address, port)) => {
            SocketAddr::new(*address, port.unwrap_or(protocol.default_port()))
        }
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    };
    let address = |key: &str| match fields.get(key) {
        Some(Typed::Address(address)) => Some(*address),
        _ => None,
    };
    let local_net = match fields.get("local_net") {
        Some(Typed::Networks(networks)) => networks.iter().map(|(network, _)| *network).collect(),
        _ => Vec::new(),
    };
    Transport {
        protocol,
        bind,
        local_net,
        external_signaling_address: address("external_signaling_address"),
        external_media_address: address("external_media_address"),
        tls: tls(protocol, fields, checker),
        name,
    }
}

/// What a TLS transport needs. None for another, where a key of TLS would do nothing.
fn tls(protocol: Protocol, fields: &Fields, checker: &mut Checker<'_>) -> Option<Tls> {
    if protocol != Protocol::Tls {
        for key in TLS_KEYS.into_iter().filter(|key| fields.has(key)) {
            let message = "no effect but with protocol = \"tls\"";
            let (location, path) = (fields.location_of(key), fields.path_of(key));
            checker.report.warning(location, path, message);
        }
        return None;
    }
    let file = |key: &str| {
        fields.text(key).map(|path| FileRef {
            path: path.clone(),
            key: fields.path_of(key),
            location: fields.location_of(key),
        })
    };
    let Some(cert_file) = file("cert_file") else {
        if !fields.has("cert_file") {
            let message = "not set; a TLS transport needs its certificate: cert_file = \"FILE.pem\", the server's \
                           own first, then the intermediate ones";
            let path = fields.path_of("cert_file");
            checker.report.error(fields.location, path, message);
        }
        return None;
    };
    Some(Tls {
        priv_key_file: file("priv_key_file").unwrap_or_else(|| cert_file.clone()),
        cert_file,
        ca_list_file: file("ca_list_file"),
        verify_client: fields.boolean("verify_client", false),
        verify_server: fields.boolean("verify_server", true),
        allow_wildcard_certs: fields.boolean("allow_wildcard_certs", false),
    })
}

/// True if the kernel would refuse the second: the same port of UDP, or of TCP (which TLS uses too), on the same
/// address or with one of them on every address. Port 0 is any free one.
fn clash(one: &Transport, other: &Transport) -> bool {
    let (a, b) = (one.bind, other.bind);
    one.protocol.is_reliable() == other.protocol.is_reliable()
        && a.port() == b.port()
        && a.port() != 0
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
