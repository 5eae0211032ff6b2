//! RTP and RTCP packets, commands and ticks of audio, any bytes in any order, into a worker. Nothing may panic, nothing
//! may be sent that is longer than its buffer, and nothing to a host that no command told and that was not latched. No
//! more legs have audio than are open.

use ringway::codec::{Codec, Payload};
use ringway::link::recording::{RECORDINGS_MAX, recording};
use ringway::link::{
    Carries, Channels, Clip, ClipHandle, Command, Digit, Event, FormatList, LegCrypto, LegFormats,
    LegId, Listening, PayloadMap, PlayId, PlayMode, PortRange, Rate, RecordId, RecordingSource,
    Remote, RoomId, RtpPort, WireFormat, WorkerId,
};
use ringway::media::{Component, LegSlot, Nanos, TRANSMIT_LEN_MAX, Verdict, Worker};
use ringway::rtp::srtp::{MasterKey, Suite};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const FIRST_PORT: u16 = 20_000;

fn host(byte: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, byte).into()
}

/// Hosts 0 to 7 are told by commands; packets come from 0 to 15.
fn address(byte: u8, hosts: u8) -> SocketAddr {
    SocketAddr::new(host(byte % hosts), 4_000 + u16::from(byte >> 6))
}

fn leg(byte: u8) -> LegId {
    LegId {
        port: RtpPort::new(FIRST_PORT + u16::from(byte % 4) * 2).expect("even"),
        generation: 1 + u32::from(byte >> 7),
    }
}

fn command(kind: u8, a: u8, b: u8) -> Command {
    let map = |byte| PayloadMap::new(&[(0, 0), (byte & 0x7f, 101)]).expect("two pairs");
    let leg_a = leg(a);
    match kind % 8 {
        0 | 1 => Command::Open {
            leg: leg_a,
            bind: host(255),
        },
        2 | 3 => {
            let rtp = address(b, 8);
            Command::SetRemote {
                leg: leg_a,
                remote: Remote {
                    rtp,
                    rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1),
                    signalling: host(b >> 3 & 7),
                    symmetric: a & 0x10 != 0,
                    send: a & 0x20 == 0,
                    receive: a & 0x40 == 0,
                    timeout_s: u16::from(a & 0x0c),
                    carries: match b & 0xc0 {
                        0xc0 => Carries::Datagrams,
                        _ => Carries::Rtp,
                    },
                },
            }
        }
        4 | 5 => Command::Bridge {
            a: leg_a,
            b: leg(b),
            a_to_b: map(a),
            b_to_a: map(b),
        },
        6 if b & 1 == 0 => Command::Echo { leg: leg_a },
        6 => Command::Detach { leg: leg_a },
        _ if b == 0xff => Command::Stop,
        _ => Command::Close { leg: leg_a },
    }
}

/// The bits of a byte choose codecs, events and noise; two of them the packet time.
fn formats(byte: u8) -> LegFormats {
    let wire = |payload_type, payload| WireFormat {
        payload_type,
        payload,
    };
    let event = |clock_rate| Payload::TelephoneEvent { clock_rate };
    let all = [
        wire(0, Payload::Codec(Codec::Ulaw)),
        wire(8, Payload::Codec(Codec::Alaw)),
        wire(9, Payload::Codec(Codec::G722)),
        wire(18, Payload::Codec(Codec::G729)),
        wire(13, Payload::ComfortNoise),
        wire(101, event([8_000, 48_000][usize::from(byte >> 7)])),
    ];
    let chosen = |from: u8| {
        let places = (from..from + 6).map(|place| usize::from(place % 6));
        FormatList::new(
            places
                .filter(|place| byte >> place & 1 != 0)
                .map(|place| all[place]),
        )
    };
    LegFormats {
        receive: chosen(0),
        send: chosen(byte % 6),
        ptime_ms: [0, 10, 60, 200][usize::from(byte >> 6)],
    }
}

fn crypto(byte: u8) -> Option<LegCrypto> {
    let suite = *Suite::ALL.get(usize::from(byte % 8))?;
    let key =
        |byte| MasterKey::new(suite, &vec![byte; suite.material_len()]).expect("of its length");
    Some(LegCrypto {
        receive: key(byte >> 3),
        send: key(byte >> 3 | 0x80),
    })
}

fn clip(byte: u8) -> ClipHandle {
    let rate = [Rate::Narrow, Rate::Wide][usize::from(byte & 1)];
    let samples = vec![i16::from(byte) << 7; usize::from(byte) * 5];
    ClipHandle(Arc::new(Clip {
        rate,
        samples: samples.into(),
    }))
}

