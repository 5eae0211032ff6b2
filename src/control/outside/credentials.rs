//! Credentials for our own requests: the challenges of one far side, and how often each of their nonces was answered.
//!
//! ```text
//!   request ──401 nonce A──► with A, nc=1 ──2xx      the next request carries A, nc=2 at once
//!   request with A, nc=2 ──401 nonce B──► with B, nc=1 ──2xx     A was too old
//!   with B, nc=1 ──401 nonce C──► refused: B was new, so the password is wrong (unless stale=true, RFC 7616 §3.3)
//! ```

use crate::config::settings::Auth;
use crate::sip::auth::{Answer, Asker, Challenge, Password, challenges};
use crate::sip::message::{RequestDraft, Response};

/// Most realms on the way of one request that are answered; challenges of further ones are refusals.
const REALMS_MAX: usize = 4;
/// Most challenges that one request answers, whatever they say of their nonces.
const ANSWERS_MAX: u8 = 5;

/// What is known of the far side. One for each registration, contact or leg.
#[derive(Debug, Default)]
pub struct KnownChallenges {
    known: Vec<Known>,
    /// Challenges that the present request has answered.
    answered: u8,
}

#[derive(Debug)]
struct Known {
    asker: Asker,
    challenge: Challenge,
    /// How often its nonce was answered.
    nonce_count: u32,
    /// It came as the answer to the present request.
    is_new: bool,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    /// No challenge is in it that we can answer: another realm, algorithm or quality.
    Foreign,
    /// Our answer to a new nonce was refused: user name or password are wrong.
    Refused,
}

impl KnownChallenges {
    /// The next request begins: from now on each nonce known may be too old.
    pub fn begin(&mut self) {
        self.answered = 0;
        for known in &mut self.known {
            known.is_new = false;
        }
    }

    /// Takes the challenges of a 401 or 407, the first of each realm (RFC 8760 §2.4); with a realm in `auth` only
    /// that one's.
    ///
    /// # Errors
    /// Why the request cannot be sent again.
    pub fn learn(&mut self, auth: &Auth, response: &Response) -> Result<(), Unanswerable> {
        let asker = Asker::of_status(response.status()).ok_or(Unanswerable::Foreign)?;
        let is_ours = |challenge: &Challenge| {
            let realm = auth.realm.as_deref();
            realm.is_none_or(|realm| realm == challenge.realm)
        };
        let mut learnt: Vec<String> = Vec::new();
        self.answered = self.answered.saturating_add(1);
        for challenge in challenges(response.headers(), asker) {
            if !is_ours(&challenge) || learnt.contains(&challenge.realm) {
                continue;
            }
            learnt.push(challenge.realm.clone());
            self.learn_one(asker, challenge)?;
        }
        match learnt.is_empty() {
            true => Err(Unanswerable::Foreign),
            false if self.answered > ANSWERS_MAX => Err(Unanswerable::Refused),
            false => Ok(()),
        }
    }

    fn learn_one(&mut self, asker: Asker, challenge: Challenge) -> Result<(), Unanswerable> {
        let is_same =
            |known: &&mut Known| known.asker == asker && known.challenge.realm == challenge.realm;
        if let Some(known) = self.known.iter_mut().find(is_same) {
            if known.is_new && !challenge.stale {
                return Err(Unanswerable::Refused);
            }
            known.challenge = challenge;
            known.nonce_count = 0;
            known.is_new = true;
        } else if self.known.len() < REALMS_MAX {
            self.known.push(Known {
                asker,
                challenge,
                nonce_count: 0,
                is_new: true,
            });
        } else {
            return Err(Unanswerable::Foreign);
        }
        Ok(())
    }

    /// The headers that answer every challenge known, for this request as it is. Each call counts the nonces up.
    pub fn answers(
        &mut self,
        rng: &mut fastrand::Rng,
        auth: &Auth,
        request: &RequestDraft,
    ) -> Vec<(&'static str, String)> {
        let answer = |known: &mut Known| {
            known.nonce_count += 1;
            let value = known.challenge.answer(&Answer {
                username: &auth.username,
                password: Password(&auth.password.0),
                method: &request.method,
                uri: &request.uri,
                body: request.get_body(),
                cnonce: &format!("{:016x}", rng.u64(..)),
                nonce_count: known.nonce_count,
            });
            (known.asker.credentials_header(), value)
        };
        self.known.iter_mut().map(answer).collect()
    }

    /// The request with these answers in the place of any that it had.
    pub fn put(request: RequestDraft, answers: &[(&'static str, String)]) -> RequestDraft {
        let bare = [Asker::User, Asker::Proxy]
            .into_iter()
            .fold(request, |request, asker| {
                request.remove_header(asker.credentials_header())
            });
        answers
            .iter()
            .fold(bare, |request, (name, value)| request.header(name, value))
    }
}
