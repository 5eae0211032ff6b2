//! A leg: our dialog with one peer, whichever side began it.

use super::application::recording::Monitor;
use super::cause::Cause;
use super::digits::OwnInfo;
use super::exchange::reliable::{Early, Reliable};
use super::exchange::session::SessionTimer;
use super::identity::user_of;
use super::media::{LegMedia, Offered};
use super::unanswered::Unanswered;
use super::{ALLOW, CallKey, Invited, LegNo};
use crate::config::settings::EndpointId;
use crate::control::context::{CallClient, ClientOwner, ClientRole, Context, ServerOwner};
use crate::control::locate::path::{Destination, Path};
use crate::control::outside::credentials::KnownChallenges;
use crate::control::setup::Setup;
use crate::link::LegReport;
use crate::metrics::Direction;
use crate::sdp::Description;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::flow::{Flow, Protocol};
use crate::sip::message::{Method, Request, RequestDraft, ResponseDraft, Uri};
use crate::sip::timer::TimerId;
use std::net::SocketAddr;
use std::time::Instant;

/// See the module's comment.
pub struct Leg {
    /// Which leg of its call.
    pub no: LegNo,
    /// Whose.
    pub endpoint: EndpointId,
    /// How its messages travel.
    pub path: Path,
    /// Our tag in its dialog.
    pub tag: String,
    /// User part of our Contact.
    pub contact_user: String,
    /// None on a callee's leg that has not answered.
    pub dialog: Option<Dialog>,
    /// Its port and session.
    pub media: MediaState,
    /// What MixMonitor is to record of it, and does not run yet, or no longer for now.
    pub(super) monitors: Vec<Monitor>,
    /// Where it stands.
    pub state: LegState,
    /// The INVITE that began a callee's leg: another fork may still answer it.
    pub invite: Option<ClientTx>,
    /// Towards a caller that takes provisional responses reliably: those that we send.
    pub reliable: Option<Box<Reliable>>,
    /// The early dialogs that reliable provisional responses to our INVITE have made.
    pub early: Vec<Early>,
    /// The peer takes UPDATE (its Allow says so).
    pub takes_update: bool,
    /// The peer takes no INFO (its Allow says so).
    pub refuses_info: bool,
    /// Digits that it is told by INFO.
    pub own_info: OwnInfo,
    /// Its session timer.
    pub session: SessionTimer,
    /// When it began.
    pub began: Instant,
    /// When it was answered.
    pub answered: Option<Instant>,
    /// In-dialog requests go where its Contact says, not where its messages come from (`rewrite_contact` is off).
    pub follows_contact: bool,
    /// Its flow is where a URI leads, so that a request too large for a datagram may go by TCP. Where a phone's own flow
    /// leads to it, nothing else does.
    pub is_located: bool,
    /// Our requests that may have to be sent again.
    pub unanswered: Unanswered,
    /// The peer's challenges.
    pub challenges: KnownChallenges,
    /// Headers and values that answered those to the INVITE.
    pub credentials: Vec<(&'static str, String)>,
    /// Who began it: the peer (in) or we (out).
    pub direction: Direction,
    /// Its end is counted, and its endpoint has a call less.
    pub is_counted: bool,
}

/// A leg's port pair.
pub enum MediaState {
    /// Not needed yet, or not to be had.
    None,
    /// Leased and open.
    Open(Box<LegMedia>),
    /// The worker is to close it.
    Closing,
    /// The worker has closed it; its final counts.
    Closed(LegReport),
}

/// Where a leg stands.
///
/// ```text
///  caller   Asked ──2xx──► Unacked ──ACK──► Up ──BYE──► Leaving ──► Gone
///             └──────── 3xx-6xx sent ─────────────────────────────► Gone
///  callee   Calling ──2xx, ACK sent──────► Up
///             ├── 3xx-6xx, no answer ─────────────────────────────► Gone
///             └── CANCEL ──► Cancelled ── 487 ────────────────────► Gone
///                               └── 2xx: ACK, BYE ──► Leaving
/// ```
pub enum LegState {
    /// The caller has asked and has no final response.
    Asked(Asked),
    /// The caller has our 2xx; its ACK has not come.
    Unacked {
        /// The INVITE.
        invite: ServerTx,
        /// Our offer, if its INVITE had none: the ACK brings the answer.
        offered: Option<Offered>,
        /// Hang up once the ACK has come: a UAS may not send BYE before (RFC 3261 §15).
        hang_up: Option<Cause>,
    },
    /// The callee is asked and has not answered.
    Calling(Calling),
    /// The callee's INVITE is cancelled, its final response has not come.
    Cancelled {
        /// What was asked.
        calling: Calling,
        /// Stops the wait.
        guard: TimerId,
    },
    /// The dialog stands.
    Up,
    /// We have sent BYE.
    Leaving,
    /// Over.
    Gone,
}

/// A caller that waits for its final response.
pub struct Asked {
    /// The INVITE.
    pub invite: ServerTx,
    /// Its offer. None: we are to offer.
    pub offer: Option<Description>,
    /// The last provisional response.
    pub said: Said,
}

/// What a caller was told so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// At most 100.
    Nothing,
    /// 180.
    Ringing,
    /// 183 with our description.
    Progress,
}

