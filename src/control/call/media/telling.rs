//! What a leg's worker is told of it: where its peer is and what it speaks, the keys, whom it talks to.

use super::LegMedia;
use super::agreed::{Agreed, payload_map};
use crate::codec::Payload;
use crate::control::context::Context;
use crate::link::{Carries, Command, PayloadMap, Remote};
use crate::sdp::{Direction, Format};
use std::net::IpAddr;
use std::time::Duration;

/// What a leg's Remote needs besides its session description.
#[derive(Clone, Copy, Debug)]
pub struct RemoteTerms {
    /// Where the leg's SIP comes from.
    pub signalling: IpAddr,
    /// `rtp_symmetric` of its endpoint.
    pub symmetric: bool,
    /// Silence that ends the call; zero for never.
    pub timeout: Duration,
}

impl LegMedia {
    /// Tells the worker where the peer is and what it speaks, as far as that has changed.
    pub fn tell(&mut self, ctx: &mut Context, terms: RemoteTerms) {
        self.tell_crypto(ctx);
        self.tell_remote(ctx, terms);
        let formats = self.agreed.as_ref().map(Agreed::wire_formats);
        if let Some(formats) = formats
            && self.told_formats.replace(formats) != Some(formats)
        {
            let (leg, formats) = (self.leg, Box::new(formats));
            ctx.command(self.worker, Command::SetFormats { leg, formats });
        }
    }

    /// Before the worker learns where to send, so that nothing goes there in the clear.
    fn tell_crypto(&mut self, ctx: &mut Context) {
        let crypto = self.crypto();
        if self.told_crypto != crypto {
            self.told_crypto = crypto;
            let leg = self.leg;
            ctx.command(self.worker, Command::SetCrypto { leg, crypto });
        }
    }

    fn tell_remote(&mut self, ctx: &mut Context, terms: RemoteTerms) {
        let Some((at, rtcp, carries)) = self.agreed.as_ref().and_then(Agreed::places) else {
            return;
        };
        let peer = self.peer_direction();
        let timeout_s = u16::try_from(terms.timeout.as_secs()).unwrap_or(u16::MAX);
        // On hold the held side may send music or nothing, so no silence is held against either. Nor if it sends past us, or
        // waits for the pages of a fax.
        let is_heard = peer == Direction::SendRecv && !self.is_direct() && carries == Carries::Rtp;
        let remote = Remote {
            rtp: at,
            rtcp,
            carries,
            signalling: terms.signalling,
            symmetric: terms.symmetric,
            send: peer.receives() && !at.ip().is_unspecified(),
            receive: peer.sends(),
            timeout_s: if is_heard { timeout_s } else { 0 },
        };
        if self.told.replace(remote) != Some(remote) {
            let leg = self.leg;
            ctx.command(self.worker, Command::SetRemote { leg, remote });
        }
    }

    /// The command that joins two legs. None before both have agreed with their peers.
    pub fn bridge(a: &LegMedia, b: &LegMedia) -> Option<Command> {
        let (of_a, of_b) = (a.agreed.as_ref()?, b.agreed.as_ref()?);
        Some(Command::Bridge {
            a: a.leg,
            b: b.leg,
            a_to_b: b.passing(of_a, of_b),
            b_to_a: a.passing(of_b, of_a),
        })
    }

    /// The payload types that pass to this leg's peer as they are. What we code does not where the packet times differ and
    /// the peer is to get its own.
    fn passing(&self, from: &Agreed, to: &Agreed) -> PayloadMap {
        let differs = self.wants_ptime && from.ptime_ms() != to.ptime_ms();
        let is_coded = |format: &Format| matches!(format.payload, Payload::Codec(codec) if codec.is_transcoded());
        let passes = |format: &&Format| !(differs && is_coded(format));
        let ours: Vec<Format> = from.ours().iter().filter(passes).cloned().collect();
        payload_map(&ours, &to.theirs)
    }

    /// Gives the port pair back.
    pub fn close(&self, ctx: &mut Context) {
        ctx.command(self.worker, Command::Close { leg: self.leg });
    }
}
