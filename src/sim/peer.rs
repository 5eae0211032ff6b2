//! A SIP trunk that follows a plan: calls, rings, answers, refuses, holds, moves, hangs up, dies.

use super::history::{CallPlan, CalledPlan, CallerPlan, WithinPlan};
use super::network::Packet;
use super::speech::{self, Talk};
use crate::codec::Codec;
use crate::sdp::{self, Description, Direction, LocalMedia, OurOffer};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::{RequestDraft, ResponseDraft, Uri};
use crate::sip::{
    Endpoint, EndpointSettings, Event, Flow, Method, Protocol, Request, Response, TransportId,
};
use bytes::Bytes;
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
                Event::Response { tx, response } => self.on_response(now, tx, &response),
                Event::Failed { tx, .. } => self.on_failed(now, tx),
            }
        }
    }

    fn find(&self, wanted: impl Fn(&Call) -> bool) -> Option<usize> {
        self.calls.iter().position(wanted)
    }

    fn on_request(&mut self, now: Instant, tx: ServerTx, request: Request) {
        if request.headers().to_tag().is_none() {
            match request.method() {
                Method::Invite => self.on_invite(now, tx, request),
                Method::Options => self.endpoint.respond(now, tx, ResponseDraft::new(200)),
                _ => self.endpoint.respond(now, tx, ResponseDraft::new(481)),
            }
            return;
        }
        let found = self.find(|call| {
            call.dialog
                .as_ref()
                .is_some_and(|dialog| dialog.matches(&request))
        });
        let Some(index) = found else {
            self.endpoint.respond(now, tx, ResponseDraft::new(481));
            return;
        };
        let in_order = self.calls[index]
            .dialog
            .as_mut()
            .is_some_and(|dialog| dialog.receive_request(&request).is_ok());
        match request.method() {
            _ if !in_order => self.endpoint.respond(now, tx, ResponseDraft::new(500)),
            Method::Bye => {
                self.endpoint.respond(now, tx, ResponseDraft::new(200));
                self.calls[index].stage = Stage::Done;
                self.calls[index].agenda.clear();
            }
            Method::Invite => self.on_reinvite(now, index, tx, request),
            _ => self.endpoint.respond(now, tx, ResponseDraft::new(200)),
        }
    }

    fn on_invite(&mut self, now: Instant, tx: ServerTx, request: Request) {
        let user = Uri::parse(request.uri())
            .and_then(|uri| uri.user)
            .unwrap_or_default();
        let number = user.get(3..).and_then(|digits| digits.parse::<u32>().ok());
        let Some((number, plan)) =
            number.and_then(|number| Some((number, self.plans.get(number as usize)?.clone())))
        else {
            self.violations.push(format!("an INVITE for {user}"));
            self.endpoint.respond(now, tx, ResponseDraft::new(404));
            return;
        };
        let CalledPlan {
            rings_after,
            early_after,
            answers,
            codecs,
            within,
        } = plan.called;
        let tag = self.endpoint.new_tag();
        let acts = [
            rings_after.map(|after| (now + after, Act::Ring)),
            early_after.map(|after| (now + after, Act::Early)),
            answers.map(|(after, status)| (now + after, Act::Answer(status))),
        ];
        let media = self.new_media(number, codecs);
        self.calls.push(Call {
            number,
            call_id: request.headers().call_id().to_owned(),
            dialog: Dialog::uas(&request, &tag),
            stage: Stage::Called { tx, request },
            media,
            within,
            agenda: acts.into_iter().flatten().collect(),
            reinvite: None,
            answering: None,
            is_dead: false,
        });
    }

    fn on_reinvite(&mut self, now: Instant, index: usize, tx: ServerTx, request: Request) {
        let call = &mut self.calls[index];
        if call.reinvite.is_some() {
            self.endpoint.respond(now, tx, ResponseDraft::new(491));
            return;
        }
        let due = now + call.within.reinvite_takes;
        call.agenda
            .push((due, Act::AnswerReinvite(tx, Box::new(request))));
    }

    fn on_ack(&mut self, now: Instant, tx: ServerTx, ack: &Request) {
        let Some(index) = self.find(|call| match &call.stage {
            Stage::Answered { tx: ours } => *ours == tx || call.answering == Some(tx),
            _ => call.answering == Some(tx),
        }) else {
            return;
        };
        if !ack.body().is_empty() {
            self.learn_media(now, index, &ack.body());
        }
        let call = &mut self.calls[index];
        call.answering = None;
        if matches!(call.stage, Stage::Answered { .. }) {
            self.come_up(now, index);
        }
    }

    fn on_cancelled(&mut self, now: Instant, tx: ServerTx) {
        self.endpoint.respond(now, tx, ResponseDraft::new(487));
        for call in &mut self.calls {
            if matches!(&call.stage, Stage::Called { tx: ours, .. } if *ours == tx) {
                call.stage = Stage::Done;
                call.agenda.clear();
            }
            // A re-INVITE may be cancelled too; then only its answer is off.
            call.agenda
                .retain(|(_, act)| !matches!(act, Act::AnswerReinvite(ours, _) if *ours == tx));
        }
    }

    fn on_response(&mut self, now: Instant, tx: ClientTx, response: &Response) {
        let is_calling =
            |call: &Call| matches!(call.stage, Stage::Calling { tx: ours, .. } if ours == tx);
        let is_leaving =
            |call: &Call| matches!(call.stage, Stage::Leaving { tx: ours } if ours == tx);
        if let Some(index) = self.find(is_calling) {
            self.on_invite_response(now, index, tx, response);
        } else if let Some(index) = self.find(|call| call.reinvite == Some(tx)) {
            self.on_reinvite_response(now, index, tx, response);
        } else if response.status() >= 200
            && let Some(index) = self.find(is_leaving)
        {
            self.calls[index].stage = Stage::Done;
        }
    }

    fn on_invite_response(
        &mut self,
        now: Instant,
        index: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        match response.status() {
            100..200 => {
                if !response.body().is_empty() {
                    self.learn_media(now, index, &response.body());
                }
            }
            200..300 => self.on_answered(now, index, tx, response),
            _ => {
                self.calls[index].stage = Stage::Done;
                self.calls[index].agenda.clear();
            }
        }
    }

    fn on_answered(&mut self, now: Instant, index: usize, tx: ClientTx, response: &Response) {
        let gateway = Uri::parse(&format!("sip:{}", self.place.gateway));
        let Some(dialog) = gateway.and_then(|uri| Dialog::uac(response, &uri)) else {
            return;
        };
        let mut ack = dialog.ack(response);
        let had_offered = !response.body().is_empty()
            && self.plans[self.calls[index].number as usize].caller.offers;
        if response.body().is_empty() {
            self.violations
                .push("a 200 to INVITE without a description".to_owned());
        } else if had_offered {
            self.learn_media(now, index, &response.body());
        } else {
            // The gateway offers; the answer goes with the ACK. No common codec: a last word, then BYE.
            match self.answer_to(index, &response.body(), Direction::SendRecv) {
                Some(answer) => ack = ack.body("application/sdp", answer),
                None => self.calls[index].within.hangs_up_after = Some(std::time::Duration::ZERO),
            }
            self.learn_media(now, index, &response.body());
        }
        let sent_by = self.place.sip.to_string();
        self.endpoint.ack(now, tx, self.flow(), &sent_by, ack);
        let was_cancelled = matches!(
            self.calls[index].stage,
            Stage::Calling {
                cancelled: true,
                ..
            }
        );
        self.calls[index].dialog = Some(dialog);
        if was_cancelled {
            self.hang_up(now, index);
        } else {
            self.come_up(now, index);
        }
    }

    fn on_reinvite_response(
        &mut self,
        now: Instant,
        index: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        if response.status() < 200 {
            return;
        }
        self.calls[index].reinvite = None;
        if response.status() < 300 {
            let flow = self.flow();
            let sent_by = self.place.sip.to_string();
            if let Some(dialog) = self.calls[index].dialog.as_ref() {
                self.endpoint
                    .ack(now, tx, flow, &sent_by, dialog.ack(response));
            }
            self.learn_media(now, index, &response.body());
        } else if matches!(response.status(), 408 | 481)
            && matches!(self.calls[index].stage, Stage::Up)
        {
            self.hang_up(now, index);
        }
    }

    fn on_failed(&mut self, now: Instant, tx: ClientTx) {
        for index in 0..self.calls.len() {
            let call = &mut self.calls[index];
            match call.stage {
                Stage::Calling { tx: ours, .. } | Stage::Leaving { tx: ours } if ours == tx => {
                    call.stage = Stage::Done
                }
                Stage::Up if call.reinvite == Some(tx) => {
                    call.reinvite = None;
                    self.hang_up(now, index);
                }
                _ => {}
            }
        }
    }

    fn come_up(&mut self, now: Instant, index: usize) {
        self.came_up += 1;
        let call = &mut self.calls[index];
        call.stage = Stage::Up;
        let WithinPlan {
            holds_after,
            moves_after,
            hangs_up_after,
            dies_after,
            ..
        } = call.within.clone();
        let plan = [
            holds_after.map(|after| (now + after, Act::Hold)),
            moves_after.map(|after| (now + after, Act::Move)),
            hangs_up_after.map(|after| (now + after, Act::HangUp)),
            dies_after.map(|after| (now + after, Act::Die)),
        ];
        call.agenda.retain(|(_, act)| !matches!(act, Act::Cancel));
        call.agenda.extend(plan.into_iter().flatten());
    }

    fn act(&mut self, now: Instant, index: usize, act: Act) {
        let call = &mut self.calls[index];
        match (act, &mut call.stage) {
            (Act::Die, _) => call.is_dead = true,
            (Act::Cancel, Stage::Calling { tx, cancelled }) => {
                *cancelled = true;
                let tx = *tx;
                self.endpoint.cancel(now, tx, None);
            }
            (Act::Ring, Stage::Called { tx, .. }) => {
                let draft = ResponseDraft::new(180);
                let tx = *tx;
                self.respond_in_dialog(now, index, tx, draft);
            }
            (Act::Early, Stage::Called { .. }) => self.answer_invite(now, index, 183),
            (Act::Answer(200), Stage::Called { .. }) => self.answer_invite(now, index, 200),
            (Act::Answer(status), Stage::Called { tx, .. }) => {
                let tx = *tx;
                call.stage = Stage::Done;
                self.respond_in_dialog(now, index, tx, ResponseDraft::new(status));
            }
            (Act::Hold, Stage::Up) => self.reinvite(now, index, Direction::SendOnly),
            (Act::Move, Stage::Up) => {
                if call.media.port + 2 < call.media.ports_base + PORTS_PER_CALL {
                    call.media.port += 2;
                }
                self.reinvite(now, index, Direction::SendRecv);
            }
            (Act::HangUp, Stage::Up) => self.hang_up(now, index),
            (Act::AnswerReinvite(tx, request), Stage::Up) => {
                self.answer_reinvite(now, index, tx, &request)
            }
            (Act::AnswerReinvite(tx, _), _) => {
                self.endpoint.respond(now, tx, ResponseDraft::new(481))
            }
            _ => {}
        }
    }

    fn respond_in_dialog(
        &mut self,
        now: Instant,
        index: usize,
        tx: ServerTx,
        draft: ResponseDraft,
    ) {
        let tag = self.calls[index]
            .dialog
            .as_ref()
            .map(|dialog| dialog.id().local_tag.clone());
        let draft = draft
            .to_tag(&tag.unwrap_or_default())
            .header("Contact", self.contact());
        self.endpoint.respond(now, tx, draft);
    }

    fn answer_invite(&mut self, now: Instant, index: usize, status: u16) {
        let Stage::Called { tx, request } = &self.calls[index].stage else {
            return;
        };
        let (tx, offer) = (*tx, request.body());
        let body = match offer.is_empty() {
            true => Some(
                self.calls[index]
                    .media
                    .offer(&self.place, Direction::SendRecv),
            ),
            false => self.answer_to(index, &offer, Direction::SendRecv),
        };
        let Some(body) = body else {
            self.calls[index].stage = Stage::Done;
            self.respond_in_dialog(now, index, tx, ResponseDraft::new(488));
            return;
        };
        if !offer.is_empty() {
            self.learn_media(now, index, &offer);
        }
        if status == 200 {
            self.calls[index].stage = Stage::Answered { tx };
            if let Some(dialog) = self.calls[index].dialog.as_mut() {
                dialog.confirm();
            }
        }
        self.respond_in_dialog(
            now,
            index,
            tx,
            ResponseDraft::new(status).body("application/sdp", body),
        );
    }

    fn answer_reinvite(&mut self, now: Instant, index: usize, tx: ServerTx, request: &Request) {
        if let Some(status) = self.calls[index].within.refuses_reinvite {
            self.endpoint.respond(now, tx, ResponseDraft::new(status));
            return;
        }
        let offer = request.body();
        let body = match offer.is_empty() {
            true => Some(
                self.calls[index]
                    .media
                    .offer(&self.place, Direction::SendRecv),
            ),
            false => self.answer_to(index, &offer, Direction::SendRecv),
        };
        let Some(body) = body else {
            self.endpoint.respond(now, tx, ResponseDraft::new(488));
            return;
        };
        if !offer.is_empty() {
            self.learn_media(now, index, &offer);
        }
        self.calls[index].answering = Some(tx);
        self.respond_in_dialog(
            now,
            index,
            tx,
            ResponseDraft::new(200).body("application/sdp", body),
        );
    }

    fn reinvite(&mut self, now: Instant, index: usize, direction: Direction) {
        let (contact, flow, sent_by) = (self.contact(), self.flow(), self.place.sip.to_string());
        let call = &mut self.calls[index];
        let is_answering = call
            .agenda
            .iter()
            .any(|(_, act)| matches!(act, Act::AnswerReinvite(..)));
        if call.reinvite.is_some() || call.answering.is_some() || is_answering {
            return;
        }
        call.media.version += 1;
        let body = call.media.offer(&self.place, direction);
        let Some(dialog) = call.dialog.as_mut() else {
            return;
        };
        let draft = dialog
            .request(Method::Invite)
            .header("Contact", contact)
            .body("application/sdp", body);
        call.reinvite = self.endpoint.request(now, flow, &sent_by, draft);
    }

    fn hang_up(&mut self, now: Instant, index: usize) {
        let (flow, sent_by) = (self.flow(), self.place.sip.to_string());
        let call = &mut self.calls[index];
        call.agenda
            .retain(|(_, act)| matches!(act, Act::AnswerReinvite(..)));
        let Some(dialog) = call.dialog.as_mut() else {
            return;
        };
        let draft = dialog.request(Method::Bye);
        call.stage = match self.endpoint.request(now, flow, &sent_by, draft) {
            Some(tx) => Stage::Leaving { tx },
            None => Stage::Done,
        };
    }

    /// Our answer to an offer; None if there is no common codec.
    fn answer_to(&mut self, index: usize, offer: &[u8], direction: Direction) -> Option<String> {
        let offer = self.read(offer)?;
        let media = &self.calls[index].media;
        let formats = sdp::common_formats(&offer.audio()?.formats, &media.codecs, true);
        (!formats.is_empty())
            .then(|| sdp::answer(&media.local(&self.place), &offer, &formats, direction))
    }

    /// Takes the gateway's address from its description, and begins to talk to it.
    fn learn_media(&mut self, now: Instant, index: usize, body: &[u8]) {
        let Some(description) = self.read(body) else {
            return;
        };
        let call = &mut self.calls[index];
        let Some(audio) = description.audio() else {
            return;
        };
        if call.media.gateway.is_some_and(|known| known != audio.rtp) {
            self.violations.push(format!(
                "the gateway moved its port within call {}",
                call.number
            ));
        }
        call.media.gateway = Some(audio.rtp);
        let payload_type = audio
            .formats
            .first()
            .map_or(0, |format| format.payload_type);
        match &mut call.media.talk {
            Some(talk) => talk.payload_type = payload_type,
            None if audio.direction.receives() => {
                let (speaker, seed) = (
                    call.media.speaker,
                    call.media.speaker.wrapping_mul(0x9e37_79b9) | 1,
                );
                call.media.talk = Some(Talk::begin(now, audio.rtp, payload_type, speaker, seed));
            }
            None => {}
        }
    }

    fn read(&mut self, body: &[u8]) -> Option<Description> {
        let read = Description::parse(body);
        if let Err(error) = &read {
            self.violations
                .push(format!("a description that does not parse: {error}"));
        }
        read.ok()
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

impl CallMedia {
    fn local(&self, place: &Place) -> LocalMedia {
        let session_id = u64::from(self.speaker) + 1;
        LocalMedia {
            session_id,
            version: self.version,
            address: place.rtp,
            port: self.port,
        }
    }

    fn offer(&self, place: &Place, direction: Direction) -> String {
        let formats = sdp::formats_for(&self.codecs, true);
        self.local(place).offer(&OurOffer {
            formats: &formats,
            direction,
            ptime_ms: Some(20),
        })
    }
}

/// A packet of somebody who has no call.
pub(super) fn intrusion(
    source: SocketAddr,
    destination: SocketAddr,
    random: &mut fastrand::Rng,
) -> Packet {
    let bytes: Bytes = speech::say(u32::MAX, random.u32(..), random.u16(..), 0);
    Packet {
        source,
        destination,
        bytes,
    }
}