/// What is to be done when the ACK of our 2xx has come.
pub(super) enum Confirmed {
    /// Hang up.
    HangUp(Cause),
    /// It brings the answer to this offer of ours.
    Offered(Offered),
    /// The session was described before.
    Agreed,
}

/// A callee that rings.
pub struct Calling {
    /// The INVITE.
    pub invite: ClientTx,
    /// Its Request-URI.
    pub uri: Uri,
    /// What it offers.
    pub offered: Offered,
    /// Something came back.
    pub heard: bool,
    /// The tags of the early dialogs that its provisional responses have made, at most
    /// [`EARLY_DIALOGS_MAX`](super::exchange::reliable::EARLY_DIALOGS_MAX).
    pub tags: Vec<String>,
}

impl Leg {
    /// The leg of an INVITE that has come.
    pub(super) fn asked(
        ctx: &mut Context,
        now: Instant,
        setup: &Setup,
        (call, no): (CallKey, LegNo),
        invited: Invited,
    ) -> Leg {
        let invite = invited.tx;
        ctx.servers.insert(invite, ServerOwner { call, leg: no });
        let asked = Asked {
            invite,
            offer: invited.offer,
            said: Said::Nothing,
        };
        let cseq = invited.dialog.remote_cseq().unwrap_or_default();
        let reliable = invited
            .reliable
            .then(|| Box::new(Reliable::new(&mut ctx.rng, cseq)));
        Leg {
            no,
            endpoint: invited.endpoint,
            path: invited.path,
            tag: invited.tag,
            contact_user: user_of(&invited.called),
            dialog: Some(invited.dialog),
            media: MediaState::None,
            monitors: Vec::new(),
            state: LegState::Asked(asked),
            invite: None,
            reliable,
            early: Vec::new(),
            takes_update: false,
            refuses_info: false,
            own_info: OwnInfo::default(),
            session: SessionTimer::new(setup.endpoint(invited.endpoint)),
            began: now,
            answered: None,
            is_located: false,
            follows_contact: !setup.endpoint(invited.endpoint).rewrite_contact,
            unanswered: Unanswered::default(),
            challenges: KnownChallenges::default(),
            credentials: Vec::new(),
            is_counted: false,
            direction: Direction::In,
        }
    }

    /// What stays of a leg that goes to another call: nothing that is heard or counted.
    pub(super) fn departed(&self, setup: &Setup) -> Leg {
        Leg {
            no: self.no,
            endpoint: self.endpoint,
            path: self.path.clone(),
            tag: String::new(),
            contact_user: String::new(),
            dialog: None,
            media: MediaState::None,
            monitors: Vec::new(),
            state: LegState::Gone,
            invite: None,
            reliable: None,
            early: Vec::new(),
            takes_update: false,
            refuses_info: false,
            own_info: OwnInfo::default(),
            session: SessionTimer::new(setup.endpoint(self.endpoint)),
            began: self.began,
            answered: None,
            follows_contact: false,
            is_located: false,
            unanswered: Unanswered::default(),
            challenges: KnownChallenges::default(),
            credentials: Vec::new(),
            direction: self.direction,
            is_counted: true,
        }
    }

    /// The ACK of our 2xx with this transaction has come: the leg is up. With it, what the ACK was waited for with.
    pub(super) fn confirm(&mut self, tx: ServerTx) -> Option<Confirmed> {
        let LegState::Unacked {
            invite,
            offered,
            hang_up,
        } = &mut self.state
        else {
            return None;
        };
        if *invite != tx {
            return None;
        }
        let confirmed = match (*hang_up, offered.take()) {
            (Some(cause), _) => Confirmed::HangUp(cause),
            (None, Some(offered)) => Confirmed::Offered(offered),
            (None, None) => Confirmed::Agreed,
        };
        self.state = LegState::Up;
        Some(confirmed)
    }

