use super::testing::Authority;
use super::*;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OWN: &str = "cert_file = \"own.pem\"\npriv_key_file = \"own.key\"";

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let authority = Authority::new();
    authority.sign("own", &["sip.example.com"]);
    authority.sign("other", &["sip.example.com"]);
    authority.write("text.pem", "no PEM at all\n");
    authority.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    authority.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let cases = [
        (
            "cert_file = \"none.pem\"",
            "4:13: error: transport.tls.cert_file: none.pem: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "cert_file = \"text.pem\"",
            "4:13: error: transport.tls.cert_file: text.pem: holds no certificate; expected PEM, which begins with -----BEGIN CERTIFICATE-----",
        ),
        (
            "cert_file = \"cut.pem\"",
            "4:13: error: transport.tls.cert_file: cut.pem: is not PEM, or is cut off",
        ),
        (
            "cert_file = \"own.pem\"",
            "4:13: error: transport.tls.cert_file: own.pem: holds no private key; expected PEM, which begins with -----BEGIN PRIVATE KEY-----",
        ),
        (
            "cert_file = \"own.pem\"\npriv_key_file = \"other.key\"",
            "5:17: error: transport.tls.priv_key_file: other.key: the key is not the one of the certificate in own.pem; expected the key that it was made with",
        ),
        (
            "cert_file = \"own.pem\"\npriv_key_file = \"locked.key\"",
            "5:17: error: transport.tls.priv_key_file: locked.key: the key needs a passphrase",
        ),
        (
            "cert_file = \"own.pem\"\npriv_key_file = \"own.key\"\nca_list_file = \"own.key\"",
            "6:16: error: transport.tls.ca_list_file: own.key: holds no certificate",
        ),
    ];
    for (keys, expected) in cases {
        let found = authority.read(keys).expect_err(keys);
        let line = found[0].display("f").to_string();
        let line = line.strip_prefix("f:").expect("the file's name first");
        assert!(line.starts_with(expected), "{keys}: {line}");
    }
}

#[test]
fn an_expired_certificate_is_told_and_still_served() {
    let authority = Authority::new();
    authority.sign_expired("own", &["sip.example.com"]);
    let keys = format!("{OWN}\nca_list_file = \"ca.pem\"");
    let (contexts, warnings) = authority.read(&keys).expect("a warning alone");
    assert!(contexts.of("tls").is_some());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("has expired"));
    authority.sign("own", &["sip.example.com"]);
    let (_, warnings) = authority.read(&keys).expect("good files");
    assert_eq!(warnings, []);
}

/// The outcome of a handshake between a server and a client with these contexts; the client asks for this domain.
async fn handshake(
    server: Context,
    client: Context,
    domain: Option<&str>,
) -> (Result<(), String>, Result<(), String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = server.accept(stream).await.map_err(|e| e.to_string())?;
        // In TLS 1.3 the client's certificate comes after its word that it is done.
        let mut byte = [0; 1];
        stream
            .read_exact(&mut byte)
            .await
            .map_err(|e| e.to_string())?;
        stream.write_all(&byte).await.map_err(|e| e.to_string())
    };
    let asking = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let stream = client.connect(stream, domain, address.ip()).await;
        let mut stream = stream.map_err(|e| e.to_string())?;
        stream.write_all(b"x").await.map_err(|e| e.to_string())?;
        let mut byte = [0; 1];
        stream
            .read_exact(&mut byte)
            .await
            .map(drop)
            .map_err(|e| e.to_string())
    };
    tokio::join!(serving, asking)
}

#[tokio::test]
async fn a_server_must_be_of_the_domain_that_was_asked_for() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let cases: [(&[&str], Option<&str>, &str, bool); 9] = [
        (&["sip.example.com"], Some("sip.example.com"), "", true),
        (&["sip.example.com"], Some("example.com"), "", false),
        (&["*.example.com"], Some("sip.example.com"), "", false),
        (
            &["*.example.com"],
            Some("sip.example.com"),
            "allow_wildcard_certs = true",
            true,
        ),
        (&["sip:example.com"], Some("example.com"), "", true),
        (
            &["sip:example.com", "host.example.com"],
            Some("host.example.com"),
            "",
            false,
        ),
        (&["127.0.0.1"], None, "", true),
        (&["127.0.0.2"], None, "", false),
        (
            &["other.example.com"],
            Some("sip.example.com"),
            "verify_server = false",
            true,
        ),
    ];
    authority.sign("client", &["client.example.com"]);
    for (names, domain, more, is_good) in cases {
        authority.sign("own", names);
        let server = authority.context(OWN);
        let client =
            "cert_file = \"client.pem\"\npriv_key_file = \"client.key\"\nca_list_file = \"ca.pem\"";
        let client = authority.context(&format!("{client}\n{more}"));
        let (_, asked) = handshake(server, client, domain).await;
        assert_eq!(asked.is_ok(), is_good, "{names:?} {domain:?} {asked:?}");
    }
    // The right name, vouched for by nobody whom we trust.
    stranger.sign("own", &["sip.example.com"]);
    authority.sign("own", &["sip.example.com"]);
    let client = authority.context(&format!("{OWN}\nca_list_file = \"ca.pem\""));
    let (_, asked) = handshake(stranger.context(OWN), client, Some("sip.example.com")).await;
    let error = asked.expect_err("a stranger");
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_client_must_show_a_certificate_where_that_is_asked() {
    let authority = Authority::new();
    let stranger = Authority::new();
    authority.sign("own", &["127.0.0.1"]);
    stranger.sign("own", &["127.0.0.1"]);
    stranger.write(
        "ca.pem",
        &std::fs::read_to_string(authority.folder.path().join("ca.pem")).expect("written"),
    );
    let strict = format!("{OWN}\nca_list_file = \"ca.pem\"\nverify_client = true");
    let friend = authority.context(&format!("{OWN}\nca_list_file = \"ca.pem\""));
    let (served, asked) = handshake(authority.context(&strict), friend, None).await;
    assert_eq!((served, asked), (Ok(()), Ok(())));
    let foe = stranger.context(&format!("{OWN}\nca_list_file = \"ca.pem\""));
    let (served, asked) = handshake(authority.context(&strict), foe, None).await;
    assert!(served.is_err() && asked.is_err(), "{served:?} {asked:?}");
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_no_peer() {
    let authority = Authority::new();
    authority.sign("own", &["127.0.0.1"]);
    let server = authority.context(OWN);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut peer = TcpStream::connect(address).await.expect("it listens");
    peer.write_all(b"OPTIONS sip:a SIP/2.0\r\n\r\n")
        .await
        .expect("open");
    let (stream, _) = listener.accept().await.expect("a connection");
    assert!(server.accept(stream).await.is_err());
}
