//! Page: many are called at once, and each that answers hears the caller.
//!
//! ```text
//!  call 1   Alice: Page(Bob&Carol)          Alice ── room ── Bob's leg, in call 2
//!  Dialling ── Bob answers: his leg goes to call 2     └──── Carol's leg, in call 3
//!     └── all have answered, failed, or had their time ──► Attending ── Alice hangs up ──► all are hung up on
//!                                                             └── nobody is left ──► the dialplan goes on
//! ```
//!
//! A callee that has answered is a call of its own from then on, which hangs up, holds and is refreshed by itself. All are
//! on the worker of the caller's leg, where they were dialled. Callees hear the caller, and each other too with option `d`; without
//! it nobody hears them. They are offered only what can be mixed; a redirection (302) is not followed.
//!
//! | option | |
//! |---|---|
//! | `d` | full duplex |
//! | `b(…)`, `B(…)` | as those of Dial |
//! | `q` | the caller hears no beep |
//! | `s` | whoever is in a call already is not called |
//! | `A(x)` | an announcement to all, the caller too unless with `n` |
//! | `i` | no forwarding, as always |

use super::conferring::Seat;
use super::{Application, Audible};
use crate::codec::Payload;
use crate::control::call::dialling::Dialling;
use crate::control::call::dialling::branch::{Branch, BranchState};
use crate::control::call::dialling::options::DialOptions;
use crate::control::call::leg::Leg;
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, CallKey, Facts, LegNo, Phase};
use crate::control::context::{CallClient, ClientOwner, ClientRole, Context, ServerOwner};
use crate::control::dialplan::{Action, DialRequest, DialTarget, Execution, PAGED_MAX};
use crate::control::setup::Setup;
use crate::control::sounds::Sound;
use crate::link::RoomId;
use crate::sdp::Format;
use std::sync::Arc;
use std::time::Instant;

/// What the caller hears when it may speak.
const BEEP: &str = "beep";

/// A Page that still calls.
pub(in crate::control::call) struct Page {
    invitation: Invitation,
    has_answered: bool,
}

/// What becomes of a callee that has answered.
#[derive(Clone, Debug)]
pub struct Invitation {
    room: RoomId,
    talks: bool,
    announcement: Option<String>,
}

/// A callee that has answered, between two calls.
pub struct Paged {
    leg: Leg,
    /// Whose it was.
    owner: ServerOwner,
    setup: Arc<Setup>,
    facts: Facts,
    execution: Execution,
    invitation: Invitation,
}

impl Paged {
    /// Where it is to go.
    pub fn room(&self) -> RoomId {
        self.invitation.room
    }
}

impl Call {
    /// Begins a Page. The phase is Dialling afterwards, or Ready if nobody could be called.
    pub(in crate::control::call) fn page(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        request: DialRequest,
    ) {
        let branches = self.branches_to_page(ctx, now, &request);
        if branches.is_empty() {
            return self.cannot_confer("there is nobody to page");
        }
        if self
            .open_caller_media(ctx, now, 1 + branches.len())
            .is_err()
        {
            return self.cannot_confer("no RTP port");
        }
        match self.mixable(ctx, now) {
            Audible::Now => {}
            Audible::Later => {
                let then = Some(Action::Page(request));
                self.phase = Phase::AwaitingAck { then };
                return;
            }
            Audible::Never => {
                return self.cannot_confer("the caller has no audio that can be mixed");
            }
            Audible::Ended => return,
        }
        let Some(worker) = self.caller.media().map(LegMedia::worker) else {
            return;
        };
        match ctx.rooms.open(worker, self.key) {
            Ok(room) => self.host(ctx, now, (room, &request), branches),
            Err(error) => self.cannot_confer(&error.to_string()),
        }
    }

    /// Whom a Page calls: not the caller's own telephone, and with option `s` nobody who is in a call.
    fn branches_to_page(
        &self,
        ctx: &mut Context,
        now: Instant,
        request: &DialRequest,
    ) -> Vec<Branch> {
        let own = &self.setup.endpoint(self.caller.endpoint).name;
        let only_idle = request.has_option('s');
        let targets: Vec<&DialTarget> = request
            .targets
            .iter()
            .filter(|target| !matches!(target, DialTarget::Endpoint { name } if name == own))
            .filter(|target| !only_idle || ctx.load.calls(target.name()) == 0)
            .collect();
        self.branches(ctx, now, (request, &targets), PAGED_MAX)
    }

    /// Sits down in the room and calls the others in.
    fn host(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        (room, request): (RoomId, &DialRequest),
        branches: Vec<Branch>,
    ) {
        let announcement = request.option('A').map(str::to_owned);
        let announcement = announcement.filter(|file| !file.is_empty());
        let seat = Seat {
            room,
            talks: true,
            is_host: true,
        };
        self.sit_down(ctx, seat);
        let beep = (!request.has_option('q')).then(|| BEEP.to_owned());
        let own = announcement.clone().filter(|_| !request.has_option('n'));
        self.hush_caller(ctx);
        self.announce(ctx, beep.into_iter().chain(own).collect());
        let page = Page {
            invitation: Invitation {
                room,
                talks: request.has_option('d'),
                announcement,
            },
            has_answered: false,
        };
        let options = DialOptions {
            rings_at_once: true,
            ..DialOptions::default()
        };
        let begun = (branches, request.timeout);
        self.begin_dialling(ctx, now, begun, options, Some(page));
        self.ring_all(ctx, now);
    }

