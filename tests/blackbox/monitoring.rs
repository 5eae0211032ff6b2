//! Prometheus watches a gateway under load, with the scrape configuration, the alerts and the dashboard of `grafana/`.

use crate::gateway::{Gateway, Options, PATIENCE, POLL};
use crate::media::{self, Peer};
use crate::scenario::{AUDIO, Role, Scenario};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A running Prometheus of the test's own.
struct Prometheus {
    process: Child,
    address: SocketAddrV4,
}

impl Prometheus {
    fn start(gateway: &Gateway) -> Prometheus {
        let grafana = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
        let folder = gateway.folder.path();
        let ours = std::fs::read_to_string(grafana.join("prometheus.yml"))
            .expect("the scrape configuration");
        // The same file, faster, and pointed at this gateway.
        let fast = ours
            .replace("127.0.0.1:8088", &gateway.admin().to_string())
            .replace("_interval: 10s", "_interval: 500ms");
        assert_ne!(fast, ours);
        std::fs::write(folder.join("prometheus.yml"), fast).expect("a configuration is written");
        std::fs::copy(grafana.join("alerts.yml"), folder.join("alerts.yml")).expect("the alerts");
        let address = SocketAddrV4::new(gateway.network.host(9), 9090);
        let log = std::fs::File::create(folder.join("prometheus.log")).expect("a log file");
        let process = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus runs (Debian: prometheus; `make test` installs it)");
        Prometheus { process, address }
    }

    /// An answer of its HTTP interface, if it is up.
    fn get(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// How many series answer the query.
    fn series(&self, query: &str) -> usize {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self
            .get(&format!("/api/v1/query?query={encoded}"))
            .unwrap_or_default();
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Every query of the dashboard, with what Grafana would put in.
fn dashboard_queries() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/dashboards/ringway.json");
    let text = std::fs::read_to_string(file).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries = targets.map(|target| target["expr"].as_str().expect("a query").to_owned());
    queries
        .map(|query| {
            query
                .replace("$__rate_interval", "10s")
                .replace("$instance", ".*")
        })
        .collect()
}

#[test]
fn every_panel_of_the_dashboard_shows_something_under_load() {
    let gateway = Gateway::start(&Options::default());
    let prometheus = Prometheus::start(&gateway);
    let called_ear = Peer::bind(Role::called(&gateway).rtp);
    let _caller_ear = Peer::bind(Role::caller(&gateway).rtp);
    let rings = Scenario::new()
        .expect_offer()
        .respond("180 Ringing", None)
        .respond("200 OK", Some(AUDIO));
    let answers = rings
        .expect_request("ACK")
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let called = Role::called(&gateway)
        .calls(100_000)
        .start(&gateway, &answers);
    let calls = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None);
    let calls = calls.pause_ms(200).request("BYE", None).expect(200);
    let caller = Role::caller(&gateway)
        .calls(100_000)
        .with(&["-r", "20"])
        .start(&gateway, &calls);
    let stranger =
        std::net::UdpSocket::bind((gateway.network.host(66), 5060)).expect("a free address");
    let mut open: Vec<String> = dashboard_queries();
    assert!(open.len() >= 20);
    let start = Instant::now();
    let mut number: u16 = 0;
    while !open.is_empty() {
        assert!(
            start.elapsed() < PATIENCE * 2,
            "no answer to {open:#?}\n{}",
            gateway.log().lines().take(30).collect::<String>()
        );
        // Something to count for the panels of refused requests and of dropped packets.
        let garbage = b"OPTIONS sip:x SIP/2.0\r\n\r\n";
        stranger
            .send_to(garbage, (gateway.network.gateway(), 5060))
            .expect("loopback takes it");
        for port in called.ports().iter().rev().take(3) {
            number = number.wrapping_add(1);
            called_ear.send(
                SocketAddrV4::new(gateway.network.gateway(), *port),
                &media::packet(9, number),
            );
        }
        open.retain(|query| prometheus.series(query) == 0);
    }
    assert_eq!(prometheus.series("up{job=\"ringway\"} == 1"), 1);
    let rules = prometheus.get("/api/v1/rules").expect("the rules");
    let rules = rules["data"]["groups"][0]["rules"]
        .as_array()
        .expect("the rules");
    assert!(
        rules.len() >= 5 && rules.iter().all(|rule| rule["health"] != "err"),
        "{rules:#?}"
    );
    drop(caller);
    drop(called);
}

#[test]
fn a_gateway_that_goes_raises_the_alarm() {
    let gateway = Gateway::start(&Options::default());
    let prometheus = Prometheus::start(&gateway);
    gateway.eventually("it is scraped", |_| {
        prometheus.series("up{job=\"ringway\"} == 1") == 1
    });
    let _folder = gateway.stop_and_keep_folder();
    let start = Instant::now();
    while prometheus.series("ALERTS{alertname=\"RingwayDown\"}") == 0 {
        assert!(start.elapsed() < PATIENCE, "no alarm");
        std::thread::park_timeout(POLL);
    }
}
