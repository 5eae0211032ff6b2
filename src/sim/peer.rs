//! A SIP trunk that follows a plan: calls, rings, answers, refuses, holds, moves, hangs up, dies.

mod acts;
mod requests;
mod responses;

use super::history::{CallPlan, CallerPlan, WithinPlan};
use super::network::Packet;
use super::speech::{self, Talk};
use crate::codec::Codec;
use crate::sdp::Direction;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::RequestDraft;
use crate::sip::{Endpoint, EndpointSettings, Event, Flow, Method, Protocol, Request, TransportId};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// First RTP port of a peer; each call has ports of its own.
const FIRST_RTP_PORT: u16 = 30_000;
/// RTP ports of a call: it may move through them.
const PORTS_PER_CALL: u16 = 16;

/// Where a peer is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Tells peers apart, from 0.
    pub index: u32,
    /// Its SIP address.
    pub sip: SocketAddr,
    /// The address of its media.
    pub rtp: IpAddr,
    /// The gateway's SIP address.
    pub gateway: SocketAddr,
}

/// See the module's comment.
pub struct Peer {
    place: Place,
    endpoint: Endpoint,
    plans: Vec<CallPlan>,
    calls: Vec<Call>,
    outbox: Vec<Packet>,
    /// What went wrong, in words.
    pub violations: Vec<String>,
    /// Calls that came up.
    pub came_up: u32,
    /// RTP packets heard.
    pub heard: u64,
}

struct Call {
    /// Which of the history.
    number: u32,
    call_id: String,
    stage: Stage,
    dialog: Option<Dialog>,
    media: CallMedia,
    within: WithinPlan,
    agenda: Vec<(Instant, Act)>,
    reinvite: Option<ClientTx>,
    answering: Option<ServerTx>,
    is_dead: bool,
}

enum Stage {
    /// Our INVITE is out.
    Calling {
        tx: ClientTx,
        cancelled: bool,
    },
    /// Their INVITE is in, with its offer, if it had one.
    Called {
        tx: ServerTx,
        request: Request,
    },
    /// We sent 200 and wait for the ACK.
    Answered {
        tx: ServerTx,
    },
    Up,
    /// Our BYE is out.
    Leaving {
        tx: ClientTx,
    },
    Done,
}

struct CallMedia {
    codecs: Vec<Codec>,
    ports_base: u16,
    port: u16,
    version: u64,
    speaker: u32,
    gateway: Option<SocketAddr>,
    talk: Option<Talk>,
}

#[derive(Clone)]
enum Act {
    Ring,
    Early,
    Answer(u16),
    Cancel,
    Hold,
    Move,
    HangUp,
    Die,
    AnswerReinvite(ServerTx, Box<Request>),
}

impl Peer {
    /// One that knows every call's plan and begins none by itself.
    pub fn new(place: Place, plans: &[CallPlan], seed: u64) -> Peer {
        Peer {
            place,
            endpoint: Endpoint::new(EndpointSettings::default(), seed),
            plans: plans.to_vec(),
            calls: Vec::new(),
            outbox: Vec::new(),
            violations: Vec::new(),
            came_up: 0,
            heard: 0,
        }
    }