    fn announce(&mut self, ctx: &mut Context, files: Vec<String>) {
        if !files.is_empty() {
            let sounds = files.into_iter().map(Sound::File).collect();
            self.play_to_caller(ctx, sounds, None);
        }
    }

    /// True while a Page calls.
    pub(in crate::control::call) fn is_paging(&self) -> bool {
        matches!(&self.phase, Phase::Dialling(dialling) if dialling.page.is_some())
    }

    /// What of an offer to a callee can be mixed. Empty if there is no codec in it.
    pub(in crate::control::call) fn mixed_alone(&self, mut formats: Vec<Format>) -> Vec<Format> {
        if !self.is_paging() {
            return formats;
        }
        let is_coded = |format: &Format| matches!(format.payload, Payload::Codec(codec) if codec.is_transcoded());
        formats.retain(|format| is_coded(format) || !matches!(format.payload, Payload::Codec(_)));
        match formats.iter().any(is_coded) {
            true => formats,
            false => Vec::new(),
        }
    }

    /// A callee of a Page has answered: it goes to a call of its own. False if this is no Page.
    pub(in crate::control::call) fn on_paged(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
    ) -> bool {
        let Phase::Dialling(dialling) = &mut self.phase else {
            return false;
        };
        let branch = dialling.branch_of_leg(no);
        let Some(page) = &mut dialling.page else {
            return false;
        };
        page.has_answered = true;
        let invitation = page.invitation.clone();
        if let Some(branch) = branch {
            dialling.branches[branch].state = BranchState::Done;
        }
        let facts = Facts {
            identified: String::from("page"),
            ..self.facts_of_callee(ctx, no)
        };
        let place = self.callees.iter().position(|leg| leg.no == no);
        if let Some(place) = place {
            let leg = self.callees.remove(place);
            ctx.rooms.expect(Paged {
                owner: ServerOwner {
                    call: self.key,
                    leg: no,
                },
                leg,
                setup: self.setup.clone(),
                facts,
                execution: self.execution.without_steps(),
                invitation,
            });
        }
        self.end_dial_if_all_failed(ctx, now);
        true
    }

    /// A Page has nobody left to call: it lasts as long as somebody hears it. False if this is no Page.
    pub(in crate::control::call) fn on_page_called(
        &mut self,
        ctx: &mut Context,
        now: Instant,
    ) -> bool {
        let Phase::Dialling(Dialling {
            page: Some(page), ..
        }) = &self.phase
        else {
            return false;
        };
        match (ctx.rooms.is_alone(page.invitation.room), page.has_answered) {
            (true, true) => self.dismiss(ctx, now, "KICKED"),
            (true, false) => self.dismiss(ctx, now, "FAILED"),
            (false, _) => self.attend(ctx, now, Application::Conference, None),
        }
        true
    }

    /// The call of a callee that has answered a page. It is to be seated next.
    pub fn paged(
        ctx: &mut Context,
        now: Instant,
        key: CallKey,
        paged: Paged,
    ) -> (Call, Invitation) {
        let Paged {
            mut leg,
            owner,
            setup,
            facts,
            execution,
            invitation,
        } = paged;
        let departed = leg.departed(&setup);
        let mut call = Call::new(ctx, key, setup.clone(), facts, departed, execution);
        let invite = leg.invite;
        call.rename(ctx, now, &mut leg, &setup);
        let no = leg.no;
        ctx.servers
            .hand_over(owner, ServerOwner { call: key, leg: no });
        if let Some(tx) = invite {
            // Another fork may still answer it.
            leg.invite = invite;
            let client = CallClient {
                call: key,
                leg: no,
                role: ClientRole::Invite,
            };
            ctx.clients.insert(tx, ClientOwner::Call(client));
        }
        if let Some(media) = leg.media() {
            ctx.media_owners.insert(media.leg, (key, no));
        }
        call.caller = leg;
        (call, invitation)
    }

    /// Takes the seat that it was invited to; the page may be over by now.
    pub fn take_seat(&mut self, ctx: &mut Context, now: Instant, invitation: Invitation) {
        self.join(ctx);
        if let Err(error) = ctx.rooms.admit(invitation.room, self.key) {
            tracing::info!(call = self.id, %error, "a phone has answered a page in vain");
            let cause = crate::control::call::cause::Cause::NORMAL;
            return self.end_by_us(ctx, now, cause, "the page is over");
        }
        let seat = Seat {
            room: invitation.room,
            talks: invitation.talks,
            is_host: false,
        };
        self.sit_down(ctx, seat);
        self.announce(ctx, invitation.announcement.into_iter().collect());
        self.attend(ctx, now, Application::Conference, None);
        self.advance(ctx, now);
    }
}
