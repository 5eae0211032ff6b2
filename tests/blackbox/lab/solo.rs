//! A caller alone with the gateway's applications: SIPp's signalling, the test's own audio.

use super::{Recording, Side, Talk, exchange};
use crate::gateway::Gateway;
use crate::media::Peer;
use crate::scenario::{Role, Scenario, Sipp};
use std::net::SocketAddrV4;

/// A call that the gateway has answered.
pub struct Solo {
    sipp: Sipp,
    /// The caller's socket.
    pub peer: Peer,
    /// Where its audio goes.
    pub to: SocketAddrV4,
}

impl Solo {
    /// Calls a number and waits for the answer; the gateway hangs up.
    pub fn call(gateway: &Gateway, number: &'static str, side: Side) -> Solo {
        Solo::call_and(gateway, number, side, |scenario| scenario)
    }

    /// The same, with more steps of the caller's signalling before the end.
    pub fn call_and(
        gateway: &Gateway,
        number: &'static str,
        side: Side,
        then: impl FnOnce(Scenario) -> Scenario,
    ) -> Solo {
        let role = Role {
            number,
            ..Role::caller(gateway)
        };
        let peer = Peer::bind(role.rtp);
        let begin = Scenario::new()
            .invite(Some(side.sdp()))
            .perhaps(100)
            .perhaps(180)
            .perhaps(183)
            .expect_audio(200)
            .request("ACK", None);
        let scenario = then(begin)
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None);
        let sipp = role.start(gateway, &scenario);
        let to = SocketAddrV4::new(gateway.network.gateway(), sipp.port());
        Solo { sipp, peer, to }
    }

    /// Talks, and hears until nothing more comes.
    pub fn talk(&self, talk: &Talk) -> Recording {
        let [heard] = exchange([(&self.peer, self.to, talk)]);
        heard
    }

    /// The gateway has hung up, or does now; the SIP messages that came.
    pub fn end(self) -> Vec<String> {
        self.sipp.finish()
    }
}
