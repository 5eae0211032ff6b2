//! What every part of control shares, handed to a call (or whoever else is concerned) whenever something happens to it.

use super::admission::load::Load;
use super::call::{CallKey, LegNo};
use super::controller::{Output, Surroundings};
use super::gate::bans::Bans;
use super::locate::Waiter;
use super::locate::domains::Domains;
use super::locate::names::Names;
use super::locate::outages::Outages;
use super::meeting::Attended;
use super::meeting::pickup::Pickup;
use super::meeting::rooms::Rooms;
use super::outside::qualify::{Qualify, QualifyTimer, WatchId};
use super::outside::register_out::{RegistrationKey, RegistrationTimer, Registrations};
use super::outside::{Outside, OutsideKey};
use super::owners::Owners;
use super::ports::Ports;
use super::registrar::Registrar;
use super::registrar::binding::BindingId;
use super::sounds::Asker;
use crate::link::{Command, LegId, WorkerId};
use crate::metrics::ControlMetrics;
use crate::sip::Flow;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::timer::TimerWheel;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Whom a timer wakes, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A call.
    Call(CallKey, CallTimer),
    /// A registration that is over now.
    Binding(BindingId),
    /// One of our registrations.
    Registration(RegistrationKey, RegistrationTimer),
    /// A contact that is asked whether it is there.
    Qualify(WatchId, QualifyTimer),
    /// The end, whether every registrar has taken our un-registration or not.
    UnregisterOverdue,
}

/// What a timer of a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTimer {
    /// The wait of `Wait`, `Answer`, `Busy`, `Congestion` is over.
    Pause,
    /// The Dial's time is over.
    Dial,
    /// The time of a Dial is over that a redirected branch runs; by the branch's place.
    Forward(u16),
    /// Another provisional response is due, so that the caller's proxies wait on (RFC 3261 §13.3.1.1).
    Refresh,
    /// The time is over that a Dial allows.
    Limit,
    /// Our reliable provisional response has had no PRACK.
    Prack,
    /// A leg's session is to be refreshed, or was not (RFC 4028).
    Session(LegNo),
    /// A re-INVITE that met 491 is tried again (RFC 3261 §14.1).
    Reoffer,
    /// A re-INVITE has had no final response.
    ReinviteOverdue,
    /// A trunk has had its time for a first response to this INVITE.
    Silent(LegNo, ClientTx),
    /// A cancelled INVITE has had no final response (RFC 3261 §9.1).
    Cancelled(LegNo),
    /// The media of an ended call should be closed by now.
    Closing,
}

/// Whose a client transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOwner {
    /// A call's.
    Call(CallClient),
    /// Of a request outside any dialog.
    Outside(OutsideKey),
}

/// What a client transaction of a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRole {
    /// The INVITE that began the leg.
    Invite,
    /// A re-INVITE.
    Reinvite,
    /// A BYE.
    Bye,
    /// A BYE in the dialog of another fork that has answered too.
    ForkBye,
    /// A PRACK.
    Prack,
    /// A NOTIFY of how a transfer goes; the last one ends the subscription.
    Notify {
        /// It is the last one.
        is_last: bool,
    },
    /// A REFER.
    Refer,
    /// A refresh of the session: UPDATE or re-INVITE.
    Refresh,
    /// An INFO passed on, and the request that it answers.
    Info(ServerTx),
    /// An INFO of our own, with a digit.
    Digit,
}

/// A call's client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallClient {
    /// Whose.
    pub call: CallKey,
    /// Which leg's.
    pub leg: LegNo,
    /// What for.
    pub role: ClientRole,
}

/// Owner of an INVITE's server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOwner {
    /// Whose.
    pub call: CallKey,
    /// Which leg's.
    pub leg: LegNo,
}

/// See the module's comment.
pub struct Context {
    /// Transactions.
    pub sip: crate::sip::Endpoint,
    /// Port leases.
    pub ports: Ports,
    /// What is to be done, besides SIP.
    pub outputs: VecDeque<Output>,
    /// Timers of calls and of all else in control.
    pub timers: TimerWheel<Timer>,
    /// Owners of INVITE server transactions.
    pub servers: Owners<ServerOwner>,
    /// Owners of client transactions.
    pub clients: Owners<ClientOwner>,
    /// Whose a leased port is.
    pub media_owners: FxHashMap<LegId, (CallKey, LegNo)>,
    /// Legs that have gone from one call to another, by our tag: the tag tells where they were before.
    pub moved_legs: FxHashMap<String, (CallKey, LegNo)>,
    /// Recordings that have gone from one leg to another: who has asked for them, and whose they are now. Until they are
    /// complete.
    pub moved_recordings: FxHashMap<Asker, Asker>,
    /// Transfers that concern two calls, to be done when the first has let go of its leg.
    pub attended: VecDeque<Attended>,
    /// Pickups that dialplans have asked for; at most one a call.
    pub pickups: VecDeque<Pickup>,
    /// Counts the MixMonitors of all calls: their numbers differ, whichever call a leg has gone to meanwhile.
    pub monitors_begun: u32,
    /// Who is mixed with whom.
    pub rooms: Rooms,
    /// What the DNS has said.
    pub names: Names<Waiter>,
    /// Addresses that did not work lately.
    pub outages: Outages,
    /// Domains that TLS peers must prove to be.
    pub domains: Domains,
    /// Who has registered, and from where.
    pub registrar: Registrar,
    /// Our requests outside any dialog.
    pub outside: Outside,
    /// Our registrations.
    pub registrations: Registrations,
    /// Who is not heard for a while, and who is vouched for.
    pub bans: Bans,
    /// Which contacts answer.
    pub qualify: Qualify,
    /// Calls and their rate, by endpoint.
    pub load: Load,
    /// The gateway's environment.
    pub surroundings: Box<dyn Surroundings>,
    /// For choices, session ids and delays.
    pub rng: fastrand::Rng,
    /// Counters.
    pub metrics: Arc<ControlMetrics>,
}

impl Context {
    /// Tells a worker.
    pub fn command(&mut self, worker: WorkerId, command: Command) {
        self.outputs.push_back(Output::Command(worker, command));
    }

    /// The peer of a flow has shown who it is.
    pub fn know(&mut self, flow: Flow) {
        if flow.protocol.is_reliable() {
            self.outputs.push_back(Output::Known(flow));
        }
    }

    /// A tag for a leg's dialog. It tells the leg's place, so that a request in the dialog finds it without a search,
    /// and is as hard to guess as any.
    pub fn tag(&mut self, call: CallKey, leg: LegNo) -> String {
        format!("{:x}.{:x}.{}", call.index, leg.0, self.sip.new_tag())
    }

    /// The place in the table of calls that a tag tells, if it may be one of ours.
    pub fn call_of_tag(tag: &str) -> Option<usize> {
        let (place, _) = tag.split_once('.')?;
        usize::from_str_radix(place, 16).ok()
    }
}