/// Commands about audio that is decoded or made. A recording's other end is kept in `sources`.
fn audio_command(kind: u8, a: u8, b: u8, sources: &mut Vec<RecordingSource>) -> Command {
    let leg_a = leg(a);
    match kind % 16 {
        0 | 1 => Command::SetFormats {
            leg: leg_a,
            formats: Box::new(formats(b)),
        },
        2 => Command::SetCrypto {
            leg: leg_a,
            crypto: crypto(b),
        },
        3 | 4 => Command::Play {
            leg: leg_a,
            play: PlayId(b.into()),
            clip: clip(b),
            mode: [PlayMode::Once, PlayMode::Loop, PlayMode::Shared][usize::from(b % 3)],
        },
        5 => Command::StopPlay { leg: leg_a },
        6 | 7 => Command::SendDigit {
            leg: leg_a,
            digit: Digit::from_event(b % 16).expect("a digit"),
            duration_ms: u16::from(b) << 4,
        },
        8 => Command::Listen {
            leg: leg_a,
            listening: [Listening::Off, Listening::Events, Listening::Tones][usize::from(b % 3)],
        },
        9 => {
            let rate = [Rate::Narrow, Rate::Wide][usize::from(b & 1)];
            let layouts = [Channels::Heard, Channels::Mixed, Channels::Stereo];
            let (sink, source) = recording(rate, layouts[usize::from(b % 3)]);
            sources.push(source);
            Command::Record {
                leg: leg_a,
                record: RecordId(u32::from(b >> 5)),
                sink,
                silence_ms: b.into(),
            }
        }
        10 => Command::StopRecord {
            leg: leg_a,
            record: RecordId(u32::from(b >> 5)),
        },
        11 | 12 => Command::Join {
            leg: leg_a,
            room: RoomId(u32::from(b & 1)),
            talks: b & 2 == 0,
            hears: b & 4 == 0,
        },
        // Nothing passes as it is but what both sides number alike.
        _ => {
            let map = PayloadMap::new(&[(18, 18), (101, 101)]).expect("two pairs");
            Command::Bridge {
                a: leg_a,
                b: leg(b),
                a_to_b: map,
                b_to_a: map,
            }
        }
    }
}

/// Who may hear a leg by a command's leave, or by a stream that proved itself.
fn note_latched(worker: &mut Worker, latched: &mut Vec<IpAddr>) {
    while let Some(event) = worker.poll_event() {
        if let Event::Latched { source, .. } = event {
            latched.push(source.ip());
        }
    }
}

fn is_known(destination: SocketAddr, latched: &[IpAddr]) -> bool {
    let told = (0..8).map(host);
    told.chain(latched.iter().copied())
        .any(|ip| ip == destination.ip())
}

/// A packet into the worker: `a` says where it comes in, `b` from whom.
fn packet(
    worker: &mut Worker,
    now: Nanos,
    (a, b): (u8, u8),
    bytes: &[u8],
    latched: &mut Vec<IpAddr>,
) {
    let mut room = bytes.to_vec();
    room.resize(bytes.len() + 64, 0);
    let component = if a & 0x80 == 0 {
        Component::Rtp
    } else {
        Component::Rtcp
    };
    let slot = LegSlot(u16::from(a & 0x7f) % 5);
    let from = address(b, 16);
    let verdict = worker.handle_packet(now, slot, component, from, &mut room, bytes.len());
    // This very packet may be the one that shows that its stream has moved, and be echoed to where it is now.
    note_latched(worker, latched);
    if let Verdict::Send {
        destination, len, ..
    } = verdict
    {
        assert!(len <= room.len());
        assert!(is_known(destination, latched));
    }
}

/// Checks one input.
pub fn rtp(data: &[u8]) {
    let range = PortRange::new(FIRST_PORT, FIRST_PORT + 7, 1).expect("a range");
    let mut worker = Worker::new(WorkerId(0), range, 1);
    let mut now = Nanos(0);
    let mut latched = Vec::new();
    let mut sources = Vec::new();
    let mut rest = data;
    // Four bytes a step: what, and three of its own; a packet's own bytes follow it.
    while let Some((&[what, a, b, c], after)) = rest.split_first_chunk::<4>() {
        rest = after;
        now.0 += u64::from(c) * 10_000_000;
        match what {
            0..0x40 => worker.handle_command(now, command(what, a, b)),
            0x40..0x80 => worker.handle_command(now, audio_command(what, a, b, &mut sources)),
            0x80.. => {
                let (bytes, after) = rest.split_at(usize::from(what & 0x7f).min(rest.len()));
                rest = after;
                packet(&mut worker, now, (a, b), bytes, &mut latched);
            }
        }
        worker.handle_tick(now);
        worker.handle_audio(now);
        while worker.poll_socket().is_some() {}
        note_latched(&mut worker, &mut latched);
        while let Some(transmit) = worker.poll_transmit() {
            assert!(transmit.packet.len() <= TRANSMIT_LEN_MAX);
            assert!(is_known(transmit.destination, &latched));
        }
        sources.retain(|source| !source.is_over());
        assert!(sources.len() <= worker.open_legs() * RECORDINGS_MAX);
        assert!(worker.audio_legs() <= worker.open_legs());
    }
    assert!(worker.open_legs() <= 4);
}
