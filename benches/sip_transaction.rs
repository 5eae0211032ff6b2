//! What a call costs in the SIP endpoint: the whole exchange, both sides, and the timers beneath it.
//!
//! `cargo bench --bench sip_transaction`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::sip::endpoint::{Endpoint, EndpointSettings, Event};
use ringway::sip::message::{Method, RequestDraft, ResponseDraft};
use ringway::sip::timer::TimerWheel;
use ringway::sip::{Flow, Protocol, TransportId};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                   m=audio 20000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                   a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// A caller and a callee with nothing but memory between them, on virtual time.
struct Pair {
    now: Instant,
    caller: Endpoint,
    callee: Endpoint,
    calls: u64,
}

impl Pair {
    fn new() -> Self {
        let settings = EndpointSettings {
            transactions_max: 1 << 20,
            ..EndpointSettings::default()
        };
        Pair {
            now: Instant::now(),
            caller: Endpoint::new(settings.clone(), 1),
            callee: Endpoint::new(settings, 2),
            calls: 0,
        }
    }

    fn flow(peer: u8) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: Protocol::Udp,
            peer: ([192, 0, 2, peer], 5060).into(),
            domain: None,
        }
    }

    fn deliver_to_callee(&mut self) {
        while let Some(transmit) = self.caller.poll_transmit() {
            self.callee
                .handle_datagram(self.now, Self::flow(1), transmit.bytes);
        }
    }

    fn deliver_to_caller(&mut self) {
        while let Some(transmit) = self.callee.poll_transmit() {
            self.caller
                .handle_datagram(self.now, Self::flow(2), transmit.bytes);
        }
    }

    fn draft(&self, method: Method, cseq: u32, to_tag: &str) -> RequestDraft {
        let calls = self.calls;
        let cseq = format!("{cseq} {method}");
        RequestDraft::new(method, "sip:+4930123456@192.0.2.2:5060")
            .header(
                "From",
                format_args!("\"Caller\" <sip:+49301@192.0.2.1>;tag=a{calls}"),
            )
            .header("To", format_args!("<sip:+4930123456@192.0.2.2>{to_tag}"))
            .header("Call-ID", format_args!("{calls}@example"))
            .header("CSeq", cseq)
            .header("Contact", "<sip:+49301@192.0.2.1:5060>")
    }

    /// Lets the callee answer what came.
    fn answer(&mut self, statuses: &[u16]) {
        while let Some(event) = self.callee.poll_event() {
            if let Event::Request { tx, .. } = event {
                for status in statuses {
                    let response = ResponseDraft::new(*status)
                        .header("Contact", "<sip:+4930123456@192.0.2.2:5060>");
                    let response = match status {
                        200 => response.body("application/sdp", SDP),
                        _ => response,
                    };
                    self.callee.respond(self.now, tx, response);
                }
            }
        }
    }

    /// INVITE 100 180 200 ACK BYE 200, then the time until the next call.
    fn call(&mut self, interval: Duration) {
        self.calls += 1;
        let invite = self
            .draft(Method::Invite, 1, "")
            .body("application/sdp", SDP);
        let tx = self
            .caller
            .request(self.now, Self::flow(2), "192.0.2.1:5060", invite)
            .expect("the table is large enough");
        self.deliver_to_callee();
        self.answer(&[100, 180, 200]);
        self.deliver_to_caller();
        let mut to_tag = String::new();
        while let Some(event) = self.caller.poll_event() {
            if let Event::Response { response, .. } = event {
                to_tag = format!(";tag={}", response.headers().to_tag().unwrap_or_default());
            }
        }
        let ack = self.draft(Method::Ack, 1, &to_tag);
        self.caller
            .ack(self.now, tx, Self::flow(2), "192.0.2.1:5060", ack);
        self.deliver_to_callee();
        let bye = self.draft(Method::Bye, 2, &to_tag);
        self.caller
            .request(self.now, Self::flow(2), "192.0.2.1:5060", bye)
            .expect("the table is large enough");
        self.deliver_to_callee();
        self.answer(&[200]);
        self.deliver_to_caller();
        while self.caller.poll_event().is_some() {}
        self.now += interval;
        self.caller.handle_timeout(self.now);
        self.callee.handle_timeout(self.now);
    }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sip call, both sides");
    group.throughput(Throughput::Elements(1));
    for rate in [200, 1_000] {
        let interval = Duration::from_secs(1) / rate;
        let mut pair = Pair::new();
        // Until as many transactions die as are made.
        for _ in 0..rate * 34 {
            pair.call(interval);
        }
        let alive = pair.caller.transactions() + pair.callee.transactions();
        group.bench_function(
            format!("{rate} calls a second, {alive} transactions"),
            |bench| bench.iter(|| pair.call(interval)),
        );
        assert_eq!(pair.caller.counters().retransmissions, 0);
        assert_eq!(pair.callee.counters().unmatched, 0);
    }
    group.finish();
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    for alive in [60, 60_000, 1_000_000u32] {
        let now = Instant::now();
        let mut wheel = TimerWheel::new();
        for n in 0..alive {
            wheel.arm(
                now,
                now + Duration::from_micros(u64::from(n) * 32_000_000 / u64::from(alive)),
                n,
            );
        }
        let mut n = 0u32;
        group.bench_function(format!("arm and cancel at {alive} alive"), |bench| {
            bench.iter(|| {
                n = n.wrapping_add(7_919);
                let id = wheel.arm(now, now + Duration::from_millis(u64::from(n % 32_000)), n);
                black_box(wheel.cancel(id));
            });
        });
        let mut now = now;
        let step = Duration::from_secs(32) / alive;
        group.bench_function(format!("arm and fire at {alive} alive"), |bench| {
            bench.iter(|| {
                now += step;
                wheel.arm(now, now + Duration::from_secs(32), 0);
                while let Some(key) = wheel.expire(now) {
                    black_box(key);
                }
                black_box(wheel.next());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, calls, timers);
criterion_main!(benches);