    fn flow(&self) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: Protocol::Udp,
            peer: self.place.gateway,
            domain: None,
        }
    }

    fn contact(&self) -> String {
        format!("<sip:peer@{}>", self.place.sip)
    }

    /// Begins a call.
    pub fn call(&mut self, now: Instant, number: u32) {
        let Some(plan) = self.plans.get(number as usize).cloned() else {
            return;
        };
        let CallerPlan {
            offers,
            codecs,
            cancels_after,
            within,
        } = plan.caller;
        let (call_id, tag) = (self.endpoint.new_call_id(), self.endpoint.new_tag());
        let uri = format!(
            "sip:{}{number:04}@{}",
            plan.route.prefix(),
            self.place.gateway
        );
        let mut draft = RequestDraft::new(Method::Invite, uri.clone())
            .header(
                "From",
                format!("<sip:4930{number:04}@{}>;tag={tag}", self.place.sip),
            )
            .header("To", format!("<{uri}>"))
            .header("Call-ID", &call_id)
            .header("CSeq", "1 INVITE")
            .header("Contact", self.contact());
        let media = self.new_media(number, codecs);
        if offers {
            draft = draft.body(
                "application/sdp",
                media.offer(&self.place, Direction::SendRecv),
            );
        }
        let sent_by = self.place.sip.to_string();
        let Some(tx) = self.endpoint.request(now, self.flow(), &sent_by, draft) else {
            return;
        };
        let agenda = cancels_after
            .map(|after| (now + after, Act::Cancel))
            .into_iter()
            .collect();
        self.calls.push(Call {
            number,
            call_id,
            stage: Stage::Calling {
                tx,
                cancelled: false,
            },
            dialog: None,
            media,
            within,
            agenda,
            reinvite: None,
            answering: None,
            is_dead: false,
        });
    }

    fn new_media(&self, number: u32, codecs: Vec<Codec>) -> CallMedia {
        let base = FIRST_RTP_PORT + PORTS_PER_CALL * self.calls.len() as u16;
        let speaker = number * 16 + self.place.index * 4 + (self.calls.len() as u32 & 3);
        CallMedia {
            codecs,
            ports_base: base,
            port: base,
            version: 1,
            speaker,
            gateway: None,
            talk: None,
        }
    }

    /// A datagram for one of its ports.
    pub fn receive(&mut self, now: Instant, packet: Packet) {
        if packet.destination == self.place.sip {
            if !self.is_of_the_dead(&packet.bytes) {
                self.endpoint
                    .handle_datagram(now, self.flow(), packet.bytes);
                self.run_events(now);
            }
        } else {
            self.hear(&packet);
        }
    }

    fn is_of_the_dead(&self, bytes: &[u8]) -> bool {
        let contains = |id: &str| {
            bytes
                .windows(id.len())
                .any(|window| window == id.as_bytes())
        };
        self.calls
            .iter()
            .any(|call| call.is_dead && contains(&call.call_id))
    }

    fn hear(&mut self, packet: &Packet) {
        let place = packet.destination.port().wrapping_sub(FIRST_RTP_PORT) / PORTS_PER_CALL;
        let Some(call) = self.calls.get(usize::from(place)) else {
            self.violations
                .push(format!("RTP to {} which no call has", packet.destination));
            return;
        };
        if packet.destination.port() % 2 == 1 {
            return; // RTCP that the gateway passed on; nobody here sends any, so none is expected to matter.
        }
        let Some(speaker) = speech::speaker(&packet.bytes) else {
            self.violations.push("RTP that nobody said".to_owned());
            return;
        };
        self.heard += 1;
        if speaker / 16 != call.number {
            self.violations
                .push(format!("call {} hears speaker {speaker:#x}", call.number));
        }
        if call
            .media
            .gateway
            .is_some_and(|gateway| gateway != packet.source)
        {
            self.violations.push(format!(
                "media of call {} comes from {}",
                call.number, packet.source
            ));
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.run_events(now);
        for index in 0..self.calls.len() {
            while let Some(act) = self.calls[index].due(now) {
                self.act(now, index, act);
            }
            self.speak(now, index);
        }
        self.run_events(now);
    }

    fn speak(&mut self, now: Instant, index: usize) {
        let call = &mut self.calls[index];
        let source = SocketAddr::new(self.place.rtp, call.media.port);
        let is_over = call.is_dead || matches!(call.stage, Stage::Done | Stage::Leaving { .. });
        let Some(talk) = call.media.talk.as_mut() else {
            return;
        };
        if is_over {
            call.media.talk = None;
        } else if talk.next <= now {
            let destination = talk.to;
            match talk.say(now) {
                Some(bytes) => self.outbox.push(Packet {
                    source,
                    destination,
                    bytes,
                }),
                None => call.media.talk = None,
            }
        }
    }

    /// When [`Peer::handle_timeout`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_calls = self.calls.iter().filter_map(|call| {
            let acts = call.agenda.iter().map(|(at, _)| *at);
            acts.chain(call.media.talk.as_ref().map(|talk| talk.next))
                .min()
        });
        of_calls.chain(self.endpoint.poll_timeout()).min()
    }

    /// The next datagram to send.
    pub fn poll_send(&mut self) -> Option<Packet> {
        if let Some(packet) = self.outbox.pop() {
            return Some(packet);
        }
        loop {
            let transmit = self.endpoint.poll_transmit()?;
            if !self.is_of_the_dead(&transmit.bytes) {
                let (source, destination) = (self.place.sip, transmit.flow.peer);
                return Some(Packet {
                    source,
                    destination,
                    bytes: transmit.bytes,
                });
            }
        }
    }

    /// What it still believes to be going on.
    pub fn unfinished(&self) -> Vec<String> {
        let open = self
            .calls
            .iter()
            .filter(|call| !call.is_dead && !matches!(call.stage, Stage::Done));
        open.map(|call| format!("peer {} believes in call {}", self.place.index, call.number))
            .collect()
    }

    /// Transactions alive.
    pub fn transactions(&self) -> usize {
        self.endpoint.transactions()
    }

    fn run_events(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, request, .. } => self.on_request(now, tx, request),
                Event::Ack { tx, request } => self.on_ack(now, tx, &request),
                Event::AckTimeout { tx } => {
                    if let Some(index) = self
                        .find(|call| matches!(&call.stage, Stage::Answered { tx: t } if *t == tx))
                    {
                        self.hang_up(now, index);
                    }
                }
                Event::Cancelled { tx, .. } => self.on_cancelled(now, tx),
                Event::Response { tx, response, .. } => self.on_response(now, tx, &response),
                Event::Failed { tx, .. } => self.on_failed(now, tx),
            }
        }
    }

    fn find(&self, wanted: impl Fn(&Call) -> bool) -> Option<usize> {
        self.calls.iter().position(wanted)
    }
}

impl Call {
    fn due(&mut self, now: Instant) -> Option<Act> {
        if self.is_dead {
            self.agenda.clear();
        }
        let first = self
            .agenda
            .iter()
            .enumerate()
            .min_by_key(|(_, (at, _))| *at)?;
        let (place, (at, _)) = first;
        (*at <= now).then(|| self.agenda.swap_remove(place).1)
    }
}
