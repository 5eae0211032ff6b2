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
    events: bool,
}

impl Side {
    /// One codec.
    pub fn of(codec: Codec, ptime_ms: usize) -> Side {
        Side {
            formats: codec.format(),
            ptime_ms,
            events: false,
        }
    }

    /// One codec in packets of 20 ms, and telephone events.
    pub fn with_events(codec: Codec) -> Side {
        Side {
            events: true,
            ..Side::of(codec, 20)
        }
    }

    /// µ-law and A-law.
    pub fn of_both_g711(ptime_ms: usize) -> Side {
        Side {
            formats: "0 8",
            ptime_ms,
            events: false,
        }
    }

    /// Its codecs, as a configuration has them.
    fn names(self) -> &'static str {
        match self.formats {
            "0" => "\"ulaw\"",
            "8" => "\"alaw\"",
            "9" => "\"g722\"",
            "0 8" => "\"ulaw\", \"alaw\"",
            other => panic!("no test has payload types {other}"),
        }
    }

    pub(super) fn sdp(self) -> Sdp {
        let formats = match (self.events, self.formats) {
            (true, "0") => "0 101",
            (true, "8") => "8 101",
            (true, "9") => "9 101",
            (true, other) => panic!("no test has events beside {other}"),
            (false, formats) => formats,
        };
        Sdp {
            formats,
            attributes: match self.ptime_ms {
                20 if self.events => {
                    "a=ptime:20\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
                }
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
        Call::set_up(sides, &Options::default(), |caller, called| {
            (caller, called)
        })
    }

    /// The same with other options, and with more steps of both peers' signalling before the end.
    pub fn set_up(
        sides: [Side; 2],
        options: &Options,
        then: impl FnOnce(Scenario, Scenario) -> (Scenario, Scenario),
    ) -> Call {
        let gateway = Gateway::start(&Options {
            codecs: sides.map(Side::names),
            ..options.clone()
        });
        let roles = [Role::caller(&gateway), Role::called(&gateway)];
        let peers = roles.map(|role| Peer::bind(role.rtp));
        let answers = Scenario::new()
            .expect_offer()
            .respond("180 Ringing", None)
            .respond("200 OK", Some(sides[1].sdp()))
            .expect_request("ACK");
        let calls = Scenario::new()
            .invite(Some(sides[0].sdp()))
            .perhaps(100)
            .perhaps(180)
            .perhaps(183)
            .expect_audio(200)
            .request("ACK", None);
        let (calls, answers) = then(calls, answers);
        let [calls, answers] = [calls, answers].map(|scenario| {
            scenario
                .expect_request("BYE")
                .respond_in_dialog("200 OK", None)
        });
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

    /// Ends it, and checks that nothing is left; the SIP messages that each peer received.
    pub fn end(self) -> [Vec<String>; 2] {
        let (messages, _) = self.end_and_keep_folder();
        messages
    }

    /// The same; the gateway's files stay as long as its folder.
    pub fn end_and_keep_folder(self) -> ([Vec<String>; 2], tempfile::TempDir) {
        self.gateway.hang_up();
        let messages = self.sipps.map(Sipp::finish);
        self.gateway
            .eventually("every call and port comes home", Gateway::is_empty);
        (messages, self.gateway.stop_and_keep_folder())
    }

    /// The gateway is killed in the middle of it; its folder.
    pub fn kill(self) -> tempfile::TempDir {
        self.gateway.kill_and_keep_folder()
    }

    /// The gateway ends with its calls at SIGTERM's second time; its folder.
    pub fn terminate(self) -> tempfile::TempDir {
        self.gateway.terminate();
        let folder = self.gateway.stop_and_keep_folder();
        for sipp in self.sipps {
            sipp.finish();
        }
        folder
    }
}
