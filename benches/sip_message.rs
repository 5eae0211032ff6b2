//! SIP messages without sockets: the index of a trunk's INVITE, what a call reads from it, and the writing of an
//! INVITE and a 200. `rsip` reads the same bytes in the same run, to compare.
//!
//! `cargo bench --bench sip_message`

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::sip::message::{Message, Method, Request, RequestDraft, ResponseDraft};
use std::hint::black_box;

/// As an enterprise trunk sends it: 18 header lines and an SDP offer of three codecs.
const INVITE: &str = "INVITE sip:+4930123456@203.0.113.8:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 217.0.23.100:5060;branch=z9hG4bKg3Zqkv7i4m6cdu3u5ttc9qk1j;rport\r\n\
Via: SIP/2.0/TCP 10.20.30.40:5060;received=10.20.30.40;branch=z9hG4bK-524287-1---a1b2c3d4e5f6\r\n\
Record-Route: <sip:217.0.23.100;lr;transport=udp>\r\n\
Max-Forwards: 66\r\n\
From: \"Example GmbH\" <sip:+4940987654@tel.example.net;user=phone>;tag=h7g4Esbg_p65554t1700000000m12345c67\r\n\
To: <sip:+4930123456@tel.example.net;user=phone>\r\n\
Call-ID: p65554t1700000000m123456c7890s1@217.0.23.100\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:sgc_c@217.0.23.100;transport=udp>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\r\n\
Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, UPDATE, INFO, NOTIFY, PRACK, REFER\r\n\
Supported: timer, 100rel, histinfo, 199\r\n\
Session-Expires: 1800\r\n\
Min-SE: 900\r\n\
P-Asserted-Identity: <sip:+4940987654@tel.example.net;user=phone>\r\n\
P-Early-Media: supported\r\n\
Accept: application/sdp, application/dtmf-relay\r\n\
User-Agent: SBC 9.2.0\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 265\r\n\
\r\n\
v=0\r\n\
o=- 3814159265 3814159265 IN IP4 217.0.23.101\r\n\
s=-\r\n\
c=IN IP4 217.0.23.101\r\n\
t=0 0\r\n\
m=audio 27640 RTP/AVP 9 8 0 101\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\n\
a=ptime:20\r\n\
a=maxptime:20\r\n";

fn request() -> Request {
    match Message::parse(Bytes::from_static(INVITE.as_bytes())) {
        Ok(Message::Request(request)) => request,
        other => panic!("the INVITE does not parse: {other:?}"),
    }
}

fn read(criterion: &mut Criterion) {
    let invite = request();
    let mut group = criterion.benchmark_group("sip_read");
    group.throughput(Throughput::Bytes(INVITE.len() as u64));
    let bytes = Bytes::from_static(INVITE.as_bytes());
    group.bench_function("invite_index", |bencher| {
        bencher.iter(|| Message::parse(black_box(bytes.clone())).is_ok());
    });
    group.bench_function("invite_index_and_what_a_call_reads", |bencher| {
        bencher.iter(|| {
            let Ok(Message::Request(invite)) = Message::parse(black_box(bytes.clone())) else {
                return 0;
            };
            let headers = invite.headers();
            let via = headers.top_via().branch().map_or(0, str::len);
            let (from, to) = (headers.from(), headers.to());
            let contact = headers
                .contact()
                .map_or(0, |contact| contact.uri.params.len());
            let tags =
                headers.from_tag().map_or(0, str::len) + headers.to_tag().map_or(0, str::len);
            via + from.uri.params.len()
                + to.uri.params.len()
                + contact
                + tags
                + headers.call_id().len()
        });
    });
    group.bench_function("header_by_name", |bencher| {
        bencher.iter(|| {
            invite
                .headers()
                .get(black_box("P-Asserted-Identity"))
                .map(str::len)
        });
    });
    group.bench_function("rsip_invite", |bencher| {
        bencher.iter(|| rsip::Request::try_from(black_box(INVITE.as_bytes())).is_ok());
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let invite = request();
    let body = invite.body();
    let mut group = criterion.benchmark_group("sip_write");
    group.bench_function("invite", |bencher| {
        bencher.iter(|| {
            RequestDraft::new(
                Method::Invite,
                black_box("sip:+4930123456@198.51.100.7:5060"),
            )
            .header(
                "From",
                "\"Example GmbH\" <sip:+4940987654@203.0.113.8>;tag=a1b2c3d4e5f6a7b8",
            )
            .header("To", "<sip:+4930123456@198.51.100.7>")
            .header("Call-ID", "5f6a7b8a1b2c3d4e")
            .header("CSeq", "1 INVITE")
            .header("Contact", "<sip:203.0.113.8:5060>")
            .header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")
            .header("Supported", "timer")
            .header("User-Agent", "ringway")
            .body("application/sdp", body.clone())
            .write("SIP/2.0/UDP 203.0.113.8:5060;rport;branch=z9hG4bKa1b2c3d4e5f6a7b8")
        });
    });
    group.bench_function("ok_to_invite", |bencher| {
        bencher.iter(|| {
            ResponseDraft::new(200)
                .to_tag("a1b2c3d4e5f6a7b8")
                .header("Contact", "<sip:203.0.113.8:5060>")
                .header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")
                .header("Server", "ringway")
                .body("application/sdp", body.clone())
                .write(black_box(&invite))
        });
    });
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
