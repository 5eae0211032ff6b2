//! Digest challenges to our own requests: a trunk's 401, or 407 of a proxy before it, answered with `outbound_auth`.

use super::Call;
use super::exchange::Exchange;
use super::leg::{Leg, LegState, Unanswered};
use crate::control::context::{CallClient, ClientRole, Context};
use crate::control::credentials::KnownChallenges;
use crate::sip::auth::Asker;
use crate::sip::endpoint::ClientTx;
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
        let is_withdrawn =
            matches!(&self.exchange, Exchange::Withdrawn { passed } if passed.tx == tx);
        let Some(leg) = self.leg_mut(owner.leg) else {
            return false;
        };
        let auth = setup.endpoint(leg.endpoint).outbound_auth.as_ref();
        let asked = leg.unanswered.take_if(|asked| asked.tx == tx);
        let (Some(auth), Some(asked)) = (auth, asked) else {
            return false;
        };
        if is_withdrawn || matches!(leg.state, LegState::Cancelled { .. }) {
            return false;
        }
        if !asked.is_second {
            leg.challenges.begin();
        }
        if leg.challenges.learn(auth, response).is_err() {
            return false;
        }
        let method = asked.request.method.clone();
        let cseq = leg.next_cseq(&method, response);
        let request = asked.request.set_header("CSeq", cseq);
        let answers = leg.challenges.answers(&mut ctx.rng, auth, &request);
        let request = KnownChallenges::put(request, &answers);
        let Some(again) = leg.send(ctx, now, key, owner.role, request) else {
            return false;
        };
        if let Some(Unanswered { is_second, .. }) = &mut leg.unanswered {
            *is_second = true;
        }
        if method == Method::Invite {
            leg.credentials = answers;
        }
        ctx.clients.remove(tx);
        self.replace_transaction(owner, tx, again);
        true
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
                Exchange::Passing { passed, .. }
                | Exchange::Withdrawn { passed }
                | Exchange::Own { passed }
                    if passed.tx == old =>
                {
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
            | ClientRole::Prack
            | ClientRole::Notify { .. }
            | ClientRole::Info(_) => {}
        }
    }
}

impl Leg {
    /// The CSeq of a request that is sent again (RFC 3261 §22.2).
    pub(super) fn next_cseq(&mut self, method: &Method, challenged: &Response) -> String {
        let next = self.dialog.as_mut().and_then(|dialog| {
            let request = dialog.request(method.clone());
            request.get_header("CSeq").map(str::to_owned)
        });
        next.unwrap_or_else(|| format!("{} {method}", challenged.headers().cseq().number + 1))
    }
}
