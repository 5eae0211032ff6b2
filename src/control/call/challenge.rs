//! Digest challenges to our own requests: a trunk's 401, or 407 of a proxy before it, answered with `outbound_auth`.

use super::Call;
use super::exchange::Exchange;
use super::exchange::reliable::Early;
use super::leg::{Leg, LegState};
use crate::control::context::{CallClient, ClientRole, Context};
use crate::control::outside::credentials::KnownChallenges;
use crate::sip::auth::Asker;
use crate::sip::dialog::DialogId;
use crate::sip::endpoint::ClientTx;
use crate::sip::flow::Flow;
use crate::sip::message::{Method, Response};
use std::time::Instant;

impl Call {
    /// Sends a challenged request again with credentials. False if this response is no challenge, or one that cannot
    /// be answered: it is a failure then like any other.
    pub(super) fn answer_challenge(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        response: &Response,
    ) -> bool {
        if Asker::of_status(response.status()).is_none() {
            return false;
        }
        let (key, setup) = (self.key, self.setup.clone());
        if !self.is_awaited(owner, tx, &response.headers().cseq().method) {
            return false;
        }
        let Some(leg) = self.leg_mut(owner.leg) else {
            return false;
        };
        let auth = setup.endpoint(leg.endpoint).outbound_auth.as_ref();
        let asked = leg.unanswered.take(tx);
        let (Some(auth), Some(asked)) = (auth, asked) else {
            return false;
        };
        if !asked.is_second {
            leg.challenges.begin();
        }
        if leg.challenges.learn(auth, response).is_err() {
            return false;
        }
        let method = asked.request.method.clone();
        let (cseq, flow) = leg.next_place(&method, response);
        let request = asked.request.set_header("CSeq", cseq);
        let answers = leg.challenges.answers(&mut ctx.rng, auth, &request);
        let request = KnownChallenges::put(request, &answers);
        let Some(again) = leg.send_to(ctx, now, flow, (key, owner.role), request) else {
            return false;
        };
        leg.unanswered.note_second(again);
        if method == Method::Invite {
            leg.credentials = answers;
        }
        ctx.clients.remove(tx);
        self.replace_transaction(owner, tx, again);
        true
    }

    /// Whether the request of this transaction is still wanted, so that it may be sent again: nobody has taken it back,
    /// and the leg has not gone on without it.
    pub(super) fn is_awaited(&self, owner: CallClient, tx: ClientTx, method: &Method) -> bool {
        let Some(leg) = self.leg(owner.leg) else {
            return false;
        };
        let is_up = matches!(leg.state, LegState::Up);
        match owner.role {
            ClientRole::Bye | ClientRole::ForkBye => true,
            ClientRole::Invite => matches!(leg.state, LegState::Calling(_)),
            ClientRole::Prack => is_up || matches!(leg.state, LegState::Calling(_)),
            ClientRole::Notify { .. }
            | ClientRole::Info(_)
            | ClientRole::Digit
            | ClientRole::Refer => is_up,
            ClientRole::Refresh if *method == Method::Update => is_up,
            ClientRole::Refresh | ClientRole::Reinvite => match &self.exchange {
                Exchange::Passing { passed, .. } | Exchange::Own { passed } => passed.tx == tx,
                Exchange::Refreshing { tx: own, .. } => *own == tx,
                Exchange::Idle
                | Exchange::Withdrawn { .. }
                | Exchange::Offering { .. }
                | Exchange::Waiting { .. } => false,
            },
        }
    }

    /// Whoever waits for the first transaction waits for the second.
    pub(super) fn replace_transaction(&mut self, owner: CallClient, old: ClientTx, new: ClientTx) {
        match owner.role {
            ClientRole::Invite => {
                if let Some(leg) = self.leg_mut(owner.leg) {
                    leg.invite = Some(new);
                    if let LegState::Calling(calling) = &mut leg.state {
                        calling.invite = new;
                    }
                }
            }
            ClientRole::Reinvite => match &mut self.exchange {
                Exchange::Passing { passed, .. } | Exchange::Own { passed } if passed.tx == old => {
                    passed.tx = new;
                }
                _ => {}
            },
            ClientRole::Refresh => {
                if let Exchange::Refreshing { tx, .. } = &mut self.exchange
                    && *tx == old
                {
                    *tx = new;
                }
            }
            ClientRole::Bye
            | ClientRole::ForkBye
            | ClientRole::Prack
            | ClientRole::Notify { .. }
            | ClientRole::Refer
            | ClientRole::Info(_)
            | ClientRole::Digit => {}
        }
    }
}

impl Leg {
    /// The CSeq of a request that is sent again, as a new one of its dialog (RFC 3261 §22.2), and where it goes.
    pub(super) fn next_place(&mut self, method: &Method, refused: &Response) -> (String, Flow) {
        let id = DialogId::of_response(refused);
        let own = self.dialog.as_ref().filter(|dialog| *dialog.id() == id);
        let early = || self.early.iter().map(Early::dialog);
        let dialog = own.or_else(|| early().find(|dialog| *dialog.id() == id));
        let flow = self.flow_of(dialog);
        let next = self.numbered(&id, method);
        let next =
            next.unwrap_or_else(|| format!("{} {method}", refused.headers().cseq().number + 1));
        (next, flow)
    }

    /// The CSeq of the next request in the dialog of this name. None if the leg has no such dialog.
    fn numbered(&mut self, id: &DialogId, method: &Method) -> Option<String> {
        let early = self.early.iter_mut().map(Early::dialog_mut);
        let mut dialogs = self.dialog.iter_mut().chain(early);
        let dialog = dialogs.find(|dialog| dialog.id() == id)?;
        let request = dialog.request(method.clone());
        request.get_header("CSeq").map(str::to_owned)
    }
}
