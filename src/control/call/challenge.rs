//! Digest challenges to our own requests: a trunk's 401, or 407 of a proxy before it, answered with `outbound_auth`.

use super::Call;
use super::leg::{Leg, LegState, Unanswered};
use super::reoffer::Exchange;
use crate::control::context::{CallClient, ClientRole, Context};
use crate::sip::auth::{Answer, Asker, Password, challenges};
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
        let Some(asker) = Asker::of_status(response.status()) else {
            return false;
        };
        let (key, setup) = (self.key, self.setup.clone());
        let is_withdrawn =
            matches!(&self.exchange, Exchange::Withdrawn { passed } if passed.tx == tx);
        let Some(leg) = self.leg_mut(owner.leg) else {
            return false;
        };
        let auth = setup.endpoint(leg.endpoint).outbound_auth.as_ref();
        let asked = leg.unanswered.take().filter(|asked| asked.tx == tx);
        let (Some(auth), Some(asked)) = (auth, asked) else {
            return false;
        };
        let is_cancelled = is_withdrawn || matches!(leg.state, LegState::Cancelled { .. });
        let realm = auth.realm.as_deref();
        let challenge = challenges(response.headers(), asker)
            .into_iter()
            .find(|challenge| realm.is_none_or(|realm| realm == challenge.realm));
        let Some(challenge) = challenge else {
            return false;
        };
        // A second challenge to the right password says only that the nonce is old (RFC 7616 §3.3).
        if is_cancelled || (asked.is_second && !challenge.stale) {
            return false;
        }
        let cnonce = format!("{:016x}", ctx.rng.u64(..));
        let value = challenge.answer(&Answer {
            username: &auth.username,
            password: Password(&auth.password.0),
            method: &asked.request.method,
            uri: &asked.request.uri,
            body: &[],
            cnonce: &cnonce,
            nonce_count: 1,
        });
        let header = asker.credentials_header();
        let method = asked.request.method.clone();
        let cseq = leg.next_cseq(&method, response);
        let request = asked
            .request
            .set_header(header, &value)
            .set_header("CSeq", cseq);
        let Some(again) = leg.send(ctx, now, key, owner.role, request) else {
            return false;
        };
        if let Some(Unanswered { is_second, .. }) = &mut leg.unanswered {
            *is_second = true;
        }
        if method == Method::Invite {
            leg.credentials = Some((header, value));
        }
        ctx.clients.remove(tx);
        self.replace_transaction(owner, tx, again);
        true
    }

    /// Whoever waits for the first transaction waits for the second.
    fn replace_transaction(&mut self, owner: CallClient, old: ClientTx, new: ClientTx) {
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
            ClientRole::Bye | ClientRole::Prack | ClientRole::Info(_) => {}
        }
    }
}

impl Leg {
    /// The CSeq of a request that is sent again (RFC 3261 §22.2).
    fn next_cseq(&mut self, method: &Method, challenged: &Response) -> String {
        let next = self.dialog.as_mut().and_then(|dialog| {
            let request = dialog.request(method.clone());
            request.get_header("CSeq").map(str::to_owned)
        });
        next.unwrap_or_else(|| format!("{} {method}", challenged.headers().cseq().number + 1))
    }
}
