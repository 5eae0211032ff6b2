//! A call through the gateway whose signalling is SIPp's and whose audio is the test's own.

use super::{Codec, Recording, Talk, exchange};
use crate::gateway::{Gateway, Options};
use crate::media::Peer;
use crate::scenario::{AUDIO, Role, Scenario, Sdp, Sipp};
use std::net::SocketAddrV4;

/// A call that is up, with its peers' audio in our hands.
pub struct Call {
    pub gateway: Gateway,
    sipps: [Sipp; 2],
    /// The peers' sockets, the caller's first, on port 6000 of their hosts.
    pub peers: [Peer; 2],
    /// Where each peer's audio goes.
    pub to: [SocketAddrV4; 2],
}

/// What an m= line says of a peer.
#[derive(Clone, Copy)]
pub struct Side {
    formats: &'static str,
    ptime_ms: usize,
}

impl Side {
    /// One codec.
    pub fn of(codec: Codec, ptime_ms: usize) -> Side {
        Side {
            formats: codec.format(),
            ptime_ms,
        }
    }

    /// µ-law and A-law.
    pub fn of_both_g711(ptime_ms: usize) -> Side {
        Side {
            formats: "0 8",
            ptime_ms,
        }
    }

    fn sdp(self) -> Sdp {
        Sdp {
            formats: self.formats,
            attributes: match self.ptime_ms {
                10 => "a=ptime:10\n",
                20 => "a=ptime:20\n",
                30 => "a=ptime:30\n",
                60 => "a=ptime:60\n",
                other => panic!("no test has packets of {other} ms"),
            },
            ..AUDIO
        }
    }
}

impl Call {
    /// Caller and called each offer or answer what is their own, and nothing of the other's.
    pub fn between(sides: [Side; 2]) -> Call {
        let names = sides.map(|side| match side.formats {
            "0" => "\"ulaw\"",
            "8" => "\"alaw\"",
            "9" => "\"g722\"",
            "0 8" => "\"ulaw\", \"alaw\"",
            other => panic!("no test has payload types {other}"),
        });
        let gateway = Gateway::start(&Options {
            codecs: names,
            ..Options::default()
        });
        let roles = [Role::caller(&gateway), Role::called(&gateway)];
        let peers = roles.map(|role| Peer::bind(role.rtp));
        let answers = Scenario::new()
            .expect_offer()
            .respond("180 Ringing", None)
            .respond("200 OK", Some(sides[1].sdp()))
            .expect_request("ACK")
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None);
        let calls = Scenario::new()
            .invite(Some(sides[0].sdp()))
            .perhaps(100)
            .perhaps(180)
            .perhaps(183)
            .expect_audio(200)
            .request("ACK", None)
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None);
        let called = roles[1].start(&gateway, &answers);
        let caller = roles[0].start(&gateway, &calls);
        let host = gateway.network.gateway();
        let to = [caller.port(), called.port()].map(|port| SocketAddrV4::new(host, port));
        gateway.eventually("the call is up", |gateway| {
            gateway.rows("calls")[0]["state"] == "up"
        });
        Call {
            gateway,
            sipps: [caller, called],
            peers,
            to,
        }
    }

    /// Both talk; what the caller and the called have heard.
    pub fn talk(&self, talks: [&Talk; 2]) -> [Recording; 2] {
        let [a, b] = &self.peers;
        exchange([(a, self.to[0], talks[0]), (b, self.to[1], talks[1])])
    }

    /// Ends it, and checks that nothing is left.
    pub fn end(self) {
        self.gateway.hang_up();
        for sipp in self.sipps {
            sipp.finish();
        }
        self.gateway
            .eventually("every call and port comes home", Gateway::is_empty);
        self.gateway.stop();
    }
}