    /// True when no message of the leg is outstanding.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, LegState::Gone)
    }

    /// The value of our Contact.
    pub fn contact(&self) -> String {
        self.path.contact(&self.contact_user)
    }

    /// A response in this leg's dialog, with what each of ours carries.
    pub fn response(&self, status: u16) -> ResponseDraft {
        ResponseDraft::new(status)
            .to_tag(&self.tag)
            .header("Contact", self.contact())
            .header("Allow", ALLOW)
    }

    /// A request in the leg's dialog. None if there is no dialog.
    pub fn request(&mut self, method: Method) -> Option<RequestDraft> {
        Some(self.dialog.as_mut()?.request(method))
    }

    /// The dialog of the leg that a request is in.
    pub fn dialog_of(&mut self, request: &Request) -> Option<&mut Dialog> {
        let early = self.early.iter_mut().map(Early::dialog_mut);
        self.dialog
            .iter_mut()
            .chain(early)
            .find(|dialog| dialog.matches(request))
    }

    /// Sends a request in the leg's dialog. None if the transaction table is full.
    pub fn send(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        call: CallKey,
        role: ClientRole,
        request: RequestDraft,
    ) -> Option<ClientTx> {
        let flow = self.next_flow();
        self.send_to(ctx, now, flow, (call, role), request)
    }

    /// Sends a request there. None if the transaction table is full.
    pub(super) fn send_to(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        flow: Flow,
        (call, role): (CallKey, ClientRole),
        request: RequestDraft,
    ) -> Option<ClientTx> {
        let sent = request.clone();
        ctx.bans.vouch(now, flow.peer.ip());
        let sent_by = &self.path.sent_by;
        let tx = match self.is_located {
            true => ctx.sip.request_located(now, flow, sent_by, request)?,
            false => ctx.sip.request(now, flow, sent_by, request)?,
        };
        let leg = self.no;
        ctx.clients
            .insert(tx, ClientOwner::Call(CallClient { call, leg, role }));
        self.unanswered.keep(tx, sent);
        Some(tx)
    }

    /// Where the leg's next request goes. In a dialog on UDP to the first proxy or the peer's Contact
    /// (RFC 3261 §12.2.1.1), unless that is behind a NAT; on a stream, and where a name would have to be looked up, to
    /// where the peer's messages come from.
    pub(super) fn next_flow(&self) -> Flow {
        self.flow_of(self.dialog.as_ref())
    }

    /// Where a request in this dialog of the leg's goes.
    pub(super) fn flow_of(&self, dialog: Option<&Dialog>) -> Flow {
        let own = self.path.flow;
        if !self.follows_contact || own.protocol != Protocol::Udp {
            return own;
        }
        let hop = dialog.map(Dialog::next_hop);
        let destination = hop.as_ref().and_then(Destination::of);
        let Some(Destination {
            host,
            port,
            protocol,
        }) = destination
        else {
            return own;
        };
        match host.ip() {
            Some(ip)
                if protocol.unwrap_or(own.protocol) == own.protocol
                    && ip.is_ipv4() == own.peer.is_ipv4() =>
            {
                let port = port.unwrap_or(own.protocol.default_port());
                Flow {
                    peer: SocketAddr::new(ip, port),
                    ..own
                }
            }
            _ => own,
        }
    }

    /// Sends BYE.
    pub fn bye(&mut self, ctx: &mut Context, now: Instant, call: CallKey, cause: Cause) {
        self.session.stop(ctx);
        let sent = self.request(Method::Bye).and_then(|bye| {
            let bye = bye.header("Reason", cause);
            self.send(ctx, now, call, ClientRole::Bye, bye)
        });
        self.state = match sent {
            Some(_) => LegState::Leaving,
            None => LegState::Gone,
        };
    }

    /// True if it has hung up or was hung up on.
    pub fn has_left(&self) -> bool {
        matches!(self.state, LegState::Leaving | LegState::Gone)
    }

    /// The open media.
    pub fn media(&self) -> Option<&LegMedia> {
        match &self.media {
            MediaState::Open(media) => Some(media),
            _ => None,
        }
    }

    /// The open media.
    pub fn media_mut(&mut self) -> Option<&mut LegMedia> {
        match &mut self.media {
            MediaState::Open(media) => Some(media),
            _ => None,
        }
    }

    /// Gives the port pair back. The worker's Closed ends it.
    pub fn close_media(&mut self, ctx: &mut Context) {
        if let MediaState::Open(media) = &self.media {
            media.close(ctx);
            self.media = MediaState::Closing;
        }
    }
}
