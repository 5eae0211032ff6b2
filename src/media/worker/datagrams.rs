//! What passes between two peers that send no RTP: faxes by T.38 over UDPTL (ITU-T T.38 §9.1).

use super::{Component, DropReason, LegSlot, Nanos, Verdict, Worker};
use crate::media::leg::Role;
use crate::rtp::packet::Header;
use std::net::SocketAddr;

/// A UDPTL packet begins with its sequence number (T.38 §9.1.2.1); the least has a primary and no recovery.
const SEQUENCE_LEN: usize = 2;

impl Worker {
    /// A datagram of a peer that sends no RTP. Who may send is judged as with RTP, by its sequence numbers; it passes as it
    /// is.
    #[cold]
    pub(super) fn datagram(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        let leg = self.legs.get_mut(slot).ok_or(DropReason::Unlatched)?;
        let Some(number) = packet.first_chunk::<SEQUENCE_LEN>() else {
            return Err(leg.reject(source, &mut self.events));
        };
        let stream = Header {
            marker: false,
            payload_type: 0,
            sequence: u16::from_be_bytes(*number),
            timestamp: 0,
            ssrc: 0,
        };
        leg.admit(now, source, &stream, &mut self.events)?;
        let len = packet.len();
        leg.count_in(&mut self.counters, len);
        let to = match leg.role {
            _ if !leg.receive => return Err(leg.unheard()),
            Role::Bridged { to, .. } => to,
            _ => return Err(DropReason::Unheard),
        };
        let far = self.legs.get_mut(to).ok_or(DropReason::Unheard)?;
        if !far.carries_datagrams {
            return Err(DropReason::Unheard);
        }
        let destination = far.rtp_destination().ok_or(DropReason::Unheard)?;
        far.count_out(&mut self.counters, len);
        Ok(Verdict::Send {
            leg: to,
            component: Component::Rtp,
            destination,
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::link::{Carries, Command, LegId, Remote};
    use crate::media::seam::{Component, DropReason};
    use crate::media::testing::*;

    const AT_A: &str = "192.0.2.1:4000";
    const AT_B: &str = "198.51.100.1:6000";

    fn set(bed: &mut Bed, leg: LegId, at: &str, carries: Carries) {
        bed.command(Command::SetRemote {
            leg,
            remote: Remote {
                carries,
                ..remote(at)
            },
        });
    }

    fn set_both(bed: &mut Bed, carries: Carries) {
        for (leg, at) in [(A, AT_A), (B, AT_B)] {
            set(bed, leg, at, carries);
        }
    }

    const TALK: Packet = Packet {
        ssrc: 1,
        sequence: 1,
        timestamp: 160,
        payload_type: 0,
    };

    /// A UDPTL packet.
    fn udptl(sequence: u16) -> Vec<u8> {
        let mut bytes = sequence.to_be_bytes().to_vec();
        bytes.extend([1, 0, 0, 0]);
        bytes
    }

    fn datagram(bed: &mut Bed, from: &str, bytes: &[u8]) -> Result<Sent, DropReason> {
        bed.bytes(A, Component::Rtp, from, bytes.to_vec())
    }

    #[test]
    fn a_fax_passes_as_it_is_and_audio_after_it() {
        let mut bed = Bed::bridged();
        set(&mut bed, A, AT_A, Carries::Datagrams);
        // The far side has not gone over yet.
        assert_eq!(
            datagram(&mut bed, AT_A, &udptl(0)),
            Err(DropReason::Unheard)
        );
        set(&mut bed, B, AT_B, Carries::Datagrams);
        // Numbers that look like RTP of version 2, and like RTCP, are none.
        for sequence in [1, 2, 0x8000, 0x80c8, 0xffff] {
            let sent = datagram(&mut bed, AT_A, &udptl(sequence)).expect("passes");
            assert_eq!(sent.to, addr(AT_B));
            assert_eq!(sent.bytes, udptl(sequence));
        }
        assert_eq!(
            datagram(&mut bed, "203.0.113.66:9", &udptl(3)),
            Err(DropReason::WrongSource)
        );
        assert_eq!(datagram(&mut bed, AT_A, &[0]), Err(DropReason::Malformed));
        set_both(&mut bed, Carries::Rtp);
        assert!(bed.packet(A, AT_A, TALK).is_ok());
    }

    #[test]
    fn audio_after_a_long_fax_is_reported_on() {
        let mut bed = Bed::reporting();
        for (leg, at) in [(A, AT_A), (B, AT_B)] {
            bed.open(leg, remote(at));
        }
        bed.bridge(A, B);
        set_both(&mut bed, Carries::Datagrams);
        for sequence in 0..100 {
            datagram(&mut bed, AT_A, &udptl(sequence)).expect("passes");
        }
        set_both(&mut bed, Carries::Rtp);
        assert!(bed.packet(A, AT_A, TALK).is_ok());
        bed.command(Command::Close { leg: B });
        assert!(bed.worker.poll_transmit().is_some(), "the last report");
    }

    #[test]
    fn a_fax_on_hold_goes_nowhere() {
        let mut bed = Bed::bridged();
        set(&mut bed, B, AT_B, Carries::Datagrams);
        bed.command(Command::SetRemote {
            leg: A,
            remote: Remote {
                carries: Carries::Datagrams,
                receive: false,
                ..remote(AT_A)
            },
        });
        assert_eq!(
            datagram(&mut bed, AT_A, &udptl(0)),
            Err(DropReason::Unheard)
        );
    }
}
