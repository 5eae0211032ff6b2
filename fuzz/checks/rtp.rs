//! RTP and RTCP packets and commands, any bytes in any order, into a worker. Nothing may panic, nothing may be sent that
//! is longer than what came, and nothing to a host that no command told and that was not latched.

use ringway::link::{
    Carries, Command, Event, LegId, PayloadMap, PortRange, Remote, RtpPort, WorkerId,
};
use ringway::media::{Component, LegSlot, Nanos, Verdict, Worker};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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

/// Who may hear a leg by a command's leave, or by a stream that proved itself.
fn note_latched(worker: &mut Worker, latched: &mut Vec<IpAddr>) {
    while let Some(event) = worker.poll_event() {
        if let Event::Latched { source, .. } = event {
            latched.push(source.ip());
        }
    }
}

/// Checks one input.
pub fn rtp(data: &[u8]) {
    let range = PortRange::new(FIRST_PORT, FIRST_PORT + 7, 1).expect("a range");
    let mut worker = Worker::new(WorkerId(0), range, 1);
    let mut now = Nanos(0);
    let mut latched = Vec::new();
    let mut rest = data;
    // Four bytes a step: what, and three of its own; a packet's own bytes follow it.
    while let Some((&[what, a, b, c], after)) = rest.split_first_chunk::<4>() {
        rest = after;
        now.0 += u64::from(c) * 10_000_000;
        if what & 0x80 == 0 {
            worker.handle_command(now, command(what, a, b));
        } else {
            let (bytes, after) = rest.split_at(usize::from(what & 0x7f).min(rest.len()));
            rest = after;
            let mut packet = bytes.to_vec();
            let packet_len = packet.len();
            packet.resize(packet_len + 64, 0);
            let component = if a & 0x80 == 0 {
                Component::Rtp
            } else {
                Component::Rtcp
            };
            let from = address(b, 16);
            let slot = LegSlot(u16::from(a & 0x7f) % 5);
            let verdict = worker.handle_packet(now, slot, component, from, &mut packet, packet_len);
            // This very packet may be the one that shows that its stream has moved, and be echoed to where it is now.
            note_latched(&mut worker, &mut latched);
            if let Verdict::Send {
                destination, len, ..
            } = verdict
            {
                assert!(len <= packet.len());
                assert!(
                    (0..8)
                        .map(host)
                        .chain(latched.iter().copied())
                        .any(|ip| ip == destination.ip())
                );
            }
        }
        worker.handle_tick(now);
        while worker.poll_socket().is_some() {}
        note_latched(&mut worker, &mut latched);
    }
    assert!(worker.open_legs() <= 4);
}
